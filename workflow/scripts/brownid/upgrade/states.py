"""The states of interrupted jobs, converted so that the jobs go on under new code."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brownid.jobs.resume import RUN, SUFFIX, SavedState, StateFile, differences, read_owner, state_path
from brownid.runtime.errors import BrownidError
from brownid.upgrade.old_states import CHECKPOINT, laid_out, read_checkpoint
from brownid.upgrade.renames import Renames
from brownid.upgrade.results import code_of, settings_of
from brownid.upgrade.workflow import Job


def convert_states(job: Job, renames: Renames, dry_run: bool = False) -> tuple[list[str], list[str]]:
    """Convert the states that a job of older code left; returns the old paths, and a sentence per state that stays.

    A state of other settings is left as it is, and so is one that is damaged or whose converted form is there already.
    """
    converted: list[str] = []
    refused: list[str] = []
    if not job.state:
        return converted, refused
    folders = [Path(job.state), *map(Path, renames.old_paths(job.state))]
    for path in [
        path for folder in folders for path in sorted(folder.glob("*")) if path.suffix in (SUFFIX, CHECKPOINT)
    ]:
        try:
            found, saved = _read(path, job)
            owner = {**renames.owner(job.rule, found), "code": code_of(job)}
            target = state_path(job.state, {name: value for name, value in owner.items() if name != RUN})
            different = _other_settings(owner, job)
            if different:
                raise BrownidError(f"{path}: this state belongs to other settings: {'; '.join(different[:4])}.")
            if target == path:
                continue
            if target.exists():
                raise BrownidError(f"{path}: a state of the present code is there already, {target}.")
            if not dry_run:
                StateFile(target, owner).save(saved.iteration, saved.tensors)
                path.unlink()
            converted.append(str(path))
        except BrownidError as error:
            refused.append(f"{error} It is left as it is.")
    return converted, refused


def _read(path: Path, job: Job) -> tuple[Mapping[str, Any], SavedState]:
    """Owner and content of the state of a job, in today's layout."""
    if path.suffix == CHECKPOINT:
        return read_checkpoint(path, job.inputs)
    file = StateFile(path, read_owner(path))
    saved = file.load()
    if saved is None:
        raise BrownidError(f"{path}: this state is damaged.")
    return file.belongs_to, laid_out(job.rule, saved)


def _other_settings(owner: Mapping[str, Any], job: Job) -> list[str]:
    """Differences between the settings of a state and those of its job, among common keys.

    A state may leave settings out, or group them otherwise.
    """
    ours = dict(_leaves(settings_of(job)))
    theirs, here = {}, {}
    for place, value in _leaves(owner.get("settings", {})):
        named = [other for name, other in ours.items() if name[-1] == place[-1]]
        candidates = [ours[place]] if place in ours else named
        if value is not None and candidates and value not in candidates:
            theirs[".".join(place)], here[".".join(place)] = value, candidates[0]
    return differences(theirs, here)


def _leaves(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, (*place, str(key)))
    else:
        yield place, value
