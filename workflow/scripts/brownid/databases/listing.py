"""Image files below a folder, their paths as text, and the keys made from them.

An image is told by its suffix or, where the name has none, by its content. Paths of images are text throughout the
project, and text that UTF-8 can write: see `path_text` and `path_of`.
"""

import codecs
import csv
import heapq
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from brownid.databases.decoding import FORMATS, is_image
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

RECORDS_SUFFIX = ".rec"
FIRST_SUFFIXES = {"": 0, ".jpg": 1, ".png": 2, ".jpeg": 3}  # of several images of one name; others come after
SHOWN_KEYS = 1000  # renamed images that a log lists one by one

# A name ends in a type only where one to four letters and digits follow the last dot: `John.Smith`, `v1.0` and
# `photo.jpg_large` say nothing about the content.
_SUFFIX = re.compile(r"(?<=[^/])\.(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,4}\Z")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]|\\(?=x[0-9a-f]{2})")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # how Windows marks what it calls Unicode


class Listing(NamedTuple):
    """The images below a folder, and what else was found there."""

    paths: list[str]  # relative to the folder, sorted, as `path_text`
    notes: list[str]  # a phrase for each kind of file, folder and link that was left out, with their number
    record_files: list[str]  # insightface's .rec files among those left out, relative to the folder


def find_images(root: str | Path) -> Listing:
    """The images below `root`, whatever links lead to them.

    Hidden files and folders (.thumbnails, the ._1.png of macOS) are no part of a database. A folder that several links
    lead to is listed once, and at its own place where that is below `root`; so a link to a folder above it adds
    nothing. BrownidError where `root` cannot be read.
    """
    walk = _Walk(root)
    return Listing(sorted(map(path_text, walk.images), key=lambda path: path.split("/")), walk.notes(), walk.records)


def log_left_out(root: str | Path, listing: Listing) -> None:
    """Log what was left out below `root`."""
    for note in listing.notes:
        logger.warning("%s: %s", path_text(root), note)


def image_paths(root: str | Path) -> list[str]:
    """The paths of `find_images`; what was left out is logged. BrownidError where there is no image."""
    return checked_paths(root, find_images(root))


def checked_paths(root: str | Path, listing: Listing) -> list[str]:
    """As `image_paths`, for a `listing` that is there already."""
    if listing.paths:
        log_left_out(root, listing)
        return listing.paths
    if listing.record_files:
        first = Path(root) / listing.record_files[0]
        raise BrownidError(
            f"{root}: there is no image file below this folder, but {first}, a record file of insightface's form: "
            f"in a configuration, set `kind: recordio` and `root: {first.parent}`."
        )
    found = f" ({'; '.join(listing.notes)})" if listing.notes else ""
    raise BrownidError(f"{root}: there is no image in or below this folder{found}; check the path.")


@cache
def image_suffixes() -> frozenset[str]:
    """The suffixes, in small letters and with the dot, of the image formats that are read."""
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


class NamedImages:
    """The images below a folder by their paths without suffix, as lists and pairs files name them."""

    def __init__(self, root: str | Path):
        self._root = Path(root)
        self._folders: dict[str, dict[str, list[str]]] = {}  # of each folder that was asked for: stem -> names

    def path(self, stem: str) -> str | None:
        """The path below the root of the image `stem`, with its suffix; None where there is none.

        Of several the file `stem` itself comes first, then JPEG and PNG files, then the others by name.
        """
        folder, slash, name = stem.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._names(path_of(self._root / folder))
        found = self._folders[folder].get(name)
        return f"{folder}{slash}{found[0]}" if found else None

    def _names(self, folder: Path) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        with suppress(OSError), os.scandir(folder) as entries:  # a folder that is not there has no images
            for entry in entries:
                if entry.name[0] != "." and entry.is_file() and _is_image(entry.path):
                    name = path_text(entry.name)
                    names.setdefault(without_suffix(name), []).append(name)
        for found in names.values():
            found.sort(key=lambda name: (FIRST_SUFFIXES.get(suffix_of(name), len(FIRST_SUFFIXES)), name))
        return names


def suffix_of(path: str) -> str:
    """The suffix that tells a file's type, with the dot and in small letters; empty where the name has none."""
    found = _SUFFIX.search(path)
    return found[0].lower() if found else ""


def without_suffix(path: str) -> str:
    """A path without the suffix that tells the file's type, where it has one."""
    return _SUFFIX.sub("", path)


def path_text(path: str | Path) -> str:
    r"""A path as text that every file format and log can hold: `Jos\xe9` for a folder named in Latin-1.

    Bytes that are not UTF-8, and control characters, are written `\xHH`; a backslash that would read as one of these is
    written `\x5c`. All other paths are their own text.
    """
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", os.fspath(path))


def path_of(text: str | Path) -> Path:
    r"""The path of a file that `path_text` wrote, for opening.

    Text of other origin is its own path: `\xHH` in it stands for these characters where no file has the byte instead.
    """
    text = os.fspath(text)
    if "\\x" not in text:
        return Path(text)
    path = os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), os.fsencode(text)))
    return Path(path if os.path.lexists(path) else text)


