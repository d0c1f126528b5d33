"""The contents of a release: its datasets and models, manifest.csv and checksums.sha256."""

import csv
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.runtime.process import progress

LAYOUT_FOLDERS = {"parquet": "data", "recordio": "recordio", "webdataset": "webdataset", "lmdb": "lmdb"}
SHARED_FOLDERS = (
    *LAYOUT_FOLDERS.values(),
    *("trained_models", "databases", "covariates", "hyperface", "scores", "figures", "gallery"),
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ODD_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\\:]")  # of a path
INTENDED_USE = (
    "Research on face recognition: training and comparing recognition networks on synthetic faces. "
    "It is not meant for identifying or tracking people, and an accuracy measured on it alone says nothing about "
    "how fair or safe a deployed system would be."
)


@dataclass(frozen=True)
class ReleaseDescription:
    """Texts of the README and the metadata, chosen by the publisher."""

    name: str  # short, serves as an identifier
    description: str  # a paragraph
    creator: str  # a person or an institution
    licence: str  # of the data: a name or an SPDX identifier
    version: str = "1.0.0"
    date: str | None = None  # of publication, YYYY-MM-DD
    intended_use: str = INTENDED_USE

    def __post_init__(self) -> None:
        check_name("release", self.name)
        for what in ("description", "creator", "licence", "version", "intended_use"):
            if not getattr(self, what).strip():
                raise BrownidError(f"The release {self.name!r} needs a {what.replace('_', ' ')}; it is empty.")


@dataclass(frozen=True)
class DatasetPart:
    """One dataset; every sample has one image in the shards and the reverse.

    It is published, with samples.h5 and single images, or (without image shards) in training sets only.
    """

    name: str
    samples: Path  # a collection, of ours or published
    command: Path  # command.yml
    image_shards: tuple[Path, ...] = ()
    statistics: Path | None = None  # stats.h5, where a dynamics made the samples
    image_size: int | None = None  # pixels; None: that of the image shards
    template: str | None = None  # crop template of the images

    def __post_init__(self) -> None:
        check_name("dataset", self.name)
        if self.name in SHARED_FOLDERS:
            raise BrownidError(
                f"A dataset cannot be called {self.name!r}, a release has a folder of that name already."
            )
        if not self.image_shards and self.image_size is None:
            raise BrownidError(f"The dataset {self.name!r} needs image shards, or the size of its images.")

    def sources(self) -> list[Path]:
        """The files it is made from."""
        return [self.samples, self.command, *self.image_shards, *([self.statistics] if self.statistics else [])]


@dataclass(frozen=True)
class TrainingSetPart:
    """One training set in one or more layouts."""

    name: str
    exports: Mapping[str, Path]  # layout -> export.json in the folder of the exported set
    template: str | None = None  # crop template of the images

    def __post_init__(self) -> None:
        check_name("training set", self.name)
        unknown = [layout for layout in self.exports if layout not in LAYOUT_FOLDERS]
        if unknown or not self.exports:
            raise BrownidError(
                f"The training set {self.name!r} needs exports in the layouts {', '.join(LAYOUT_FOLDERS)}, not "
                f"{', '.join(unknown) or 'none'}."
            )


@dataclass(frozen=True)
class ModelPart:
    """One trained network with its results."""

    name: str  # of an entry, or `ENTRY/seed_N` of one of its networks
    checkpoint: Path  # .ckpt, of Lightning
    weights: Path  # .safetensors, to load without executing anything
    history: Path  # CSV, one row per epoch
    hyperparameters: Path  # command.yml of the training
    scores: Path  # JSON
    pair_scores: Path  # Parquet, see brownid.verification.pair_scores
    batch: Path | None = None  # picture of a training batch

    def __post_init__(self) -> None:
        check_model_name(self.name)

    def places(self) -> dict[PurePosixPath, Path]:
        """Path in the release -> file it is copied from."""
        folder = PurePosixPath("trained_models")
        results = folder / "results" / self.name
        return {
            folder / f"{self.name}.ckpt": self.checkpoint,
            folder / f"{self.name}.safetensors": self.weights,
            results / "history.csv": self.history,
            results / "hyperparameters.yml": self.hyperparameters,
            results / "scores.json": self.scores,
            results / "pairs.parquet": self.pair_scores,
            # Hugging Face `datasets` takes images whose file names hold "train" for the training split.
            **({results / "batch.png": self.batch} if self.batch else {}),
        }


