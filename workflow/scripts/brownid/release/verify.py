"""Verifying a release: every file against the manifest, every collection opened, every image decoded."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from brownid import runtime
from brownid.errors import BrownidError
from brownid.files import sha256
from brownid.release.manifest import CHECKSUMS, MANIFEST, Entry, checksum_problems, files_of, read_manifest
from brownid.release.metadata import METADATA, DatasetRecord, read_metadata
from brownid.release.package import image_path
from brownid.samples import SampleCollection, load_statistics, png, read_command
from brownid.samples.published import published_labels

UNIT_TOLERANCE = 1e-3  # of an embedding's length; float16 keeps 5e-4

Progress = Callable[..., Iterable]


def verify(path: str | Path, progress: Progress = runtime.progress) -> list[str]:
    """Check a release and say what is wrong with it, one sentence a fault; an empty list means that all is well.

    `progress(items, description, unit)` yields the items and may show how far it is. A folder that is missing or has no
    readable manifest, and a manifest that names a path outside the release, is a BrownidError.
    """
    root = Path(path)
    if not root.is_dir():
        raise BrownidError(f"{root}: there is no such folder.")
    entries = read_manifest(root)
    problems = _file_problems(root, entries, progress) + checksum_problems(root, entries)
    try:
        records, models = read_metadata(root)
    except BrownidError as error:
        return [*problems, str(error)]
    for record in records:
        problems += _dataset_problems(root, record, entries, progress)
    for model in models:
        problems += _model_problems(root, model)
    described = {record.name for record in records}
    found = {samples.parent.name for samples in root.glob("*/samples.h5")}
    problems += [f"{name}: {METADATA} does not describe this dataset." for name in sorted(found - described)]
    return problems


def _file_problems(root: Path, entries: dict[str, Entry], progress: Progress) -> list[str]:
    """Files that are missing, changed, no plain files, or not listed."""
    problems = []
    for entry in progress(list(entries.values()), "checking files", "file"):
        file = root / entry.path
        if file.is_symlink():
            problems.append(f"{entry.path}: this is a link; a release holds plain files only.")
        elif not file.is_file():
            problems.append(f"{entry.path}: the file is missing.")
        elif file.stat().st_size != entry.size:
            problems.append(f"{entry.path}: the file has {file.stat().st_size} bytes instead of {entry.size}.")
        elif sha256(file) != entry.checksum:
            problems.append(f"{entry.path}: the file has been changed, its SHA-256 is not the manifest's.")
    extra = sorted(set(files_of(root)) - set(entries) - {MANIFEST, CHECKSUMS})
    return problems + [f"{path}: the manifest does not list this file." for path in extra]


def _dataset_problems(root: Path, record: DatasetRecord, entries: dict[str, Entry], progress: Progress) -> list[str]:
    folder = root / record.name
    problems = []
    checks = [lambda: read_command(folder / "command.yml")]
    if record.statistics or (folder / "stats.h5").exists():
        checks.append(lambda: load_statistics(folder / "stats.h5"))
    for check in checks:
        try:
            check()
        except BrownidError as error:
            problems.append(_inside(root, error))
    try:
        collection = SampleCollection.load(folder / "samples.h5")
        wanted = _wanted_images(record, collection)
    except BrownidError as error:
        problems.append(_inside(root, error))
    else:
        problems += _collection_problems(record, collection)
        problems += _match_problems(root, record, wanted, entries)
    return problems + _image_problems(root, record, progress)


def _collection_problems(record: DatasetRecord, collection: SampleCollection) -> list[str]:
    """Where the collection is not what the metadata states, and embeddings that are not of unit length."""
    name = f"{record.name}/samples.h5"
    found = DatasetRecord.of(record.name, collection, record.side, record.statistics)
    problems = [
        f"{name}: {field.replace('_', ' ')} is {getattr(found, field)!r}, {METADATA} says {getattr(record, field)!r}."
        for field in DatasetRecord.__dataclass_fields__
        if getattr(found, field) != getattr(record, field)
    ]
    if collection.embeddings is not None:
        lengths = np.linalg.norm(collection.embeddings.astype(np.float64), axis=1)
        wrong = np.flatnonzero(np.abs(lengths - 1) > UNIT_TOLERANCE)
        if len(wrong):
            first = f"the first is {collection.describe(wrong[0])} with length {lengths[wrong[0]]:.4g}"
            problems.append(f"{name}: {len(wrong)} embeddings are not of unit length, {first}.")
    return problems


def _wanted_images(record: DatasetRecord, collection: SampleCollection) -> dict[str, int]:
    """Image path -> row of its sample."""
    labels = published_labels(collection)
    identities = collection.identities.tolist()
    return {image_path(record, identities[row], label): row for row, label in enumerate(labels)}


def _match_problems(root: Path, record: DatasetRecord, wanted: dict[str, int], entries: dict[str, Entry]) -> list[str]:
    """Samples without an image and images without a sample; what the manifest's check has found is not said again."""
    listed = {path for path in entries if path.startswith(f"{record.name}/{record.image_folder}/")}
    absent = [path for path in wanted if path not in listed and not (root / path).is_file()]
    problems = [f"{path}: the sample of this name in {record.name}/samples.h5 has no image." for path in absent]
    return problems + [
        f"{path}: the image belongs to no sample of {record.name}/samples.h5." for path in sorted(listed - set(wanted))
    ]


def _image_problems(root: Path, record: DatasetRecord, progress: Progress) -> list[str]:
    """Images that cannot be decoded or are not 8-bit RGB of the dataset's side."""
    problems = []
    folder = root / record.name / record.image_folder
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for file in progress(files, f"decoding images of {record.name}", "image"):
        try:
            png.decode(file.read_bytes(), record.side)
        except (BrownidError, OSError) as error:
            problems.append(f"{file.relative_to(root).as_posix()}: the image is not usable, {error}.")
    return problems


def _model_problems(root: Path, model: str) -> list[str]:
    problems = []
    weights = root / "trained_models" / f"{model}.safetensors"
    try:
        with safe_open(weights, framework="numpy") as file:
            empty = not list(file.keys())
        if empty:
            problems.append(f"{weights.relative_to(root).as_posix()}: the file holds no weights.")
    except (OSError, SafetensorError) as error:
        problems.append(f"{weights.relative_to(root).as_posix()}: the weights cannot be read ({error}).")
    scores = root / "trained_models" / "results" / model / "scores.json"
    try:
        json.loads(scores.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{scores.relative_to(root).as_posix()}: the scores cannot be read ({error}).")
    return problems


def _inside(root: Path, error: BrownidError) -> str:
    """The sentence with paths as they are inside the release."""
    return str(error).replace(f"{root}/", "")
