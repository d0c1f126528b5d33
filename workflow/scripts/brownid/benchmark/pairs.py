"""Pairs files: which two images of a folder are compared, and whether they show one person.

Three forms are read, told apart by their first line:

- LFW's pairs.txt: `10 300` (folds, and pairs of either sort in a fold), or one number, and below it `name n m` for
  two images of one person and `name n other m` for two persons; image n of a person is `name/name_%04d`.
- the pairs files of CALFW and CPLFW: two lines a pair, each `image label`, with the label 0 for two persons.
- CSV with the columns path1, path2 and same (1 or 0, true or false).

An image that is named without a suffix is looked for in every image format. The order is kept: verification takes ten
contiguous folds.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from brownid.databases.listing import NamedImages, suffix_of
from brownid.errors import BrownidError

LFW_SUFFIX = ".jpg"
TRUTH = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True)
class Pair:
    """Two images, as paths below the folder of images."""

    first: str
    second: str
    same: bool


def read_pairs(file: str | Path, folder: str | Path) -> list[Pair]:
    """The pairs of a file; `folder` holds the images. BrownidError naming the file and line that is no pair."""
    file = Path(file)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BrownidError(f"{file}: the pairs file cannot be read ({error}).") from None
    images = NamedImages(folder)
    first = lines[0] if lines else ""
    words = first.split()
    if [name.strip().lower() for name in first.split(",")] == ["path1", "path2", "same"]:
        pairs = list(_of_csv(file, lines))
    elif words and all(word.isdecimal() for word in words) and len(words) <= 2:
        pairs = list(_of_lfw(file, lines, images))
        _check_count(file, len(pairs), [int(word) for word in words])
    elif len(words) == 2 and words[1].isdecimal():
        pairs = list(_of_two_lines(file, lines))
    else:
        raise BrownidError(
            f"{file}: the first line is neither that of LFW's pairs.txt (10 300), nor an image with a label, nor "
            "path1,path2,same."
        )
    if not pairs:
        raise BrownidError(f"{file}: there are no pairs below the first line.")
    return _with_suffixes(pairs, images)


def _with_suffixes(pairs: Iterable[Pair], images: NamedImages) -> list[Pair]:
    """The pairs, with the suffixes of images that are named without one."""

    def path(name: str) -> str:
        return name if suffix_of(name) else images.path(name) or name

    return [Pair(path(pair.first), path(pair.second), pair.same) for pair in pairs]


def _of_lfw(file: Path, lines: list[str], images: NamedImages) -> Iterator[Pair]:
    for number, line in enumerate(lines[1:], start=2):
        words = line.split()
        if not words:
            continue
        if len(words) not in (3, 4) or not (words[1].isdecimal() and words[-1].isdecimal()):
            raise BrownidError(f"{file}, line {number}: expected `name n m` or `name n other m`.")
        first, second = words[0], words[-2] if len(words) == 4 else words[0]
        yield Pair(_lfw_path(images, first, words[1]), _lfw_path(images, second, words[-1]), len(words) == 3)


def _lfw_path(images: NamedImages, name: str, number: str) -> str:
    stem = f"{name}/{name}_{int(number):04}"
    return images.path(stem) or f"{stem}{LFW_SUFFIX}"


def _of_two_lines(file: Path, lines: list[str]) -> Iterator[Pair]:
    rows = [(number, line.split()) for number, line in enumerate(lines, start=1) if line.strip()]
    for number, words in rows:
        if len(words) != 2 or not words[1].isdecimal():
            raise BrownidError(f"{file}, line {number}: expected an image and a label.")
    if len(rows) % 2:
        raise BrownidError(f"{file}: it has {len(rows)} lines, and a pair has two.")
    for (number, first), (_, second) in zip(rows[::2], rows[1::2], strict=True):
        if first[1] != second[1]:
            raise BrownidError(
                f"{file}, line {number}: the two lines of a pair have the labels {first[1]}, {second[1]}."
            )
        yield Pair(first[0], second[0], first[1] != "0")


def _of_csv(file: Path, lines: list[str]) -> Iterator[Pair]:
    for number, row in enumerate(csv.reader(lines[1:]), start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != 3 or not cells[0] or not cells[1] or cells[2].lower() not in TRUTH:
            raise BrownidError(f"{file}, line {number}: expected two paths and 1 or 0.")
        yield Pair(cells[0], cells[1], TRUTH[cells[2].lower()])


def _check_count(file: Path, pairs: int, header: list[int]) -> None:
    """LFW's first line says how many pairs of either sort there are in all (one number) or in each fold."""
    expected = 2 * header[-1] * (header[0] if len(header) == 2 else 1)
    if pairs != expected:
        raise BrownidError(f"{file}: its first line promises {expected} pairs, there are {pairs}.")
