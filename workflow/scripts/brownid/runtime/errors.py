"""The exception that a user is meant to read, and the sentences for what the machine says no to."""

import errno
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BROKEN = {errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.ENODEV, errno.ENXIO}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
IN_THE_WAY = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY}
REFUSALS = FULL | BROKEN | FORBIDDEN | IN_THE_WAY | {errno.ENAMETOOLONG}
LONGEST_REASON = 300  # characters of what a library says that a message repeats
RUST_ERROR = re.compile(r"\(os error (\d+)\)")  # safetensors gives the number in its text alone


class BrownidError(Exception):
    """Something the user can correct: the message is a sentence that says what is wrong, where, and what to do.

    The command line and the job scripts print it without a traceback; every other exception is a defect of ours.
    """


class MissingPackageError(BrownidError):
    """An optional package is not installed."""


def sentence_of(error: BaseException) -> str | None:
    """Message for an error that is not a defect of brownid; None for a defect.

    Apart from `BrownidError` these are a full disk or quota, a disk that fails, and a place that one has no access to.
    """
    if isinstance(error, BrownidError):
        return str(error)
    number = _number_of(error)
    if number not in REFUSALS:
        return None
    return _sentence(_place_of(error) or "a file could not be written", number)


def refused_read(error: BaseException, path: str | Path) -> BrownidError | None:
    """Message for a system error on reading `path`; None for any other error."""
    number = _number_of(error)
    return BrownidError(_sentence(path, number)) if number in REFUSALS else None


def refused_write(error: BaseException, path: Path, temporary: Path) -> BrownidError | None:
    """Message for a system error on writing `path` through `temporary`; None for any other error.

    Errors of the system often come without the name of the file; one that names another file is of that file.
    """
    number, place = _number_of(error), _place_of(error)
    if isinstance(error, BrownidError) or number not in REFUSALS:
        return None
    of_another = place and Path(place) != temporary and temporary not in Path(place).parents
    return BrownidError(_sentence(place if place and of_another else path, number))


def _number_of(error: BaseException) -> int | None:
    found = RUST_ERROR.search(str(error))
    return int(found[1]) if found else getattr(error, "errno", None)


def _place_of(error: BaseException) -> str | None:
    """The file that an error names; of a copy, the one that is written is the second."""
    return getattr(error, "filename2", None) or getattr(error, "filename", None)


def _sentence(place: str | Path, number: int) -> str:
    if number in FULL:
        remedy = "make room there"
    elif number in BROKEN:
        remedy = "its disk or network file system fails: ask who looks after it"
    elif number == errno.ENAMETOOLONG:
        remedy = "choose a shorter name"
    elif number in IN_THE_WAY:
        remedy = "something else is in the way: move it, or choose another place"
    else:
        remedy = "see to its permissions, or choose another place"
    return f"{place}: {os.strerror(number)}; {remedy}, then run again."


def one_line(error: object) -> str:
    """Message of an error, on one line of at most `LONGEST_REASON` characters; its type where it says nothing.

    Without what could move a terminal's cursor: others may have written it, a server for example.
    """
    said = " ".join(str(error).split())[:LONGEST_REASON]
    return "".join(character if character.isprintable() else "?" for character in said) or type(error).__name__


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, as a message lists them; the others are counted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(one_line(name or "''") for name in names[:most]) + more


def suggestion(name: object, known: Iterable[str], otherwise: str | None = None) -> str:
    """Advice for an unknown name: the closest known name, or `otherwise`, or all known names."""
    names = list(known)
    close = get_close_matches(str(name), names, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise or f"known are {', '.join(names) or 'none'}."


def pip_install(*packages: str) -> str:
    """The command that installs packages where this process looks for them, in whatever folder it is typed."""
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])
