"""Checks of collections of samples, and of collections that are to be joined."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from brownid.runtime.errors import BrownidError, listed

LARGEST = np.iinfo(np.int64).max
# Names of entries and settings in collections of version 0.1 -> those of today; brownid.upgrade has all renames.
FORMER_NAMES = {
    "off_the_shelf": "steering",
    "painted": "embedding_conditioned",
    "side": "image_size",
    "start_spread": "start_interpolation",
}
BLOCK_ROWS = 8192  # bounds the memory of checks and copies; 8192 rows of 512 float32 are 16 MiB


class Samples(Protocol):
    """Protocol of a `SampleCollection` for the formats and checks that it imports."""

    @property
    def identities(self) -> np.ndarray: ...
    @property
    def generator(self) -> str: ...
    @property
    def recognition(self) -> str: ...
    @property
    def extra(self) -> Mapping[str, np.ndarray]: ...
    @property
    def settings(self) -> Mapping[str, object]: ...
    @property
    def label_codes(self) -> tuple[np.ndarray, list[str]]: ...
    def __len__(self) -> int: ...
    def columns(self) -> dict[str, np.ndarray]: ...
    def describe(self, row: int) -> str: ...
    def rows(self, index: Sequence[int]) -> "Samples": ...


def whole_numbers(values: Iterable[int] | np.ndarray, what: str) -> np.ndarray:
    """The whole numbers in an array `[n]`, a tensor or an iterable, as int64; a BrownidError about `what` otherwise.

    Nothing is rounded, parsed or wrapped: 0.9, "0", True and numbers that int64 cannot hold are refused.
    """
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim != 1 or not (np.issubdtype(values.dtype, np.integer) or values.size == 0):
            raise BrownidError(f"{what} must be whole numbers [n], not {values.dtype} {values.shape}.")
        extremes = (values.min(), values.max()) if values.size else ()
    else:
        if not np.iterable(values):
            raise BrownidError(f"{what} must be whole numbers [n], not {values!r}.")
        values = [_whole_number(value, what) for value in values]
        extremes = (min(values), max(values)) if values else ()
    for extreme in map(int, extremes):
        if abs(extreme) > LARGEST:
            raise BrownidError(f"{what} must be whole numbers of at most {LARGEST}, not {extreme}.")
    return np.asarray(values, dtype=np.int64)


def coded(labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels as dictionary codes int32 `[n]` and the table of distinct labels, in order of first appearance."""
    table: dict[str, int] = {}
    codes = np.fromiter((table.setdefault(label, len(table)) for label in labels), np.int32, len(labels))
    for label in table:
        try:
            str.encode(label)
        except (TypeError, UnicodeError) as error:
            raise BrownidError(f"the labels of samples must be text ({error}).") from None
    if "" in table:
        raise BrownidError("the labels of samples must not be empty.")
    unwritable = [label for label in table if "\0" in label]
    if unwritable:
        raise BrownidError(f"the label {unwritable[0]!r} holds the character NUL, which files cannot store; remove it.")
    return codes, list(table)


def repeated_rows(identities: np.ndarray, codes: np.ndarray) -> tuple[int, int] | None:
    """The first row whose (identity, label code) has occurred before, after the row where it has; or None."""
    width = int(codes.max(initial=0)) + 1
    if int(identities.max(initial=0)) < np.iinfo(np.int64).max // width:
        keys = identities * width + codes
    else:
        keys = np.unique(identities, return_inverse=True)[1].astype(np.int64) * width + codes
    if (keys[1:] > keys[:-1]).all():
        return None  # in the order most collections have; saves the sorting
    order = np.argsort(keys, kind="stable")
    places = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    if not len(places):
        return None
    place = places[np.argmin(order[places + 1])]
    return int(order[place]), int(order[place + 1])


def rows_of(identities: np.ndarray, wanted: Iterable[int], where: str) -> np.ndarray:
    """The rows of `identities` `[n]` that hold a wanted one, increasing; BrownidError for one that `where` lacks."""
    wanted = np.unique(whole_numbers(wanted, "the identities asked for"))
    missing = np.setdiff1d(wanted, identities)
    if len(missing):
        raise BrownidError(f"{where} has no identity {listed([*map(str, missing)])}.")
    return np.flatnonzero(np.isin(identities, wanted))


def not_finite_row(values: np.ndarray, absent_allowed: bool = False) -> int | None:
    """The first row of `[n, ...]` with a NaN or an infinity, or None; `absent_allowed` lets rows be NaN throughout."""
    if not np.issubdtype(values.dtype, np.inexact):
        return None
    wide = np.result_type(values.dtype, np.float32)
    for start in range(0, len(values), BLOCK_ROWS):
        block = _flat(values[start : start + BLOCK_ROWS])
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(
                block.sum(dtype=wide)
            ):  # one number that is not finite makes the sum so; a third of the time
                continue
        good = np.isfinite(block).all(axis=1)
        if not good.all() and absent_allowed:
            good |= np.isnan(block).all(axis=1)
        if not good.all():
            return start + int(np.argmin(good))
    return None


def absent_rows(values: np.ndarray) -> np.ndarray:
    """Mask of absent rows of a column `[n, ...]`, bool `[n]`; in a valid column a row that begins with NaN is."""
    if not np.issubdtype(values.dtype, np.inexact):
        return np.zeros(len(values), dtype=bool)
    return np.isnan(_flat(values)[:, :1]).any(axis=1)


