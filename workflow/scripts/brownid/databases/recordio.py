"""Databases in one record file, as insightface distributes them: train.rec, next to train.idx and property.

A record file (MXNet's RecordIO) is a sequence of records. A record is one part, or several: where the payload has the
magic number at a multiple of four bytes, it is cut there and the number is left out. All numbers are little-endian.

    part     uint32 magic 0xced7230a, uint32 (kind << 29 | length), `length` bytes, zeros up to a multiple of four;
             kind: 0 a whole record, 1 its first part, 2 one in between, 3 its last part
    payload  uint32 flag, float32 label, uint64 id, uint64 id2, `flag` float32 labels where flag > 0, the encoded image

In insightface's files record 0 has no image and two labels: the first number past the images, and past the records of
identities, which come last, have no image either, and say which images each person has. An image's label is its class,
0 to n - 1; of several labels the first one counts. train.idx has a line `number<TAB>byte` for each record; property
says `classes,height,width`.

All records are read once when a database is indexed, because their labels stand in them; an index file that does not
fit them is of no use and is passed over. Images are addressed by the byte at which their record begins:
`train.rec#1234`. Nothing is kept of a record but that byte and its label.
"""

import os
import re
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.listing import RECORDS_SUFFIX, find_images, path_of, path_text, suffix_of
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger, progress

MAGIC = 0xCED7230A
WHOLE, FIRST, BETWEEN, LAST = range(4)
LENGTH_BITS = 29
ALIGNMENT = 4
PART_HEADER = struct.Struct("<II")
RECORD_HEADER = struct.Struct("<IfQQ")
LARGEST_LABEL = 1 << 24  # beyond, float32 does not hold every whole number
IDENTITY_FLAG = 2  # of records that have labels and no image
BUFFER = 1 << 20
LARGEST_RECORD = 1 << 28  # bytes that are read of one record
PROTOCOL, GROUP = "default", "train"

_ADDRESS = re.compile(rf"(?P<file>.+{re.escape(RECORDS_SUFFIX)})#(?P<byte>[0-9]+)", re.IGNORECASE | re.DOTALL)


class Record(NamedTuple):
    """One record of a file."""

    byte: int  # where it begins
    end: int  # where the next one begins
    flag: int
    label: float  # the first of its labels
    image: bool  # whether it has more than labels


class Records(NamedTuple):
    """The images of a record file in the order of the file, and what its other records say."""

    bytes: np.ndarray  # int64 [n], where each image's record begins
    numbers: np.ndarray  # int64 [n], the records' numbers: those of train.idx, else their places in the file
    labels: np.ndarray  # int64 [n]
    promised: int | None  # how many images record 0 says there are; None without such a record


def address(path: str, byte: int) -> str:
    """The path of the image whose record begins at `byte` of the record file `path`."""
    return f"{path}#{byte}"


def split_address(path: str | os.PathLike[str]) -> tuple[Path, int] | None:
    """The record file and the byte of an `address`; None for any other path."""
    found = _ADDRESS.fullmatch(os.fspath(path))
    return (path_of(found["file"]), int(found["byte"])) if found else None


def read_image(path: str | Path, byte: int) -> bytes:
    """The encoded image of the record that begins at `byte`; BrownidError with the reason where there is none."""
    _, image = read_record(path, byte)
    if not image:
        raise BrownidError("the record holds no image")
    return image


def read_record(path: str | Path, byte: int) -> tuple[list[float], bytes]:
    """The labels of the record that begins at `byte`, and its encoded image, which is empty where it has none.

    BrownidError with the reason where there is no such record.
    """
    try:
        with open(path, "rb") as file:
            payload = _payload(file, path, byte)
    except FileNotFoundError:
        raise BrownidError("the record file is missing") from None
    except OSError as error:
        raise BrownidError(f"the record file cannot be read ({error.strerror})") from None
    flag, label, _, _ = RECORD_HEADER.unpack_from(payload)
    labels = list(struct.unpack_from(f"<{flag}f", payload, RECORD_HEADER.size)) if flag else [label]
    return labels, payload[RECORD_HEADER.size + 4 * flag :]


