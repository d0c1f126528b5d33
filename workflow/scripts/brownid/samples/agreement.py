"""What collections must agree in to become one, each breach a sentence that says which part is wrong."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from brownid.errors import BrownidError
from brownid.samples import checks

if TYPE_CHECKING:
    from brownid.samples.collection import SampleCollection

SHOWN = 3  # names and keys listed in a sentence; the others are counted


def check_joinable(first: "SampleCollection", other: "SampleCollection", name: str) -> None:
    """Raise BrownidError where `other` cannot stand below `first` in one collection; `name` tells the user which."""
    for what in ("generator", "recognition"):
        mine, theirs = getattr(first, what), getattr(other, what)
        if mine != theirs:
            raise BrownidError(f"{name} has the {what} {theirs!r}, the ones before it {mine!r}; they cannot be joined.")
    mine, theirs = ({key: values.shape[1:] for key, values in part.columns().items()} for part in (first, other))
    if mine != theirs:
        raise BrownidError(f"{name} has the columns {_words(theirs)}, the ones before it {_words(mine)}.")


def check_parts(
    parts: Sequence["SampleCollection"],
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
        keys = [] if any_settings else differing_keys(parts[0].settings, part.settings)
        if keys:
            raise BrownidError(
                f"{name} was made with other settings than {names[0]}: {_listed(keys)} differ. Make it again, or, if it"
                " is another dataset, join with --any-settings."
            )
    table = {label: code for code, label in enumerate(dict.fromkeys(labels or ()))}
    expected_labels = len(table)
    people = np.concatenate([part.identities for part in parts])
    codes = np.concatenate([_recoded(part, table) for part in parts])
    ends = np.cumsum([len(part) for part in parts])

    def part_of(row: int) -> str:
        return names[int(np.searchsorted(ends, row, side="right"))]

    repeated = checks.repeated_rows(people, codes)
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
        _check_identities(
            people, np.unique(checks.whole_numbers(identities, "the expected identities")), names, part_of
        )
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


def _recoded(part: "SampleCollection", table: dict[str, int]) -> np.ndarray:
    """The label codes `[n]` of a part in the common `table`, which grows by the labels that it lacks."""
    codes, own = part.label_codes
    return np.array([table.setdefault(label, len(table)) for label in own], dtype=np.int64)[codes]


def _check_identities(
    people: np.ndarray, expected: np.ndarray, names: Sequence[str], part_of: Callable[[int], str]
) -> None:
    missing = np.setdiff1d(expected, people)
    if len(missing):
        more = f" (and {len(missing) - 1} more of the {len(expected)} that there must be)" if len(missing) > 1 else ""
        raise BrownidError(
            f"the identity {missing[0]} is missing{more}: none of {_listed(names)} has it; make the part that should"
            " have it again, and join all parts."
        )
    foreign = ~np.isin(people, expected)
    if foreign.any():
        row = int(np.argmax(foreign))
        raise BrownidError(f"{part_of(row)}: identity {people[row]} is not one of the {len(expected)} expected.")


def _identity_short_of(people: np.ndarray, codes: np.ndarray, labels: int) -> int | None:
    """The first identity with fewer than so many samples; no (identity, label) is there twice."""
    found, counts = np.unique(people, return_counts=True)
    short = found[counts < labels]
    return int(short[0]) if len(short) else None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _words(columns: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in columns.items()) or "none"
