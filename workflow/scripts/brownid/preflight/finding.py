"""What an examination says about one thing."""

from typing import Literal, NamedTuple

Level = Literal["blocks", "note", "fine"]
GIGABYTE = 1e9


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` says what to do about it, where there is something to do."""

    level: Level
    topic: str
    what: str
    remedy: str = ""


def amount(count: float) -> str:
    """Bytes as text: 940 kB, 1.2 GB."""
    for unit, size in (("TB", 1e12), ("GB", GIGABYTE), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