def _whole_number(value: Any, what: str) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise BrownidError(f"{what} must be whole numbers, not {value!r}.")


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), math.prod(values.shape[1:]))


def current_names(value: Any) -> Any:
    """A name or settings of a collection, with the names of version 0.1 replaced by those of today, for comparisons."""
    if isinstance(value, Mapping):
        return {FORMER_NAMES.get(key, key): current_names(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [current_names(item) for item in value]
    return FORMER_NAMES.get(value, value) if isinstance(value, str) else value


def check_joinable(first: Samples, other: Samples, name: str) -> None:
    """Raise BrownidError where `other` cannot stand below `first` in one collection; `name` tells the user which."""
    for what in ("generator", "recognition"):
        mine, theirs = getattr(first, what), getattr(other, what)
        if current_names(mine) != current_names(theirs):
            raise BrownidError(f"{name} has the {what} {theirs!r}, the ones before it {mine!r}; they cannot be joined.")
    mine, theirs = ({key: values.shape[1:] for key, values in part.columns().items()} for part in (first, other))
    if mine != theirs:
        raise BrownidError(f"{name} has the columns {_words(theirs)}, the ones before it {_words(mine)}.")


def check_parts(
    parts: Sequence[Samples],
    names: Sequence[str],
    *,
    identities: Iterable[int] | None = None,
    labels: Iterable[str] | None = None,
    any_settings: bool = False,
    complete: bool = True,
) -> None:
    """Raise BrownidError where `parts`, which errors call `names`, are not the parts of one dataset.

    They must agree in generator, recognition network, columns and (unless `any_settings`) settings, and repeat no
    (identity, label). Where `complete`, every identity has all labels that any has. `identities` and `labels` are what
    there must be, no more and no less; None stands for what there is.
    """
    for part, name in zip(parts[1:], names[1:], strict=True):
        check_joinable(parts[0], part, name)
        keys = [] if any_settings else differing_keys(*map(current_names, (parts[0].settings, part.settings)))
        if keys:
            raise BrownidError(
                f"{name} was made with other settings than {names[0]}: {listed(keys)} differ. Make it again, or, if it"
                " is another dataset, join with --any-settings."
            )
    table = {label: code for code, label in enumerate(dict.fromkeys(labels or ()))}
    expected_labels = len(table)
    people = np.concatenate([part.identities for part in parts])
    codes = np.concatenate([_recoded(part, table) for part in parts])
    ends = np.cumsum([len(part) for part in parts])

    def part_of(row: int) -> str:
        return names[int(np.searchsorted(ends, row, side="right"))]

    repeated = repeated_rows(people, codes)
    if repeated is not None:
        before, row = repeated
        raise BrownidError(
            f"identity {people[row]}, label {list(table)[codes[row]]!r} occurs in more than one part:"
            f" in {part_of(before)} and in {part_of(row)}."
        )
    if labels is not None and (codes >= expected_labels).any():
        row = int(np.argmax(codes >= expected_labels))
        raise BrownidError(
            f"{part_of(row)}: identity {people[row]} has the label {list(table)[codes[row]]!r}, which none should have."
        )
    if identities is not None:
        _check_identities(people, np.unique(whole_numbers(identities, "the expected identities")), names, part_of)
    if complete or labels is not None:
        short = _identity_short_of(people, codes, len(table))
        if short is not None:
            rows = np.flatnonzero(people == short)
            lacking = list(table)[np.setdiff1d(np.arange(len(table)), codes[rows])[0]]
            others = "which others have" if labels is None else "which every identity should have"
            remedy = "; or, if it is meant to be missing, join with --incomplete" if labels is None else ""
            raise BrownidError(
                f"{part_of(rows[0])}: identity {short} lacks the label {lacking!r}, {others}:"
                f" make that part again, or name the part that has it{remedy}."
            )


def differing_keys(first: Mapping[str, object], second: Mapping[str, object], prefix: str = "") -> list[str]:
    """The keys, written `outer.inner`, whose values differ in two nested mappings or are in one of them alone."""
    found = []
    for key in sorted({*first, *second}):
        mine, theirs = first.get(key), second.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            found += differing_keys(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs or (key in first) != (key in second):
            found.append(f"{prefix}{key}")
    return found


def _recoded(part: Samples, table: dict[str, int]) -> np.ndarray:
    """The label codes `[n]` of a part in the common `table`, which grows by the labels that it lacks."""
    codes, own = part.label_codes
    return np.array([table.setdefault(label, len(table)) for label in own], dtype=np.int64)[codes]


def _check_identities(
    people: np.ndarray, expected: np.ndarray, names: Sequence[str], part_of: Callable[[int], str]
) -> None:
    missing = np.setdiff1d(expected, people)
    if len(missing):
        raise BrownidError(
            f"of the {len(expected)} identities expected, none of {listed(names)} has {listed([*map(str, missing)])}:"
            " make the part that should have them again, and join all parts."
        )
    foreign = ~np.isin(people, expected)
    if foreign.any():
        row = int(np.argmax(foreign))
        raise BrownidError(f"{part_of(row)}: identity {people[row]} is not one of the {len(expected)} expected.")


def _identity_short_of(people: np.ndarray, codes: np.ndarray, labels: int) -> int | None:
    """The first identity with fewer than `labels` samples; no (identity, label) is there twice."""
    found, counts = np.unique(people, return_counts=True)
    short = found[counts < labels]
    return int(short[0]) if len(short) else None


def _words(columns: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in columns.items()) or "none"