def scan(path: str | Path) -> Iterator[Record]:
    """The records of a file in its order, read once and without their images.

    BrownidError naming the file and the byte where the file is cut off, or is no record file from there on.
    """
    try:
        with open(path, "rb", buffering=BUFFER) as file:
            size = file.seek(0, 2)
            byte = file.seek(0)
            while byte < size:
                record = _scan_record(file, path, byte, size)
                yield record
                byte = record.end
    except OSError as error:
        raise BrownidError(f"{path}: the record file cannot be read ({error.strerror}).") from None


def find_records(root: str | Path) -> Path:
    """The record file of the folder `root`: train.rec, or the only one; BrownidError where there is none."""
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise BrownidError(f"{root}: the folder cannot be read ({error.strerror}).") from None
    found = [Path(root) / name for name in names if suffix_of(name) == RECORDS_SUFFIX]
    named = [path for path in found if path.stem.lower() == "train"]
    if len(named or found) == 1:
        return (named or found)[0]
    if found:
        raise BrownidError(
            f"{root} has several record files, {', '.join(path.name for path in found)}, none train.rec."
        )
    below = find_images(root).record_files
    remedy = f"give {(Path(root) / below[0]).parent} instead" if below else "check the folder"
    raise BrownidError(f"There is no record file such as train.rec in {root}; {remedy}.")


def read_records(path: str | Path) -> Records:
    """The images of a record file, 24 bytes of memory each.

    BrownidError for a file that is cut off or damaged, or without images, and for a label that is no whole number.
    """
    starts, image_rows, labels = array("q"), array("q"), array("q")
    promised = None
    for row, record in enumerate(progress(scan(path), "read records", "record")):
        starts.append(record.byte)
        if not record.image and record.flag >= IDENTITY_FLAG:
            if row == 0 and record.label.is_integer():
                promised = int(record.label) - 1
            continue
        if not (0 <= record.label <= LARGEST_LABEL and record.label.is_integer()):
            raise BrownidError(
                f"{path}: the record at byte {record.byte} has the label {record.label:g}; the label of an image must "
                f"be a whole number from 0 to {LARGEST_LABEL}, which tells the person."
            )
        image_rows.append(row)
        labels.append(int(record.label))
    if not image_rows:
        raise BrownidError(f"{path}: there is no image in this record file; get it again.")
    begins, rows = np.array(starts, np.int64), np.array(image_rows, np.int64)
    return Records(begins[rows], _numbers(Path(path), begins)[rows], np.array(labels, np.int64), promised)


def record_samples(root: str | Path) -> Iterator[Sample]:
    """The images of the record file of `root` as samples, whose labels are the identities; see `read_records`."""
    file = find_records(root)
    records = read_records(file)
    if records.promised is not None and records.promised != len(records.labels):
        logger.warning("%s: record 0 says %d images, there are %d", file, records.promised, len(records.labels))
    name = path_text(file.name)
    for byte, number, label in zip(records.bytes, records.numbers, records.labels, strict=True):
        yield Sample(f"{number:08}", address(name, byte), int(label))


def index_records(root: str | Path, index: str | Path) -> int:
    """Index the images of `train.rec` in `root`; returns their number. The identities are the labels."""
    images, identities = 0, set()

    def counted() -> Iterator[Sample]:
        nonlocal images
        for sample in record_samples(root):
            images += 1
            identities.add(sample.identity)
            yield sample

    DatabaseIndex.create(index, counted(), {PROTOCOL: {GROUP: None}})
    _compare_with_property(Path(root) / "property", len(identities))
    logger.info("indexed %d images of %d identities in the record file of %s", images, len(identities), root)
    return images


def _compare_with_property(path: Path, identities: int) -> None:
    if not path.is_file():
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.readline(200).strip()
    classes = text.split(",")[0].strip()
    if classes != str(identities):
        logger.warning("%s says %r, which should begin with the number of identities, %d", path, text, identities)


