"""The persons on the images of benchmark pairs: known, or inferred from the pairs.

Images of one person are not independent, so statistics over pairs resample persons. A `.bin` file does not name them:
a table next to it does, with a row per pair. A number is one person in all benchmarks.
"""

import csv
import hashlib
import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path, check_regular
from brownid.verification.pairs import Pair

HEADER = ["first_person", "second_person"]
_LAST_NUMBER = re.compile(r"[^0-9A-Za-z]*[0-9]+$")


def first_number(benchmark: str) -> int:
    """The first number of the persons of a benchmark of one's own: no two benchmarks share a number."""
    return (1 + int.from_bytes(hashlib.sha256(benchmark.encode()).digest()[:3])) << 32


def inferred_persons(images: Sequence[Hashable], same: ArrayLike) -> np.ndarray:
    """Persons on the two images of each pair, int64 `[n, 2]`, numbered from 0 in the order in which they first occur.

    Pair i is `images[2i]` and `images[2i + 1]`; equal values are one image. The images of a genuine pair show one
    person, so persons are the connected components of the genuine pairs. A person whose genuine pairs share no image
    counts as several, and so does one who is in impostor pairs with further images: an upper bound of their number.
    """
    rows = {image: row for row, image in enumerate(dict.fromkeys(images))}
    pairs = np.array([rows[image] for image in images], np.int64).reshape(-1, 2)
    leader = list(range(len(rows)))  # of each image: an image of the same person, itself for the first of a person

    def first_of(row: int) -> int:
        while leader[row] != row:
            leader[row] = row = leader[leader[row]]
        return row

    for first, second in pairs[np.asarray(same, bool)].tolist():
        one, other = first_of(first), first_of(second)
        leader[max(one, other)] = min(one, other)
    persons = np.array([first_of(row) for row in range(len(rows))], np.int64)
    return np.unique(persons, return_inverse=True)[1].astype(np.int64)[pairs]


def persons_of_pairs(pairs: Sequence[Pair]) -> np.ndarray:
    """Persons on the two images of each pair of a pairs file, int64 `[n, 2]`.

    A person is a folder, at the least depth at which the images of every genuine pair are in one folder and those of
    every impostor pair in two; or else the file name without its last number (`Ann_Lee_0001.jpg`), if that fits all
    pairs. Where neither does, persons are inferred from the genuine pairs.
    """
    paths = [path for pair in pairs for path in (pair.first, pair.second)]
    same = np.array([pair.same for pair in pairs], bool)
    for names in _namings(paths):
        numbers = {found: number for number, found in enumerate(dict.fromkeys(names))}
        persons = np.array([numbers[found] for found in names], np.int64).reshape(-1, 2)
        if np.array_equal(persons[:, 0] == persons[:, 1], same):
            return persons
    return inferred_persons(paths, same)


def _namings(paths: Sequence[str]) -> Iterator[list[str]]:
    """What may name the persons on images, by their paths, a text per image."""
    folders = [path.split("/")[:-1] for path in paths]
    for depth in range(1, max(map(len, folders), default=0) + 1):
        yield ["/".join(parts[:depth]) for parts in folders]
    yield [_LAST_NUMBER.sub("", path.rpartition(".")[0]) for path in paths]


def write_persons(path: str | Path, persons: np.ndarray) -> None:
    """Write the persons of pairs, int `[n, 2]`, as CSV: a row per pair, in the order of the benchmark file."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(persons.tolist())


def read_persons(path: str | Path, pairs: int) -> np.ndarray:
    """The persons, int64 `[pairs, 2]`, of a file of `write_persons`.

    BrownidError where it is no such file, or has another number of pairs.
    """
    check_regular(path)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        persons = np.array(rows, np.int64).reshape(-1, 2)
        if header != HEADER or persons.shape != (len(rows), 2):
            raise ValueError("its columns are others")
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise BrownidError(f"{path}: no table of the persons of pairs ({','.join(HEADER)}): {error}.") from None
    if len(persons) != pairs:
        raise BrownidError(
            f"{path}: it has the persons of {len(persons)} pairs, and the benchmark has {pairs}: make both again."
        )
    return persons