@dataclass(frozen=True)
class FilePart:
    """Any other file or folder: a database index, a covariate, a table, a figure."""

    source: Path
    path: str  # in the release, below one of `SHARED_FOLDERS`

    def __post_init__(self) -> None:
        place = release_path(self.path)
        if len(place.parts) < 2 or place.parts[0] not in SHARED_FOLDERS:
            folders = ", ".join(SHARED_FOLDERS)
            raise BrownidError(f"The file {self.path!r} must go into one of the release's folders: {folders}.")


def check_name(what: str, name: str) -> None:
    """Raise BrownidError for a name that cannot be a file name everywhere."""
    if not NAME.fullmatch(name):
        raise BrownidError(f"The {what} name {name!r} must consist of letters, digits, '.', '_' and '-'.")


def check_model_name(name: str) -> None:
    """Raise BrownidError for a name that is neither a file name everywhere nor two of them, `ENTRY/seed_N`."""
    entry, slash, network = name.partition("/")
    for part in (entry, network) if slash else (entry,):
        check_name("model", part)


def release_path(text: str) -> PurePosixPath:
    """A path inside a release; one that is absolute, climbs out or holds odd characters is a BrownidError."""
    _check_path(text)
    return PurePosixPath(text)


def _check_path(text: str) -> None:
    if not {"", ".", ".."}.isdisjoint(text.split("/")) or ODD_CHARACTERS.search(text):
        raise BrownidError(f"The path {text!r} is refused: it does not stay plainly inside the release folder.")


MANIFEST = "manifest.csv"
CHECKSUMS = "checksums.sha256"
HEADER = ["path", "bytes", "sha256"]
LONGEST_LINE = 5000  # characters; a path has at most 4096 bytes
# what file managers, notebooks, network file systems and the Hugging Face Hub leave in folders
LEFT_FILES = re.compile(
    r"\._.*|\.gitattributes|\.DS_Store|\.localized|Icon\r|(eh)?thumbs(_vista)?\.db|desktop\.ini|\.directory|\.nfs[0-9a-f]+",
    re.IGNORECASE,
)
LEFT_FOLDERS = re.compile(
    r"\.git|\.cache|\.ipynb_checkpoints|__MACOSX|@eaDir|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd|\.TemporaryItems"
)
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Entry:
    """One file as the manifest lists it."""

    path: str  # inside the release, with '/'
    size: int  # bytes
    checksum: str  # SHA-256, hexadecimal


def files_of(root: Path) -> Iterator[str]:
    """The paths of everything in a release that is no folder, sorted as text; links are included and not followed.

    Holds the names of one folder per level in memory.
    """
    levels = [_names_in(root)]
    folders = [""]
    while levels:
        name = next(levels[-1], None)
        if name is None:
            levels.pop()
            folders.pop()
        elif name.endswith("/"):
            folders.append(folders[-1] + name)
            levels.append(_names_in(root / folders[-1]))
        else:
            yield folders[-1] + name


def _names_in(folder: Path) -> Iterator[str]:
    """The names in a folder, those of folders with a slash at the end: so they sort as the paths below them do."""
    with os.scandir(folder) as found:
        return iter(sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in found))


def is_left_behind(path: str) -> bool:
    """Whether file managers and the like leave a file of this path, which is then no part of a release."""
    *folders, name = path.split("/")
    return bool(LEFT_FILES.fullmatch(name)) or any(LEFT_FOLDERS.fullmatch(part) for part in (*folders, name))


def strange_kind(root: Path, path: str) -> str | None:
    """Kind of file at a path of a release that is not a plain file, such as "a pipe"; None for a plain file.

    Nothing is opened and no link is followed, not in the folders on the way either. FileNotFoundError where there is
    nothing.
    """
    place = root
    for part in path.split("/"):
        place /= part
        kind = stat.S_IFMT(place.lstat().st_mode)
        if kind == stat.S_IFLNK:
            break
    return KINDS.get(kind)