def _numbers(path: Path, begins: np.ndarray) -> np.ndarray:
    """The number of each record, int64 `[n]`: those of the index file where it fits the records, else their places."""
    index = path.with_suffix(".idx")
    places = np.arange(len(begins))
    if not index.is_file():
        logger.info("%s is missing: the records are numbered by their places in %s", index, path.name)
        return places
    try:
        lines = np.loadtxt(index, dtype=np.int64, ndmin=2) if index.stat().st_size else np.empty((0, 2), np.int64)
    except (OSError, ValueError):
        lines = np.empty((0, 2), np.int64)
    lines = lines[np.argsort(lines[:, -1], kind="stable")]
    fits = lines.shape[1] == 2 and np.array_equal(lines[:, 1], begins)
    if fits and lines[:, 0].min() >= 0 and len(np.unique(lines[:, 0])) == len(lines):
        return lines[:, 0]
    logger.warning(
        "%s is damaged or not of %s: it is not used, the %d records are found by reading that file and numbered by "
        "their places",
        index,
        path.name,
        len(begins),
    )
    return places


def _scan_record(file: BinaryIO, path: str | Path, byte: int, size: int) -> Record:
    """The record at `byte`, where `file` stands; afterwards it stands at the next one."""
    kind, length = _part(file, path, byte, byte, size)
    end = byte + PART_HEADER.size + _padded(length)
    if kind == WHOLE:
        payload, total = file.read(min(length, RECORD_HEADER.size + 4)), length
        file.seek(end)
    else:
        payload = _payload(file, path, byte)
        total, end = len(payload), file.tell()
    flag, label = _header(payload, total, path, byte)
    return Record(byte, end, flag, label, total > RECORD_HEADER.size + 4 * flag)


def _payload(file: BinaryIO, path: str | Path, byte: int) -> bytes:
    """The payload of the record at `byte`, its parts joined."""
    size = file.seek(0, 2)
    place = file.seek(byte)
    parts: list[bytes] = []
    total = 0
    while True:
        kind, length = _part(file, path, byte, place, size)
        if kind not in ((BETWEEN, LAST) if parts else (WHOLE, FIRST)):
            raise BrownidError(f"{path}: the record at byte {byte} has no regular parts; the file is damaged.")
        total += length + PART_HEADER.size
        if total > LARGEST_RECORD:
            raise BrownidError(f"{path}: the record at byte {byte} has more than {LARGEST_RECORD} bytes.")
        parts.append(file.read(length))
        place = file.seek(place + PART_HEADER.size + _padded(length))
        if kind in (WHOLE, LAST):
            payload = struct.pack("<I", MAGIC).join(parts)
            _header(payload, len(payload), path, byte)
            return payload


def _part(file: BinaryIO, path: str | Path, byte: int, place: int, size: int) -> tuple[int, int]:
    """Kind and length of the part at `place`, of the record at `byte`, in a file of `size` bytes."""
    header = file.read(PART_HEADER.size)
    if len(header) < PART_HEADER.size:
        raise BrownidError(
            f"{path}: the file is cut off: it ends at byte {size}, within the record at byte {byte}; get it again."
        )
    magic, word = PART_HEADER.unpack(header)
    if magic != MAGIC:
        raise BrownidError(f"{path}: no record begins at byte {place}; the file is damaged or no record file.")
    kind, length = word >> LENGTH_BITS, word & (1 << LENGTH_BITS) - 1
    if place + PART_HEADER.size + length > size:
        raise BrownidError(
            f"{path}: the file is cut off: it ends at byte {size}, within the record at byte {byte}; get it again."
        )
    return kind, length


def _header(payload: bytes, total: int, path: str | Path, byte: int) -> tuple[int, float]:
    """Flag and first label of a record of `total` bytes that begins with `payload`."""
    if len(payload) < RECORD_HEADER.size:
        raise BrownidError(f"{path}: the record at byte {byte} is too short for a label; the file is damaged.")
    flag, label, _, _ = RECORD_HEADER.unpack_from(payload)
    if total < RECORD_HEADER.size + 4 * flag:
        raise BrownidError(f"{path}: the record at byte {byte} is too short for {flag} labels; the file is damaged.")
    return flag, struct.unpack_from("<f", payload, RECORD_HEADER.size)[0] if flag else label


def _padded(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT
