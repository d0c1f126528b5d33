"""Files that are either whole or absent, and their checksums."""

import hashlib
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_calls = itertools.count()
_writing: set[str] = set()  # the names of the temporary files of this process


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well, and is removed when it does not.

    Serves files and folders; the parent folder is made. What stood at `path` stays untouched until the block has ended.
    Each call has a temporary path of its own; those that killed processes of this host left for `path` are removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_numbering()}.{os.getpid()}.{next(_calls)}.partial")
    _remove_left_behind(path)
    _writing.add(temporary.name)
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)
        _writing.discard(temporary.name)


def sha256(path: str | Path) -> str:
    """The SHA-256 checksum of a file, as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _numbering() -> str:
    """What tells apart processes of the same number: the host, and on Linux the container if it counts its own."""
    try:
        return f"{platform.node()}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return platform.node()


def _remove_left_behind(path: Path) -> None:
    """Remove the temporary files for `path` of processes that are no more; what cannot be removed stays."""
    name = re.compile(re.escape(f".{path.name}.{_numbering()}.") + r"([0-9]{1,9})\.[0-9]+\.partial")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            found = name.fullmatch(entry.name)
            if found and entry.name not in _writing and not _runs_elsewhere(int(found[1])):
                with suppress(OSError):
                    _remove(path.with_name(entry.name))


def _runs_elsewhere(process: int) -> bool:
    """Whether a process of this number runs, other than this one."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except OSError:
        return True  # of another user
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
