"""Accepting the results of older code: they count as made by the present code, and their provenance says so."""

import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brownid
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples.provenance import ACCEPTED, add_acceptance, code_revision, record_acceptances
from brownid.upgrade.renames import Renames, renames
from brownid.upgrade.results import Result, Results, code_of
from brownid.upgrade.states import convert_states
from brownid.upgrade.workflow import PROJECT, Run, open_run


@dataclass
class Acceptance:
    """Accepted and rejected results."""

    results: list[Result]  # of all stages, as they were
    accepted: list[Result]
    running: list[Result]  # what the run would make now
    states: list[str] = field(default_factory=list)  # that were converted
    refused_states: list[str] = field(default_factory=list)  # a sentence each


def accept_results(
    configfiles: Sequence[Path],
    values: Sequence[str] = (),
    directory: Path = Path(),
    *,
    stages: Sequence[str] = (),
    every: bool = False,
    changed_settings: bool = False,
    dry_run: bool = False,
    project: Path = PROJECT,
    names: Renames | None = None,
) -> Acceptance:
    """Take the results of these `stages` (rules; of all with `every`) as made by the present code.

    Results that were made from other settings only with `changed_settings`; incomplete ones never. With `dry_run`
    nothing is changed. `project` has the Snakefile, `names` are what versions renamed (default: renames.yaml).
    Raises `BrownidError` for an unknown stage, and where Snakemake works in the folder.
    """
    with open_run(configfiles, values, directory, project) as run:
        known = sorted({job.rule for job in run.jobs})
        unknown = [stage for stage in stages if stage not in known]
        if unknown:
            raise BrownidError(f"This run has no stage {unknown[0]!r}: its stages are {', '.join(known)}.")
        results = Results(run, names or renames())
        accepted_status = ("code", "settings") if changed_settings else ("code",)
        chosen = [result for result in results.all if every or result.job.rule in stages]
        accepted = [result for result in chosen if result.status in accepted_status]
        done = Acceptance(results.all, accepted, results.running(accepted))
        if dry_run:
            _convert_states(chosen, done, results.renames, dry_run=True)
            return done
        with _locked(run):
            _keep(run, results.all, accepted)
            _convert_states(chosen, done, results.renames, dry_run=False)
    return done


@contextmanager
def _locked(run: Run) -> Iterator[None]:
    from snakemake.exceptions import LockException

    try:
        with run.lock():
            yield
    except LockException:
        raise BrownidError("Snakemake works in this folder: wait for its end (or snakemake --unlock).") from None


def _convert_states(chosen: Iterable[Result], done: Acceptance, names: Renames, dry_run: bool) -> None:
    for result in chosen:
        converted, refused = convert_states(result.job, names, dry_run)
        done.states += converted
        done.refused_states += refused


def _keep(run: Run, every: Sequence[Result], accepted: Sequence[Result]) -> None:
    """Record that results count as made by the present code, and give their files the names of today."""
    checksums = _write_provenance(accepted)
    kept = set(map(id, accepted))
    for result in every:
        job = result.job
        now = {"rule": job.rule, "params": list(job.params), "input": sorted(job.inputs)}
        for path, record in result.records.items():
            read = record["input_checksums"]
            updated = {file: after for file, (before, after) in checksums.items() if read.get(file) == before}
            if id(result) in kept:
                run.records.write(path, {**record, **now, "input_checksums": {**read, **updated}})
            elif updated and result.status == "current":
                run.records.write(path, {**record, "input_checksums": {**read, **updated}})
        for old, new in result.moves().items() if id(result) in kept else ():
            os.renames(old, new)  # removes folders that it empties
            run.records.remove(old)


def _write_provenance(accepted: Sequence[Result]) -> dict[str, tuple[str, str]]:
    """Record accepted results in `ACCEPTED` and in each command.yml; returns the latter's checksums before and after.

    Their file times stay: nothing runs again because of them.
    """
    checksums = {}
    revision, clean = code_revision()
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    together: dict[str, dict[str, Any]] = {}
    for result in accepted:
        entry: dict[str, Any] = {"code": code_of(result.job), "made_by": result.made_by, "version": brownid.__version__}
        entry |= {"revision": revision, "tree_clean": clean, "date": date}
        entry |= {"other": result.differences} if result.differences else {}
        for path in result.job.outputs:
            if Path(path).name == "command.yml":
                place = result.places[path]
                before = sha256(place)
                add_acceptance(place, entry)
                checksums[path] = (f"sha256:{before}", f"sha256:{sha256(place)}")
        group = together.setdefault(repr((result.job.rule, entry)), {"stage": result.job.rule, **entry, "results": []})
        group["results"] += result.job.outputs
    if together:
        record_acceptances(ACCEPTED, list(together.values()))
    return checksums
