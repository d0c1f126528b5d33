"""Rows of an index that others wrote: SQLite keeps whatever it was given, so each is looked at before it is used."""

from collections.abc import Sequence
from pathlib import Path

from brownid.errors import BrownidError

TYPES = ("str", "int", "float")  # of attributes, in the order of their value columns


def sample(index: Path, number: int, key: object, path: object, identity: object) -> tuple[str, str, int]:
    """Key, path and identity of the sample with this id; BrownidError where one is missing or of another type."""
    for column, value, kind, what in (
        ("key", key, str, "text"),
        ("path", path, str, "text"),
        ("identity", identity, int, "a whole number"),
    ):
        if not isinstance(value, kind) or value == "":
            raise BrownidError(
                f"The database index {index} cannot be used: the {column} of its sample {number} is {_shown(value)} "
                f"and must be {what}."
            )
    return key, path, identity


def names(index: Path, what: str, found: Sequence[tuple]) -> list[str]:
    """The names in rows of one column, of `what` ("protocol"); BrownidError where one is no text."""
    for (name,) in found:
        if not isinstance(name, str):
            shown = _shown(name)
            raise BrownidError(f"The database index {index} cannot be used: the name of one {what} in it is {shown}.")
    return [name for (name,) in found]


def value(index: Path, attribute: object, kind: object, values: Sequence) -> str | int | float | None:
    """The value of an attribute of this kind among its three columns; None where there is none.

    BrownidError where the attribute has no name, or its kind is none of `TYPES`.
    """
    names(index, "attribute", [(attribute,)])
    if all(each is None for each in values):
        return None
    if kind not in TYPES:
        raise BrownidError(
            f"The database index {index} cannot be used: the type of its attribute {attribute!r} is {_shown(kind)} and "
            f"must be one of {', '.join(TYPES)}."
        )
    return values[TYPES.index(kind)]


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:80]