def read_lines(file: str | Path, what: str) -> list[str]:
    """The lines of a text file about images; names in it that are not UTF-8 come as the file system has them.

    Lines end as on any system, and nowhere else: names can hold other characters that count as the end of a line.
    BrownidError with the file and `what` it is where it cannot be read.
    """
    try:
        data = Path(file).read_bytes()
        if data.startswith(_UTF_16):
            text = data.decode("utf-16")
        else:
            text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise BrownidError(f"{file}: the {what} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise BrownidError(f"{file}: the {what} cannot be read ({error}).") from None
    if "\0" in text:
        raise BrownidError(f"{file}: the {what} is no text: it holds zero bytes.")
    lines = re.split(r"\r\n|\n|\r", text)
    return lines if lines[-1] else lines[:-1]


def csv_rows(file: str | Path, lines: Iterable[str]) -> Iterator[list[str]]:
    """The columns of lines of a CSV file; BrownidError where they cannot be told."""
    try:
        yield from csv.reader(lines)
    except csv.Error as error:
        raise BrownidError(f"{file}: its lines cannot be cut into columns ({error}).") from None


def key_of(path: str) -> str:
    """The key of the image at `path`: the path without its suffix; slashes, backslashes and blanks become `_`."""
    return re.sub(r"[/\\\s]", "_", without_suffix(path))


def distinct_keys(
    paths: Iterable[str], key: Callable[[str], str] = key_of, taken: Collection[str] = ()
) -> dict[str, str]:
    """The key of each path; no two paths have one key, and none has a key that is `taken`.

    Where `key` makes one of several paths, or a taken one, all of these get a checksum of their path behind it. So a
    path keeps its key whatever the order and number of the others, and a renamed one does as long as it collides.
    """
    keys = {path: key(path) for path in paths}
    renamed: dict[str, int] = {}  # the number of attempts: only a file that is named after a checksum needs two
    while True:
        counts = Counter(keys.values())
        clashing = [path for path, name in keys.items() if counts[name] > 1 or name in taken]
        if not clashing:
            break
        for path in clashing:
            renamed[path] = renamed.get(path, 0) + 1
            checksum = sha256(f"{renamed[path]}{path}".encode()).hexdigest()[:8]
            keys[path] = f"{key(path)}-{checksum}"
    if renamed:
        first = next(iter(renamed))
        logger.warning(
            "%d images would share their keys with others and are renamed, first %s: %s",
            len(renamed),
            first,
            keys[first],
        )
        for path in list(renamed)[:SHOWN_KEYS]:
            logger.info("%s has the key %s", path, keys[path])
    return keys


class _Walk:
    """One pass over a folder; every real folder is read once, links to folders after all real ones."""

    def __init__(self, root: str | Path):
        self.root = os.fspath(root)
        self.images: list[str] = []  # relative paths as the system has them
        self.records: list[str] = []
        self._passed_over: Counter[str] = Counter()
        self._lost: list[str] = []
        self._repeated: list[str] = []
        self._unreadable: list[str] = []
        self._special: list[str] = []
        self._links: list[str] = []  # a heap of links to folders, not followed yet
        real = Path(os.path.realpath(self.root))
        self._seen = {_number(folder) for folder in real.parents}
        self._walk("")
        while self._links:
            self._walk(heapq.heappop(self._links))

    def notes(self) -> list[str]:
        """Phrases about files that were left out."""
        notes = []
        if self._passed_over:
            counts = sorted(self._passed_over.items(), key=lambda item: (-item[1], item[0]))
            kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in counts)
            total = self._passed_over.total()
            notes.append(f"passed over {total} {'file' if total == 1 else 'files'}: {kinds}")
        for places, what in (
            (self._lost, "links that lead nowhere"),
            (self._repeated, "links and folders that lead to a folder listed already"),
            (self._unreadable, "folders that cannot be read"),
            (self._special, "entries that are neither files nor folders"),
        ):
            if places:
                first = min(places)
                target = f" -> {path_text(os.readlink(self._at(first)))}" if os.path.islink(self._at(first)) else ""
                notes.append(f"left out {what}: {len(places)}, the first is {path_text(first)}{target}")
        return notes

    def _at(self, place: str) -> str:
        return os.path.join(self.root, place)

    def _walk(self, top: str) -> None:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                number = _number(self._at(folder))
                if number in self._seen and folder:
                    self._repeated.append(folder)
                    continue
                self._seen.add(number)
                with os.scandir(self._at(folder)) as entries:
                    waiting += [place for entry in entries if (place := self._enter(folder, entry)) is not None]
            except OSError as error:
                if not folder:
                    raise BrownidError(f"{self.root}: the folder cannot be read ({error.strerror}).") from None
                self._unreadable.append(folder)

    def _enter(self, folder: str, entry: os.DirEntry) -> str | None:
        """Sort one entry of a folder; the place of a real folder, to be walked next."""
        if entry.name.startswith("."):
            return None
        place = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            return place
        if entry.is_file(follow_symlinks=False):
            self._add_file(place)
            return None
        try:
            mode = os.stat(entry.path).st_mode
        except OSError:  # no target, or a circle of links
            self._lost.append(place)
            return None
        if stat.S_ISDIR(mode):
            heapq.heappush(self._links, place)
        elif stat.S_ISREG(mode):
            self._add_file(place)
        else:
            self._special.append(place)
        return None

    def _add_file(self, place: str) -> None:
        if _is_image(self._at(place)):
            self.images.append(place)
            return
        suffix = suffix_of(place)
        self._passed_over[suffix] += 1
        if suffix == RECORDS_SUFFIX:
            self.records.append(path_text(place))


def _is_image(path: str) -> bool:
    """Whether a regular file is an image by its suffix or, without one that tells its type, by its content."""
    suffix = suffix_of(path)
    return suffix in image_suffixes() or (not suffix and is_image(path))


def _number(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino
