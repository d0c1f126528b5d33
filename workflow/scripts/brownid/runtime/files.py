"""Files that are either whole or absent, and their checksums."""

import errno
import hashlib
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from brownid.runtime.errors import BrownidError, refused_write

SYNCING_THREADS = 8  # a disk takes many requests at once: 0.2 ms a small file instead of 3
UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # what file systems without fsync say
CLOSED = {errno.EACCES, errno.EPERM, errno.EBADF}  # what folders say that may be written but not opened
_calls = itertools.count()
_writing: set[str] = set()  # the names of the temporary files of this process


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path next to `path` that takes its name when the block ends well, and is removed when it does not.

    Serves files and folders; the parent folder is made. What stood at `path` stays untouched until the block has ended,
    and what takes its place is on the disk by then: a machine that stops at any moment leaves the one or the other, or
    (of a folder, since no two can be exchanged at once) nothing, but never a part of one.
    Each call has a temporary path of its own; those that killed processes of this host left for `path` are removed.
    A full disk or quota, a disk that fails and a place that cannot be written are a BrownidError that names `path`.
    """
    path = Path(path)
    temporary, replaced = _temporary(path), _temporary(path)
    _writing.update((temporary.name, replaced.name))
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path)
        yield temporary
        _sync(temporary)
        if path.is_dir() and temporary.is_dir():
            _replace_folder(temporary, path, replaced)
        else:
            os.replace(temporary, path)
        for folder in (path.parent, *(made.parent for made in missing)):
            _sync_folder(folder)
    except BrownidError as error:
        error.args = (str(error).replace(str(temporary), str(path)),)  # of a file in a temporary folder
        raise
    except Exception as error:
        refusal = refused_write(error, path, temporary)
        if refusal is None:
            raise
        raise refusal from error
    finally:
        for left in (temporary, replaced):
            with suppress(OSError):  # what could not be removed is removed by the next call, and is no reason to stop
                _remove(left)
            _writing.discard(left.name)


def _temporary(path: Path) -> Path:
    """A new name next to a path, for what is no part of any result; a later call removes it where this process dies."""
    return path.with_name(f".{path.name}.{_numbering()}.{os.getpid()}.{next(_calls)}.partial")


def check_regular(path: str | Path) -> None:
    """Raise BrownidError where something is at `path` that is no regular file.

    To be called before a user's file is opened: opening a pipe waits for its writer, and a device may have no end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise BrownidError(f"{path}: this is no regular file; name one.")


def sha256(path: str | Path) -> str:
    """The SHA-256 checksum of a file, as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Wait until a file, or a folder with everything in it, is on the disk."""
    if not path.is_dir():
        _sync_file(path)
        return
    files, folders = [], []
    for folder, _, names in os.walk(path):
        folders.append(Path(folder))
        files += [file for name in names if (file := Path(folder, name)).is_file() and not file.is_symlink()]
    with ThreadPoolExecutor(SYNCING_THREADS) as threads:
        list(threads.map(_sync_file, files))
        list(threads.map(_sync_folder, folders))


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where that can be asked for."""
    try:
        _sync_file(path)
    except OSError as error:
        if error.errno not in CLOSED:
            raise


def _replace_folder(temporary: Path, path: Path, replaced: Path) -> None:
    """Move a folder out of the way to `replaced`, and another one to its place."""
    os.rename(path, replaced)
    try:
        os.replace(temporary, path)
    except OSError:
        os.rename(replaced, path)
        raise


def _numbering() -> str:
    """Name of the space of process numbers: the host, and on Linux the container if it has its own."""
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
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
