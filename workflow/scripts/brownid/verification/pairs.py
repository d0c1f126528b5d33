"""Pairs files: which two images of a folder are compared, and whether they show one person.

Three forms are read, told apart by their first lines:

- LFW's pairs.txt: `name n m` for two images of one person and `name n other m` for two persons, below `10 300` (folds,
  and pairs of either sort in a fold) or one number or neither; image n of a person is `name/name_%04d`.
- the pairs files of CALFW and CPLFW: two lines per pair, each `image label`, with the label 0 for two persons.
- a pair in each line: `path path label` or `label path path`; in lines of more columns the label is the one that is a
  label in all of them. A first line with names of the columns, one of which is in `LABELS`, says which column is the
  label, and the first two others that are not in `NUMBERS` are the paths.

Columns are separated by tabs, semicolons, commas or blanks; a name that holds the separator is put in double quotes.
Blank lines and lines that begin with # are left out. An image that is named without a suffix, or with one under which
it is not there (.jpg for what is kept as .png), is looked for in every image format. The order is kept: verification
takes ten contiguous folds.
"""

import csv
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from brownid.databases.listing import NamedImages, path_of, path_text, read_lines, suffix_of, without_suffix
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import check_regular

LFW_SUFFIX = ".jpg"
_WORDS = dict.fromkeys(("same", "match", "genuine", "mated", "positive"), True)
_WORDS |= dict.fromkeys(("different", "diff", "mismatch", "nonmatch", "non-match", "impostor", "imposter"), False)
_WORDS |= dict.fromkeys(("nonmated", "non-mated", "negative"), False)
TRUTH = dict.fromkeys(("1", "+1", "1.0", "true", "yes"), True) | dict.fromkeys(("0", "-1", "0.0", "false", "no"), False)
TRUTH |= _WORDS
LABELS = {"issame", "is_same", "actual_issame", "label", "labels", "is_match", "target"}
LABELS |= {"same", "match", "genuine", "mated"}  # which are labels, too
NUMBERS = {"", "#", "id", "index", "idx", "no", "number", "pair", "pair_id", "fold"}  # neither paths nor labels
_SEPARATORS = ("\t", ";", ",", None)  # None: blanks
_EXPECTED_LFW = "expected `name n m` or `name n other m`"
_NUMBER = re.compile(r"[0-9]{1,9}")
_BLANKS = re.compile("[ \t]+")  # and no other white space, which names can hold


@dataclass(frozen=True)
class Pair:
    """Two images, as paths below the folder of images."""

    first: str
    second: str
    same: bool


@dataclass(frozen=True)
class _Line:
    """A line of the file: where it stands, for messages, and its text."""

    file: Path
    number: int
    text: str

    def cells(self, separator: str | None) -> list[str]:
        """Its columns, without empty ones at its end."""
        if separator is None and '"' not in self.text:
            return _BLANKS.split(self.text)
        try:
            cells = next(csv.reader([self.text], delimiter=separator or " ", skipinitialspace=True), [])
        except csv.Error as error:
            raise self.error(f"the line cannot be cut into columns ({error})") from None
        cells = [cell.strip(" \t") for cell in cells if separator or cell.strip(" \t")]
        while cells and not cells[-1]:
            cells.pop()
        return cells

    def error(self, problem: str) -> BrownidError:
        """The error to raise."""
        return BrownidError(f"{self.file}, line {self.number}: {problem}.")


_Read = Callable[[list[_Line], str | None, "_Images"], Iterator[Pair]]


