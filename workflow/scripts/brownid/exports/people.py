"""A folder of people as a training set: one folder per person, and below it the aligned images of that person."""

import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from brownid.databases.listing import image_paths, path_of, without_suffix
from brownid.exports.rows import side_of
from brownid.exports.training_set import BLOCK_ROWS, Block, TrainingSet
from brownid.runtime.errors import BrownidError, refused_read
from brownid.samples.collection import REFERENCE


class FolderTrainingSet(TrainingSet):
    """The images below `root`, a class per folder in it, in the order of the names; the image `reference` comes first.

    Images must be PNG or JPEG files, squares of one size; of each only the header is read. A fault is a BrownidError,
    of an image when its block is read. Other files are left out and logged. Holds the paths of all images.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.name = self.root.resolve().name
        self._paths = _by_person(self.root, image_paths(self.root))
        persons = [path.split("/")[0] for path in self._paths]
        self.classes = [person for person, _ in groupby(persons)]
        self._labels = np.cumsum([0, *(first != second for first, second in pairwise(persons))])
        self.datasets = {self.name: len(self._paths)}
        self.image_size = self._side(0, self._read(0))

    def __len__(self) -> int:
        return len(self._paths)

    def sizes(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Bytes of the files of the rows from `start` to `stop`, int64 `[stop - start]`."""
        stop = len(self) if stop is None else stop
        return np.array([self._path(row).stat().st_size for row in range(start, stop)], np.int64)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The rows from `start` to `stop`, in order."""
        stop = len(self) if stop is None else stop
        for begin in range(start, stop, BLOCK_ROWS):
            rows = range(begin, min(begin + BLOCK_ROWS, stop))
            samples = [without_suffix(self._paths[row].partition("/")[2]) for row in rows]
            labels = self._labels[begin : rows.stop]
            yield Block(
                labels=labels,
                identities=[self.classes[label] for label in labels.tolist()],
                samples=samples,
                datasets=[self.name] * len(rows),
                images=[self._checked(row) for row in rows],
            )

    def _path(self, row: int) -> Path:
        return path_of(self.root / self._paths[row])

    def _read(self, row: int) -> bytes:
        path = self._path(row)
        try:
            return path.read_bytes()
        except OSError as error:
            raise refused_read(error, path) or BrownidError(f"{path}: cannot be read: {error.strerror}.") from None

    def _side(self, row: int, image: bytes) -> int:
        try:
            return side_of(image)
        except BrownidError as error:
            raise BrownidError(
                f"{self._path(row)}: {error}: convert or crop it, or move it out of the folder."
            ) from None

    def _checked(self, row: int) -> memoryview:
        image = self._read(row)
        side = self._side(row, image)
        if side != self.image_size:
            raise BrownidError(
                f"{self._path(row)}: the image has {side} pixels a side, {self._path(0)} has {self.image_size}: all "
                "images of a training set must have one size; crop them first, see brownid crop."
            )
        return memoryview(image)


def _by_person(root: Path, paths: list[str]) -> list[str]:
    """The paths sorted by person, and by sample within a person, `reference` first."""
    alone = next((path for path in paths if "/" not in path), None)
    if alone is not None:
        raise BrownidError(
            f"{root / alone}: this image is in no person's folder: a folder of people has one folder per person."
        )
    persons = {path.split("/")[0] for path in paths}
    if len(persons) == 1:
        (only,) = persons
        raise BrownidError(
            f"{root}: all images are below {only}, which would be one person: name the folder that has one folder per "
            "person."
        )
    return sorted(paths, key=_order)


def _order(path: str) -> tuple[str, bool, list[tuple[int, str]]]:
    person, _, sample = path.partition("/")
    parts = re.split(r"(\d+)", sample)
    natural = [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]
    return person, without_suffix(sample) != REFERENCE, natural
