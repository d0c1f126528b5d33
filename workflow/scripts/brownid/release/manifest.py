"""manifest.csv and checksums.sha256: every file of a release with its size and SHA-256."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brownid.errors import BrownidError
from brownid.files import sha256
from brownid.release.parts import release_path
from brownid.runtime import progress

MANIFEST = "manifest.csv"
CHECKSUMS = "checksums.sha256"
HEADER = ["path", "bytes", "sha256"]


@dataclass(frozen=True)
class Entry:
    """One file as the manifest lists it."""

    path: str  # inside the release, with '/'
    size: int  # bytes
    checksum: str  # SHA-256, hexadecimal


def files_of(root: Path) -> Iterator[str]:
    """The paths of everything in a release that is no folder, links included and not followed."""
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in files + links:
            yield Path(folder, name).relative_to(root).as_posix()


def write_manifest(root: Path) -> list[Entry]:
    """List every file below `root`, sorted by path, in both files; the checksums cover the manifest as well."""
    paths = sorted(path for path in files_of(root) if path not in (MANIFEST, CHECKSUMS))
    entries = [
        Entry(path, (root / path).stat().st_size, sha256(root / path))
        for path in progress(paths, "computing checksums", "file")
    ]
    with open(root / MANIFEST, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows([entry.path, entry.size, entry.checksum] for entry in entries)
    (root / CHECKSUMS).write_text(_checksum_lines(root, entries), encoding="utf-8")
    return entries


def read_manifest(root: Path) -> dict[str, Entry]:
    """The entries of a release's manifest by path.

    A missing or unreadable manifest, a path listed twice and a path that leaves the release are a BrownidError.
    """
    path = root / MANIFEST
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        raise BrownidError(f"{root}: there is no {MANIFEST}, so this is no release, or not a whole one.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BrownidError(f"{path}: the manifest cannot be read ({error}).") from None
    if not rows or rows[0] != HEADER:
        raise BrownidError(f"{path}: the manifest does not begin with {','.join(HEADER)}.")
    entries: dict[str, Entry] = {}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(HEADER) or not row[1].isdecimal() or len(row[2]) != 64:
            raise BrownidError(f"{path}: line {line} of the manifest is not a path, a size and a SHA-256.")
        try:
            release_path(row[0])
        except BrownidError as error:
            raise BrownidError(f"{path}: line {line}: {error}") from None
        if row[0] in entries:
            raise BrownidError(f"{path}: line {line} lists {row[0]} a second time.")
        entries[row[0]] = Entry(row[0], int(row[1]), row[2])
    return entries


def checksum_problems(root: Path, entries: dict[str, Entry]) -> list[str]:
    """What is wrong with checksums.sha256, given the manifest."""
    try:
        found = (root / CHECKSUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [f"{CHECKSUMS}: the file is missing or cannot be read ({error})."]
    expected = _checksum_lines(root, list(entries.values()))
    difference = set(found.splitlines()) ^ set(expected.splitlines())
    paths = sorted({line.partition("  ")[2] or line for line in difference})
    return [f"{CHECKSUMS}: the line of {path} is missing or differs from {MANIFEST}." for path in paths]


def _checksum_lines(root: Path, entries: list[Entry]) -> str:
    lines = [f"{entry.checksum}  {entry.path}" for entry in entries] + [f"{sha256(root / MANIFEST)}  {MANIFEST}"]
    return "\n".join(lines) + "\n"