def read_pairs(file: str | Path, folder: str | Path) -> list[Pair]:
    """The pairs of a file; `folder` holds the images. BrownidError naming the file and line that is no pair."""
    file = Path(file)
    lines = _lines(file)
    counts = _counts(lines)
    body = lines[1:] if counts else lines
    forms = ((separator, _form(body, separator)) for separator in _SEPARATORS if body)
    separator, read = next((form for form in forms if form[1] is not None), (None, None))
    if read is None and counts and body:
        raise body[0].error(_EXPECTED_LFW)
    if read is None and not counts:
        raise BrownidError(
            f"{file}: the first line is neither that of LFW's pairs.txt (10 300), nor an image with a label, nor two "
            "images with a label (such as 1 or 0), nor path1,path2,same."
        )
    pairs = list(read(body, separator, _Images(folder))) if read else []
    if not pairs:
        raise BrownidError(f"{file}: there are no pairs below the first line.")
    _check_count(file, len(pairs), counts)
    return pairs


def _lines(file: Path) -> list[_Line]:
    """The lines that say something."""
    check_regular(file)
    texts = enumerate(read_lines(file, "pairs file"), start=1)
    lines = [_Line(file, number, text.strip(" \t")) for number, text in texts]
    return [line for line in lines if line.text and line.text[0] != "#"]


def _counts(lines: list[_Line]) -> list[int]:
    """The one or two numbers of LFW's first line; none where it is another line."""
    words = re.split(r"[\s,;]+", lines[0].text) if lines else []
    two_lines = len(words) == 2 and len(lines) > 1 and len(_BLANKS.split(lines[1].text)) == 2
    return [int(word) for word in words] if len(words) <= 2 and all(map(_is_number, words)) and not two_lines else []


def _form(lines: list[_Line], separator: str | None) -> _Read | None:
    """Reader of these lines with this column separator; None if the first line has no known form."""
    first = [cell.lower() for cell in lines[0].cells(separator)]
    width = len(first)
    if width == 2 and _is_number(first[1]) and all(len(line.cells(separator)) == 2 for line in lines[1:2]):
        return _of_two_lines
    if width < 3:
        return None
    if first[:2] == ["name", "imagenum1"]:
        return lambda lines, separator, images: _of_lfw(lines[1:], separator, images)
    label = next((place for place, name in enumerate(first) if name in LABELS), None)
    if label is not None and _is_header(first[label], label, lines, separator):
        others = sorted((place for place in range(width) if place != label), key=lambda place: first[place] in NUMBERS)
        named = (others[0], others[1], label)
        return lambda lines, separator, images: _of_columns(lines[1:], separator, images, named)
    if width < 5 and _is_number(first[1]) and _is_number(first[-1]) and _has_lfw(lines, separator, first):
        return _of_lfw
    columns = _columns(lines, separator)
    return None if columns is None else partial(_of_columns, columns=columns)


def _columns(lines: list[_Line], separator: str | None) -> tuple[int, int, int] | None:
    """The columns of the two paths and of the label, which no line names; None where there is no label."""
    rows = [[cell.lower() for cell in line.cells(separator)] for line in lines]
    width = len(rows[0])
    possible = [(0, 1, 2), (1, 2, 0)]
    if width > 3:
        possible += [(1, 2, 3)] if all(_is_number(row[0]) for row in rows if row) else []
        possible += [(0, 1, 3)] if all(_is_number(row[2]) for row in rows if len(row) > 2) else []
    possible = [columns for columns in possible if rows[0][columns[2]] in TRUTH]
    if width == 3 or len(possible) < 2:
        return possible[0] if possible else None
    whole = [columns for columns in possible if all(row[columns[2]] in TRUTH for row in rows if len(row) > columns[2])]
    labels = sorted({columns[2] + 1 for columns in whole})
    if len(labels) > 1:
        raise lines[0].error(
            f"each of the columns {' and '.join(map(str, labels))} could be the label: write a first line with the "
            "names of the columns, such as path1,path2,same"
        )
    return whole[0] if whole else possible[0]


def _is_header(name: str, label: int, lines: list[_Line], separator: str | None) -> bool:
    """Whether the first line names columns. `same` is a label instead where the next line has a word as its label."""
    second = lines[1].cells(separator) if len(lines) > 1 else []
    return name not in TRUTH or label >= len(second) or second[label].lower() not in _WORDS