def write_manifest(root: Path, known: Mapping[str, str] | None = None) -> None:
    """List every file below `root`, sorted by path, in both files; the checksums cover the manifest as well.

    `known` is the SHA-256 of files, by path, that need not be computed again.
    """
    count = sum(1 for _ in files_of(root))
    paths = (path for path in files_of(root) if path not in (MANIFEST, CHECKSUMS))
    with (
        open(root / MANIFEST, "w", newline="", encoding="utf-8") as manifest,
        open(root / CHECKSUMS, "w", encoding="utf-8") as checksums,
    ):
        writer = csv.writer(manifest, lineterminator="\n")
        writer.writerow(HEADER)
        for path in progress(paths, "computing checksums", "file", total=count):
            file = root / path
            checksum = (known or {}).get(path) or sha256(file)
            writer.writerow([path, file.stat().st_size, checksum])
            checksums.write(_checksum_line(checksum, path))
        manifest.close()
        checksums.write(_checksum_line(sha256(root / MANIFEST), MANIFEST))


def manifest_entries(root: Path, below: str = "") -> Iterator[Entry]:
    """The entries of a release's manifest, sorted by path, a line at a time; only those whose paths begin with `below`.

    A missing or unreadable manifest, a path listed twice or out of order and a path that leaves the release are a
    BrownidError.
    """
    path, before = root / MANIFEST, ""
    for line, row in enumerate(_rows(root, path), start=1):
        if line == 1:
            if row != HEADER:
                raise BrownidError(f"{path}: the manifest does not begin with {','.join(HEADER)}.")
            continue
        if below and row and not row[0].startswith(below):
            continue
        well = len(row) == len(HEADER) and re.fullmatch("[0-9]{1,18}", row[1]) and re.fullmatch("[0-9a-f]{64}", row[2])
        if not well:
            raise BrownidError(f"{path}: line {line} of the manifest is not a path, a size and a SHA-256.")
        try:
            _check_path(row[0])
        except BrownidError as error:
            raise BrownidError(f"{path}: line {line}: {error}") from None
        if row[0] <= before:
            raise BrownidError(f"{path}: line {line} lists {row[0]} a second time, or out of order.")
        before = row[0]
        yield Entry(row[0], int(row[1]), row[2])


def _rows(root: Path, path: Path) -> Iterator[list[str]]:
    """The rows of a manifest, the header first, a line at a time."""
    try:
        kind = strange_kind(root, MANIFEST)
        if kind is not None:
            raise BrownidError(f"{path}: this is {kind}; a release holds plain files only.")
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.reader(iter(lambda: file.readline(LONGEST_LINE), ""))
            yield next(rows, [])
            yield from rows
    except FileNotFoundError:
        raise BrownidError(f"{root}: there is no {MANIFEST}, so this is no release, or not a whole one.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BrownidError(f"{path}: the manifest cannot be read ({error}).") from None


def checksum_problems(root: Path) -> Iterator[str]:
    """Problems of checksums.sha256, given a readable manifest; both are read side by side, a line at a time."""
    try:
        kind = strange_kind(root, CHECKSUMS)
        if kind is not None:
            yield f"{CHECKSUMS}: this is {kind}; a release holds plain files only."
            return
        with open(root / CHECKSUMS, encoding="utf-8") as file:
            lines = iter(lambda: file.readline(LONGEST_LINE), "")
            yield from (
                f"{CHECKSUMS}: the line of {path} is missing or differs from {MANIFEST}."
                for path in _different_lines(_checksum_lines(root), lines)
            )
    except (OSError, UnicodeDecodeError) as error:
        yield f"{CHECKSUMS}: the file is missing or cannot be read ({error})."


def _different_lines(expected: Iterator[str], found: Iterator[str]) -> Iterator[str]:
    """The paths of lines that are in one of two files of checksums only, whose paths are sorted, the manifest last."""
    wanted, line = next(expected, ""), next(found, "")
    while wanted or line:
        if wanted == line:
            wanted, line = next(expected, ""), next(found, "")
            continue
        ours, theirs = _place_in_checksums(wanted), _place_in_checksums(line)
        yield (ours if ours <= theirs else theirs)[1]
        if ours <= theirs:
            wanted = next(expected, "")
        if theirs <= ours:
            line = next(found, "")


def _place_in_checksums(line: str) -> tuple[int, str]:
    """What lines are sorted by: the path, the manifest after all others, and no line at all last."""
    path = line.rstrip("\n").partition("  ")[2] or line.rstrip("\n")
    return (0 if line and path != MANIFEST else 1 if line else 2, path)


def _checksum_lines(root: Path) -> Iterator[str]:
    for entry in manifest_entries(root):
        yield _checksum_line(entry.checksum, entry.path)
    yield _checksum_line(sha256(root / MANIFEST), MANIFEST)


def _checksum_line(checksum: str, path: str) -> str:
    return f"{checksum}  {path}\n"
