"""Verifying the files of a release against its manifest, and the images of its folders, in several processes.

A release comes from anywhere: no link is followed, nothing but plain files is opened, and nothing is read whole that is
larger than it can be.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from brownid.jobs.workers import in_processes
from brownid.release.contents import (
    CHECKSUMS,
    MANIFEST,
    Entry,
    files_of,
    is_left_behind,
    manifest_entries,
    strange_kind,
)
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples import png

HEADER_BYTES = 2**16  # of an image file, apart from its pixels
FILES_PER_TASK, BYTES_PER_TASK = 256, 2**24
FILES_PER_PROCESS = 2000  # to start one takes as long as to check these

Progress = Callable[..., Iterable]


class Task(NamedTuple):
    """A file of a release, to be checked."""

    entry: Entry
    image_size: int | None  # None where it is no image of a dataset


def file_problems(root: Path, image_folders: Mapping[str, int], processes: int, progress: Progress) -> Iterator[str]:
    """Files that are missing, changed, no plain files, or not listed, and images that cannot be decoded.

    `image_folders` has the side in pixels of the images below a folder, such as `NAME/images_arcface_112x112`.
    """
    count = sum(1 for _ in manifest_entries(root))
    processes = min(processes, 1 + count // FILES_PER_PROCESS)
    tasks = in_processes(check_files, root, _tasks(root, image_folders), processes)
    for problems in progress((found for task in tasks for found in task), "checking files", "file", total=count):
        yield from problems
    for path in _unlisted(root):
        if not is_left_behind(path):
            kind = strange_kind(root, path)
            yield f"{path}: the manifest does not list this file{f', which is {kind}' if kind else ''}."


def _tasks(root: Path, image_folders: Mapping[str, int]) -> Iterator[list[Task]]:
    """The files of the manifest, in parts that take a process about as long as others."""
    part: list[Task] = []
    size = 0
    for entry in manifest_entries(root):
        folder = "/".join(entry.path.split("/")[:2])
        part.append(Task(entry, None if is_left_behind(entry.path) else image_folders.get(folder)))
        size += entry.size
        if len(part) == FILES_PER_TASK or size > BYTES_PER_TASK:
            yield part
            part, size = [], 0
    yield part


def check_files(root: Path, tasks: list[Task]) -> list[list[str]]:
    """The problems of each of some files of a release."""
    return [list(_problems_of(root, *task)) for task in tasks]


def _problems_of(root: Path, entry: Entry, image_size: int | None) -> Iterator[str]:
    file = root / entry.path
    try:
        check_plain(root, entry.path)
        size = file.stat().st_size
        if size != entry.size:
            yield f"{entry.path}: the file has {size} bytes instead of {entry.size}."
        largest = 0 if image_size is None else largest_image(image_size)
        content = file.read_bytes() if 0 < size <= largest else None
        if size == entry.size and entry.checksum != _checksum(file, content):
            yield f"{entry.path}: the file has been changed, its SHA-256 is not the manifest's."
    except BrownidError as error:
        yield str(error)
        return
    except OSError as error:
        yield f"{entry.path}: the file cannot be read: {error.strerror}."
        return
    if image_size is None:
        return
    try:
        if size > largest:
            raise BrownidError(f"its {size} bytes are more than an image of that size has")
        png.decode(content or b"", image_size)
    except BrownidError as error:
        yield f"{entry.path}: the image is not usable, {error}."


def largest_image(image_size: int) -> int:
    """Bytes that no image file of this side in pixels has."""
    return 6 * image_size**2 + HEADER_BYTES


def _checksum(file: Path, content: bytes | None) -> str:
    return sha256(file) if content is None else hashlib.sha256(content).hexdigest()


def _unlisted(root: Path) -> Iterator[str]:
    """The paths of files that the manifest does not list; both are sorted by path."""
    listed = (entry.path for entry in manifest_entries(root))
    path = next(listed, None)
    for found in files_of(root):
        while path is not None and path < found:
            path = next(listed, None)
        if found not in (path, MANIFEST, CHECKSUMS):
            yield found


def left_in(path: str | Path) -> list[str]:
    """The paths in a release that are passed over: what file managers, notebooks and network disks left."""
    return [printable(found) for found in _unlisted(Path(path)) if is_left_behind(found)]


def printable(text: str) -> str:
    """Without what could move a terminal's cursor, and with bytes that are no UTF-8 written as numbers."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def check_plain(root: Path, path: str) -> None:
    """Raise BrownidError where there is no plain file at a path of the release, reached without a link."""
    try:
        kind = strange_kind(root, path)
    except (FileNotFoundError, NotADirectoryError):
        raise BrownidError(f"{path}: the file is missing.") from None
    except OSError as error:
        raise BrownidError(f"{path}: the file cannot be read: {error.strerror}.") from None
    if kind is not None:
        raise BrownidError(f"{path}: this is {kind}; a release holds plain files only.")
