"""Verifying a dataset in the published layout: its collection against metadata.json and against its images."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import groupby
from pathlib import Path

import numpy as np

from brownid.release.contents import manifest_entries
from brownid.release.file_checks import check_plain
from brownid.release.metadata import METADATA, DatasetRecord
from brownid.release.package import image_path
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.published import published_labels

COUNTED = ("samples", "identities")  # fields of a record that are sums over the parts of a collection
UNIT_TOLERANCE = 1e-3  # of an embedding's length; float16 keeps 5e-4


def check_samples(root: Path, record: DatasetRecord) -> list[str]:
    """The problems of a dataset's samples.h5, of which some thousand samples are read at a time."""
    name = f"{record.name}/samples.h5"
    found = FoundSamples(record)
    problems: list[str] = []
    try:
        check_plain(root, name)
        problems += _match_problems(root, record, found.people(root / name))
    except BrownidError as error:  # what was found to differ before is a consequence
        return [str(error).replace(f"{root}/", "")]
    return [f"{name}: {problem}" for problem in found.problems()] + problems


class FoundSamples:
    """What a collection turns out to hold, part by part."""

    def __init__(self, record: DatasetRecord) -> None:
        self._record = record
        self._counts = dict.fromkeys(COUNTED, 0)
        self._different: dict[str, object] = {}  # by field of the record, where a part differs from it
        self._lengths = FoundLengths()

    def people(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        """Each identity, sorted by its number as text, with the published labels of its samples."""
        for part in SampleCollection.people_in_blocks(path):
            found = DatasetRecord.of(
                self._record.name, part, self._record.image_size, self._record.template, self._record.statistics
            )
            for field in (field.name for field in fields(DatasetRecord)):
                value = getattr(found, field)
                if field in COUNTED:
                    self._counts[field] += value
                elif value != getattr(self._record, field):
                    self._different.setdefault(field, value)
            if part.embeddings is not None:
                self._lengths.add(part.embeddings, part.describe)
            rows = zip(part.identities.tolist(), published_labels(part), strict=True)
            for identity, group in groupby(rows, key=lambda row: row[0]):
                yield identity, [label for _, label in group]

    def problems(self) -> Iterator[str]:
        """Differences from metadata.json, and embeddings that are not of unit length."""
        counts = {name: count for name, count in self._counts.items() if count != getattr(self._record, name)}
        for field, value in {**counts, **self._different}.items():
            said = getattr(self._record, field)
            yield f"{field.replace('_', ' ')} is {value!r}, {METADATA} says {said!r}."
        yield from self._lengths.problems()


class FoundLengths:
    """How many embeddings are not of unit length, and which is the first."""

    def __init__(self) -> None:
        self._count, self._first = 0, ""

    def add(self, embeddings: np.ndarray, describe: Callable[[int], str]) -> None:
        """Check embeddings `[n, E]`, whose rows `describe(row)` describes."""
        lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE))
        if len(wrong) and not self._count:
            self._first = f"{describe(int(wrong[0]))} with length {lengths[wrong[0]]:.4g}"
        self._count += len(wrong)

    def problems(self) -> Iterator[str]:
        """One sentence where there are such."""
        if self._count:
            yield f"{self._count} embeddings are not of unit length, the first is {self._first}."


def _match_problems(root: Path, record: DatasetRecord, people: Iterator[tuple[int, list[str]]]) -> Iterator[str]:
    """Samples without an image and images without a sample; what the manifest's check finds is not said again."""
    folders = _listed_images(root, record)
    folder, listed = next(folders, (None, set[str]()))
    for identity, labels in people:
        wanted = {image_path(record, identity, label) for label in labels}
        place = min(wanted).rsplit("/", 1)[0] + "/"
        while folder is not None and folder < place:
            yield from (_without_sample(record, path) for path in sorted(listed))
            folder, listed = next(folders, (None, set()))
        here = set()
        if folder == place:
            here = listed
            folder, listed = next(folders, (None, set()))
        for path in sorted(wanted - here):
            if not (root / path).is_file():
                yield f"{path}: the sample of this name in {record.name}/samples.h5 has no image."
        yield from (_without_sample(record, path) for path in sorted(here - wanted))
    while folder is not None:
        yield from (_without_sample(record, path) for path in sorted(listed))
        folder, listed = next(folders, (None, set()))


def _without_sample(record: DatasetRecord, path: str) -> str:
    return f"{path}: the image belongs to no sample of {record.name}/samples.h5."


def _listed_images(root: Path, record: DatasetRecord) -> Iterator[tuple[str, set[str]]]:
    """Folder of an identity, with a slash at its end -> the paths that the manifest lists there."""
    prefix = f"{record.name}/{record.image_folder}/"

    def folder(path: str) -> str:
        name, slash, _ = path.removeprefix(prefix).partition("/")
        return prefix + name + slash

    paths = (entry.path for entry in manifest_entries(root, below=prefix))
    for name, group in groupby(paths, key=folder):
        yield name, set(group)
