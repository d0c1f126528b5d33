"""Verifying a release as its reader would: every file against the manifest, every collection, image and network opened.

A release comes from anywhere: no link is followed, nothing but plain files is opened, and nothing is read that is
larger than it can be. Memory does not grow with the number of images.
"""

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from safetensors import SafetensorError, safe_open

from brownid.jobs.workers import available_processors, in_processes
from brownid.release.collection_checks import check_samples
from brownid.release.contents import LAYOUT_FOLDERS, checksum_problems, manifest_entries
from brownid.release.file_checks import Progress, check_plain, file_problems, printable
from brownid.release.metadata import METADATA, DatasetRecord, ReleaseRecord, read_metadata
from brownid.release.row_checks import set_problems
from brownid.runtime import process
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_checked_json
from brownid.samples.provenance import read_command
from brownid.samples.statistics import load_statistics
from brownid.verification.pair_scores import read_pair_scores

MOST_PROBLEMS = 1000  # that are told
SAMPLES_PER_PROCESS = 10_000  # to start one takes as long as to read these


def verify(path: str | Path, processes: int | None = None, progress: Progress = process.progress) -> list[str]:
    """Check a release and say what is wrong with it, one sentence a fault; an empty list means that all is well.

    `processes` work at the same time, by default as many as there are processors; no more than are worth starting.
    `progress(items, description, unit, total)` yields the items and may show how far it is. What file managers leave in
    folders (`left_in`) is passed over. After 1000 faults the others are counted. A folder that is missing or has no
    readable manifest, and a manifest that names a path outside the release, is a BrownidError.
    """
    root = Path(path)
    if not root.is_dir():
        raise BrownidError(f"{root}: there is no such folder.")
    processes = available_processors() if processes is None else processes
    told: dict[str, None] = {}  # what several checks notice is said once
    more = 0
    for problem in _problems(root, processes, progress):
        if len(told) < MOST_PROBLEMS:
            told[printable(problem)] = None
        elif printable(problem) not in told:
            more += 1
    return [*told, *([f"{more} further faults are not listed."] if more else [])]


def _problems(root: Path, processes: int, progress: Progress) -> Iterator[str]:
    release, refusal = _described(root)
    records = [record for record in release.datasets if record.published]
    folders = {f"{record.name}/{record.image_folder}": record.image_size for record in records}
    yield from file_problems(root, folders, processes, progress)
    yield from checksum_problems(root)
    if refusal is not None:
        yield refusal
        return
    for record in release.datasets:
        yield from _record_problems(root, record)
    datasets = {record.name: record for record in release.datasets}
    for training_set in release.training_sets:
        yield from set_problems(root, training_set, datasets, processes, progress)
    workers = min(processes, 1 + sum(record.samples for record in records) // SAMPLES_PER_PROCESS)
    samples = in_processes(check_samples, root, records, workers)
    for problems in progress(samples, "reading samples", "dataset", total=len(records)):
        yield from problems
    for model in release.models:
        yield from _model_problems(root, model)
    described = {record.name for record in records}
    found = {samples.parent.name for samples in root.glob("*/samples.h5")}
    yield from (f"{name}: {METADATA} does not describe this dataset." for name in sorted(found - described))
    yield from _undescribed_sets(root, {training_set.name for training_set in release.training_sets})


def _described(root: Path) -> tuple[ReleaseRecord, str | None]:
    """What metadata.json states, and what is wrong with it where something is."""
    try:
        check_plain(root, METADATA)
        return read_metadata(root), None
    except BrownidError as error:
        return ReleaseRecord((), (), ()), str(error)


def _record_problems(root: Path, record: DatasetRecord) -> Iterator[str]:
    """The records of how a dataset was made that cannot be read."""
    readers: dict[str, Callable[[Path], object]] = {"command.yml": read_command}
    if record.statistics or (root / record.name / "stats.h5").exists():
        readers["stats.h5"] = load_statistics
    for name, read in readers.items():
        try:
            check_plain(root, f"{record.name}/{name}")
            read(root / record.name / name)
        except BrownidError as error:
            yield _inside(root, error)


def _undescribed_sets(root: Path, described: set[str]) -> Iterator[str]:
    for folder in LAYOUT_FOLDERS.values():
        names = (entry.path.split("/")[1] for entry in manifest_entries(root, below=f"{folder}/"))
        for name, _ in groupby(names):
            if name not in described:
                yield f"{folder}/{name}: {METADATA} does not describe this training set."


def _model_problems(root: Path, model: str) -> Iterator[str]:
    weights = f"trained_models/{model}.safetensors"
    try:
        check_plain(root, weights)
        with safe_open(root / weights, framework="numpy") as file:
            if not list(file.keys()):
                yield f"{weights}: the file holds no weights."
    except BrownidError as error:
        yield str(error)
    except (OSError, SafetensorError) as error:
        yield f"{weights}: the weights cannot be read ({error})."
    readers: dict[str, Callable[[Path], object]] = {"scores.json": read_checked_json, "pairs.parquet": read_pair_scores}
    for name, read in readers.items():
        path = f"trained_models/results/{model}/{name}"
        try:
            check_plain(root, path)
            read(root / path)
        except BrownidError as error:
            yield _inside(root, error)


def _inside(root: Path, error: BrownidError) -> str:
    """The sentence with paths as they are inside the release."""
    return str(error).replace(f"{root}/", "")