def _has_lfw(lines: list[_Line], separator: str | None, first: list[str]) -> bool:
    """Whether `a 1 1` is image 1 of a twice, not the images `a` and `1`: then other lines have two names or a 2."""
    if len(first) == 4 or first[2] not in TRUTH:
        return True
    rows = (line.cells(separator) for line in lines)
    return any(_is_number(row[-1]) and (len(row) == 4 or row[-1] not in TRUTH) for row in rows if len(row) > 2)


def _of_lfw(lines: list[_Line], separator: str | None, images: "_Images") -> Iterator[Pair]:
    for line in lines:
        words = line.cells(separator)
        words = words if len(words) > 1 else _BLANKS.split(line.text)  # some files mix tabs and blanks
        if len(words) not in (3, 4) or not (_is_number(words[1]) and _is_number(words[-1])):
            raise line.error(_EXPECTED_LFW)
        first, second = words[0], words[-2] if len(words) == 4 else words[0]
        yield Pair(images.of_lfw(first, words[1]), images.of_lfw(second, words[-1]), len(words) == 3)


def _of_two_lines(lines: list[_Line], separator: str | None, images: "_Images") -> Iterator[Pair]:
    rows = [line.cells(separator) for line in lines]
    for line, row in zip(lines, rows, strict=True):
        if len(row) != 2 or not _is_number(row[1]):
            raise line.error("expected an image and a label")
    if len(rows) % 2:
        raise BrownidError(f"{lines[0].file}: it has {len(rows)} lines, and a pair has two.")
    for line, first, second in zip(lines[::2], rows[::2], rows[1::2], strict=True):
        if first[1] != second[1]:
            raise line.error(f"the two lines of a pair have the labels {first[1]}, {second[1]}")
        yield Pair(images.path(first[0]), images.path(second[0]), int(first[1]) != 0)


def _of_columns(
    lines: list[_Line], separator: str | None, images: "_Images", columns: tuple[int, ...]
) -> Iterator[Pair]:
    """A pair in each line, from the columns of the two paths and of the label."""
    for line in lines:
        row = line.cells(separator)
        first, second, label = (row[place] if place < len(row) else "" for place in columns)
        if not first or not second or label.lower() not in TRUTH:
            raise line.error("expected two paths and 1 or 0")
        yield Pair(images.path(first), images.path(second), TRUTH[label.lower()])


class _Images:
    """The paths of images, as the rest of the project writes them, by their names in the pairs file."""

    def __init__(self, folder: str | Path):
        self._folder, self._named = Path(folder), NamedImages(folder)

    def path(self, name: str) -> str:
        """The path of a name with or without a suffix; where a program of Windows has written it, with slashes.

        A name that is not there keeps its suffix if there is no image of another one.
        """
        if "\\" in name and not os.path.lexists(self._folder / name):
            name = name.replace("\\", "/")
        name = path_text(name)
        if suffix_of(name) and os.path.lexists(path_of(self._folder / name)):
            return name
        return self._named.path(without_suffix(name)) or name

    def of_lfw(self, name: str, number: str) -> str:
        """The path of image `number` of a person."""
        stem = path_text(f"{name}/{name}_{int(number):04}")
        return self._named.path(stem) or f"{stem}{LFW_SUFFIX}"


def _is_number(word: str) -> bool:
    return _NUMBER.fullmatch(word) is not None


def _check_count(file: Path, pairs: int, counts: list[int]) -> None:
    """LFW's first line says how many pairs of either sort there are in all (one number) or in each fold."""
    expected = 2 * counts[-1] * (counts[0] if len(counts) == 2 else 1) if counts else pairs
    if pairs != expected and counts != [pairs]:  # some write the number of all pairs
        raise BrownidError(f"{file}: its first line promises {expected} pairs, there are {pairs}.")
