"""Verifying a release: every file against the manifest, every collection opened, every image decoded.

A release comes from anywhere: no link is followed, nothing but plain files is opened, and nothing is read that is
larger than it can be.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from brownid.release.contents import (
    CHECKSUMS,
    MANIFEST,
    Entry,
    checksum_problems,
    files_of,
    left_behind,
    read_manifest,
    strange_kind,
)
from brownid.release.metadata import METADATA, DatasetRecord, read_metadata
from brownid.release.package import image_path
from brownid.runtime import process
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.runtime.text import read_checked_json
from brownid.samples import png
from brownid.samples.collection import SampleCollection
from brownid.samples.provenance import read_command
from brownid.samples.published import published_labels
from brownid.samples.statistics import load_statistics
from brownid.verification.pair_scores import read_pair_scores

HEADER_BYTES = 2**16  # of an image file, apart from its pixels
UNIT_TOLERANCE = 1e-3  # of an embedding's length; float16 keeps 5e-4

Progress = Callable[..., Iterable]


def verify(path: str | Path, progress: Progress = process.progress) -> list[str]:
    """Check a release and say what is wrong with it, one sentence a fault; an empty list means that all is well.

    `progress(items, description, unit)` yields the items and may show how far it is. What file managers leave in
    folders (`left_in`) is passed over. A folder that is missing or has no readable manifest, and a manifest that names
    a path outside the release, is a BrownidError.
    """
    root = Path(path)
    if not root.is_dir():
        raise BrownidError(f"{root}: there is no such folder.")
    problems = _problems(root, read_manifest(root), progress)
    return list(dict.fromkeys(map(_printable, problems)))  # what several checks notice is said once


def left_in(path: str | Path) -> list[str]:
    """The paths in a release that `verify` passes over: what file managers, notebooks and network disks left."""
    root = Path(path)
    listed = read_manifest(root)
    return [_printable(name) for name in left_behind(files_of(root)) if name not in listed]


def _problems(root: Path, entries: dict[str, Entry], progress: Progress) -> list[str]:
    problems = _file_problems(root, entries, progress) + checksum_problems(root, entries)
    try:
        _check_plain(root, METADATA)
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
        try:
            _check_plain(root, entry.path)
            size = file.stat().st_size
            if size != entry.size:
                problems.append(f"{entry.path}: the file has {size} bytes instead of {entry.size}.")
            elif sha256(file) != entry.checksum:
                problems.append(f"{entry.path}: the file has been changed, its SHA-256 is not the manifest's.")
        except BrownidError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{entry.path}: the file cannot be read: {error.strerror}.")
    extra = set(files_of(root)) - set(entries) - {MANIFEST, CHECKSUMS}
    for path in sorted(extra - set(left_behind(extra))):
        kind = strange_kind(root, path)
        problems.append(f"{path}: the manifest does not list this file{f', which is {kind}' if kind else ''}.")
    return problems


def _check_plain(root: Path, path: str) -> None:
    """Raise BrownidError where there is no plain file at a path of the release, reached without a link."""
    try:
        kind = strange_kind(root, path)
    except (FileNotFoundError, NotADirectoryError):
        raise BrownidError(f"{path}: the file is missing.") from None
    except OSError as error:
        raise BrownidError(f"{path}: the file cannot be read: {error.strerror}.") from None
    if kind is not None:
        raise BrownidError(f"{path}: this is {kind}; a release holds plain files only.")


def _dataset_problems(root: Path, record: DatasetRecord, entries: dict[str, Entry], progress: Progress) -> list[str]:
    problems = []
    readers: dict[str, Callable[[Path], object]] = {"command.yml": read_command}
    if record.statistics or f"{record.name}/stats.h5" in entries:
        readers["stats.h5"] = load_statistics
    for name, read in readers.items():
        try:
            _check_plain(root, f"{record.name}/{name}")
            read(root / record.name / name)
        except BrownidError as error:
            problems.append(_inside(root, error))
    try:
        _check_plain(root, f"{record.name}/samples.h5")
        collection = SampleCollection.load(root / record.name / "samples.h5")
        wanted = _wanted_images(record, collection)
    except BrownidError as error:
        problems.append(_inside(root, error))
    else:
        problems += _collection_problems(record, collection)
        problems += _match_problems(root, record, wanted, entries)
    return problems + _image_problems(root, record, progress)


def _collection_problems(record: DatasetRecord, collection: SampleCollection) -> list[str]:
    """Differences between a collection and the metadata, and embeddings that are not of unit length."""
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
    folder = f"{record.name}/{record.image_folder}"
    for path in progress(_plain_files(root, folder), f"decoding images of {record.name}", "image"):
        try:
            size = (root / path).stat().st_size
            if size > 6 * record.side**2 + HEADER_BYTES:
                raise BrownidError(f"its {size} bytes are more than an image of that size has")
            png.decode((root / path).read_bytes(), record.side)
        except (BrownidError, OSError) as error:
            problems.append(f"{path}: the image is not usable, {error}.")
    return problems


def _plain_files(root: Path, folder: str) -> list[str]:
    """The paths of the plain files below a folder of the release, without what file managers leave."""
    try:
        if strange_kind(root, folder) != "a folder":
            return []
    except (FileNotFoundError, NotADirectoryError):
        return []
    inside = set(files_of(root / folder))
    paths = sorted(f"{folder}/{path}" for path in inside - set(left_behind(inside)))
    return [path for path in paths if strange_kind(root, path) is None]


def _model_problems(root: Path, model: str) -> list[str]:
    problems = []
    weights = f"trained_models/{model}.safetensors"
    try:
        _check_plain(root, weights)
        with safe_open(root / weights, framework="numpy") as file:
            if not list(file.keys()):
                problems.append(f"{weights}: the file holds no weights.")
    except BrownidError as error:
        problems.append(str(error))
    except (OSError, SafetensorError) as error:
        problems.append(f"{weights}: the weights cannot be read ({error}).")
    readers: dict[str, Callable[[Path], object]] = {"scores.json": read_checked_json, "pairs.parquet": read_pair_scores}
    for name, read in readers.items():
        path = f"trained_models/results/{model}/{name}"
        try:
            _check_plain(root, path)
            read(root / path)
        except BrownidError as error:
            problems.append(_inside(root, error))
    return problems


def _inside(root: Path, error: BrownidError) -> str:
    """The sentence with paths as they are inside the release."""
    return str(error).replace(f"{root}/", "")


def _printable(text: str) -> str:
    """Without what could move a terminal's cursor, and with bytes that are no UTF-8 written as numbers."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
