"""The rows of a training set in each of its layouts, from anywhere, in parts, and with bounded memory.

For each layout, `pieces` lists what one process reads at a time, and `rows` reads one piece. Paths in messages begin at
the folder of the release. No image is decoded here, and none is handed on that is larger than it can be.
"""

import json
import re
import struct
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from brownid.databases import recordio
from brownid.exports.lmdb import ARRAY_2, ARRAY_32, packed
from brownid.exports.parquet import TEXTS, column_types
from brownid.exports.webdataset import shard_name
from brownid.release.contents import manifest_entries
from brownid.release.file_checks import check_plain, largest_image
from brownid.release.metadata import ReleasedSetRecord
from brownid.runtime.errors import BrownidError, one_line, pip_install
from brownid.runtime.text import read_json
from brownid.samples import parquet_pages

ROWS_PER_PIECE = 4096
LONGEST_TEXT = 4096  # bytes of an identity, sample or dataset
LONGEST_LINE = 2**15  # characters of a line of a text file, bytes of a member of a tar file that is no image


class Row(NamedTuple):
    """One image of a training set; None is what its layout does not hold."""

    number: int  # its place in the training set
    label: int
    image: memoryview | bytes
    identity: str | None = None
    sample: str | None = None
    dataset: str | None = None


class Source(NamedTuple):
    """A training set of a release in one of its layouts."""

    root: Path
    record: ReleasedSetRecord
    layout: str

    @property
    def folder(self) -> str:
        """Its folder in the release."""
        return self.record.folder(self.layout)

    def files(self, suffix: str) -> list[str]:
        """The names of its files of this suffix, as the manifest lists them."""
        start = f"{self.folder}/"
        names = (entry.path.removeprefix(start) for entry in manifest_entries(self.root, below=start))
        return [name for name in names if name.endswith(suffix)]

    def plain(self, name: str) -> Path:
        """The path of one of its files; BrownidError where that is no plain file."""
        check_plain(self.root, f"{self.folder}/{name}")
        return self.root / self.folder / name

    def check_size(self, size: int, number: int) -> None:
        """Raise BrownidError where the encoded image of row `number` is larger than it can be."""
        if size > largest_image(self.record.image_size):
            raise BrownidError(f"{self.folder}: the image of row {number} has {size} bytes, more than it can have.")


def parquet_pieces(source: Source) -> Iterator[tuple[str, int, int, int]]:
    """File, first row group, the one past the last, and the first row."""
    names = source.files(".parquet")
    first_row = 0
    for name in [f"train-{number:05d}-of-{len(names):05d}.parquet" for number in range(len(names))]:
        metadata = _parquet(source.plain(name)).metadata
        group = rows = 0
        for end in range(1, metadata.num_row_groups + 1):
            rows += metadata.row_group(end - 1).num_rows
            if rows >= ROWS_PER_PIECE or end == metadata.num_row_groups:
                yield name, group, end, first_row
                group, first_row, rows = end, first_row + rows, 0


def parquet_rows(
    source: Source, piece: tuple[str, int, int, int], columns: Callable[[pa.Table, int], None]
) -> Iterator[Row]:
    """The rows of some row groups; `columns(table, first_row)` gets each row group for what it holds besides."""
    name, group, end, number = piece
    path = source.plain(name)
    file = _parquet(path)
    expected = column_types(source.record)
    for at in range(group, end):
        table = parquet_pages.read_groups(file, path, [at], ["image.bytes"])
        found = {field.name: _plain_type(field.type) for field in table.schema}
        if found != expected or len(table.schema) != len(expected):
            wrong = sorted({*found.items()} ^ {*expected.items()}, key=str)
            what = (
                f"the column {wrong[0][0]} is missing, unknown or of another type" if wrong else "a column occurs twice"
            )
            raise BrownidError(f"{path}: {what}.")
        columns(table, number)
        texts = [_texts(path, table, column) for column in TEXTS]
        images = (image for chunk in table["image"].chunks for image in chunk.field("bytes"))
        for label, identity, sample, dataset, image in zip(table["label"].to_pylist(), *texts, images, strict=True):
            content = image.as_buffer()
            if content is None or label is None:
                raise BrownidError(f"{path}: row {number} of the training set has no image or no label.")
            source.check_size(len(content), number)
            yield Row(number, label, memoryview(content).cast("B"), identity, sample, dataset)
            number += 1


@lru_cache(maxsize=2)
def _parquet(path: Path) -> pq.ParquetFile:
    return parquet_pages.opened(path, TEXTS)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _texts(path: Path, table: pa.Table, name: str) -> list[str]:
    """A column of texts, none longer than texts of its kind are."""
    found = []
    for chunk in table[name].chunks:
        words = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        longest = pa.compute.max(pa.compute.binary_length(words)).as_py() or 0
        if longest > LONGEST_TEXT or chunk.null_count:
            raise BrownidError(f"{path}: the column {name} has a text of {longest} bytes, or none for some rows.")
        found += chunk.to_pylist()
    return found


def class_names(source: Source) -> list[str] | None:
    """The names of the classes by label, as the features in the Parquet files have them."""
    names = source.files(".parquet")
    if not names:
        return None
    path = source.plain(names[0])
    try:
        text = (_parquet(path).metadata.metadata or {})[b"huggingface"]
        found = json.loads(text)["info"]["features"]["label"].get("names")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise BrownidError(f"{path}: the features of its columns cannot be read ({one_line(error)}).") from None
    return found if isinstance(found, list) else None


def recordio_pieces(source: Source) -> Iterator[list[tuple[int, int, int]]]:
    """Row, first byte and size of some thousand records of images; the other records and files are checked on the way.

    BrownidError where train.idx, train.tsv, property or the records of identities do not fit the records of images.
    """
    path, record = source.plain("train.rec"), source.record
    _check_property(source)
    piece: list[tuple[int, int, int]] = []
    with (
        open(source.plain("train.idx"), encoding="ascii", errors="replace") as index,
        open(source.plain("train.tsv"), encoding="utf-8", errors="replace") as names,
    ):
        row, persons = 0, 0
        firsts: list[int] = []  # the number of the first record of each class
        headed = False
        for number, found in enumerate(recordio.scan(path)):
            if index.readline(LONGEST_LINE) != f"{number}\t{found.byte}\n":
                raise BrownidError(f"{source.folder}/train.idx: line {number + 1} is not that of record {number}.")
            if found.image:
                start, _, label = names.readline(LONGEST_LINE).rstrip("\n").rpartition("\t")
                if (start.partition("\t")[0], label) != (str(number), f"{found.label:.0f}"):
                    raise BrownidError(f"{source.folder}/train.tsv: line {row + 1} is not that of record {number}.")
                if found.label == len(firsts):
                    firsts.append(number)
                piece.append((row, found.byte, found.end - found.byte))
                row += 1
                if len(piece) == ROWS_PER_PIECE:
                    yield piece
                    piece = []
                continue
            labels, _ = recordio.read_record(path, found.byte)
            if number == 0:
                headed, expected = True, [record.rows + 1, record.rows + 1 + record.classes]
            else:  # where the records of a person's images begin and end
                expected = ([*firsts[persons : persons + 2], record.rows + 1])[:2]
                persons += 1
            if labels != expected:
                raise BrownidError(f"{path}: the record {number} has the labels {labels} instead of {expected}.")
        if persons != (record.classes if headed else 0):
            raise BrownidError(f"{path}: it has {persons} records of identities, and {record.classes} classes.")
        if index.readline(LONGEST_LINE) or names.readline(LONGEST_LINE):
            raise BrownidError(f"{source.folder}: train.idx or train.tsv has more lines than train.rec has records.")
    if piece:
        yield piece


def _check_property(source: Source) -> None:
    size = source.record.image_size
    expected = f"{source.record.classes},{size},{size}"
    with open(source.plain("property"), encoding="utf-8", errors="replace") as file:
        if (found := file.readline(LONGEST_LINE).strip()) != expected:
            raise BrownidError(f"{source.folder}/property: it says {found!r} instead of {expected!r}.")


def recordio_rows(source: Source, piece: list[tuple[int, int, int]], columns: object) -> Iterator[Row]:
    """The rows of some records."""
    path = source.plain("train.rec")
    for number, byte, size in piece:
        source.check_size(size, number)
        labels, image = recordio.read_record(path, byte)
        if len(labels) != 1 or not 0 <= labels[0] <= recordio.LARGEST_LABEL or not labels[0].is_integer():
            raise BrownidError(f"{path}: the image at byte {byte} has the labels {labels}, not the number of a class.")
        yield Row(number, int(labels[0]), image)


def webdataset_pieces(source: Source) -> Iterator[tuple[str, int]]:
    """The name of each shard, and how many images index.json says it has."""
    names = source.files(".tar")
    expected = [shard_name(shard) for shard in range(len(names))]
    content = read_json(source.plain("index.json"))
    try:
        lengths = {entry["url"]: entry["nsamples"] for entry in content["shardlist"]}
        well = list(lengths) == expected and all(type(length) is int for length in lengths.values())
    except (KeyError, TypeError):
        well = False
    if not well:
        raise BrownidError(f"{source.folder}/index.json: it does not list the {len(names)} shards that are there.")
    for name in expected:
        yield name, lengths[name]


def webdataset_rows(source: Source, piece: tuple[str, int], columns: object) -> Iterator[Row]:
    """The rows of a shard, which are in no order."""
    name, length = piece
    path = source.plain(name)
    count = 0
    with open(path, "rb") as file:
        while member := _member(source, path, file):
            key, image = member
            members = {suffix: _text_member(source, path, file, f"{key}{suffix}") for suffix in (".cls", ".json")}
            try:
                about = json.loads(members[".json"])
                number, texts = int(key), [about[name] for name in TEXTS]
                well = all(isinstance(text, str) for text in texts) and type(about["label"]) is int
                well = well and members[".cls"] == str(about["label"]).encode()
            except (ValueError, KeyError, TypeError, RecursionError):
                well = False
            if not well:
                raise BrownidError(f"{path}: {key}.cls and {key}.json do not say the same class, or name no identity.")
            yield Row(number, about["label"], image, *texts)
            count += 1
    if count != length:
        raise BrownidError(f"{path}: the shard has {count} images, index.json says {length}.")


def _member(source: Source, path: Path, file: BinaryIO) -> tuple[str, bytes] | None:
    """Key and content of the image at which a tar file stands; None at its end."""
    header = _tar_header(path, file)
    if header is None:
        return None
    key, _, suffix = header.name.partition(".")
    if not re.fullmatch("[0-9]{9,18}", key) or suffix not in ("png", "jpg"):
        raise BrownidError(f"{path}: {one_line(header.name)} is not the image of a row.")
    source.check_size(header.size, int(key))
    return key, _content(path, file, header)


def _text_member(source: Source, path: Path, file: BinaryIO, name: str) -> bytes:
    header = _tar_header(path, file)
    if header is None or header.name != name or header.size > LONGEST_LINE:
        raise BrownidError(f"{path}: the member {name} is missing, or is too long.")
    return _content(path, file, header)


def _tar_header(path: Path, file: BinaryIO) -> tarfile.TarInfo | None:
    """The header at which a tar file stands; None at its end. Only plain files are accepted."""
    block = file.read(tarfile.BLOCKSIZE)
    if block == bytes(tarfile.BLOCKSIZE):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError as error:
        raise BrownidError(f"{path}: the tar file is cut off or damaged ({one_line(error)}).") from None
    if header.type != tarfile.REGTYPE or header.size < 0:
        raise BrownidError(f"{path}: the member {one_line(header.name)} is not a plain file.")
    return header


def _content(path: Path, file: BinaryIO, header: tarfile.TarInfo) -> bytes:
    padded = -(-header.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    content = file.read(padded)
    if len(content) < padded:
        raise BrownidError(f"{path}: the tar file is cut off within {one_line(header.name)}.")
    return content[: header.size]


def lmdb_pieces(source: Source) -> Iterator[tuple[int, int]]:
    """First row and the one past the last. The file itself is opened by `lmdb_rows` alone."""
    source.plain("train.lmdb")
    for start in range(0, source.record.rows, ROWS_PER_PIECE):
        yield start, min(start + ROWS_PER_PIECE, source.record.rows)


def lmdb_rows(source: Source, piece: tuple[int, int], columns: object) -> Iterator[Row]:
    """Some rows of an LMDB file. The library trusts what it reads: call this in a process that may be killed."""
    path = source.plain("train.lmdb")
    environment = _lmdb(path)
    with _lmdb_errors(path), environment.begin(buffers=True) as transaction:
        if piece[0] == 0:
            _check_keys(source, path, environment, transaction)
        for number in range(*piece):
            value = transaction.get(str(number).encode())
            if value is None:
                raise BrownidError(f"{path}: the key {number} is missing.")
            source.check_size(len(value), number)
            image, label = _unpacked(path, number, bytes(value))
            yield Row(number, label, image)


@lru_cache(maxsize=1)
def _lmdb(path: Path) -> Any:
    with _lmdb_errors(path) as library:
        environment = library.open(str(path), subdir=False, readonly=True, lock=False, readahead=False)
        pages = environment.info()["last_pgno"] + 1
        if pages * environment.stat()["psize"] > path.stat().st_size:
            raise BrownidError(f"{path}: the file is cut off: it has fewer than its {pages} pages.")
    return environment


@contextmanager
def _lmdb_errors(path: Path) -> Iterator[Any]:
    """The library lmdb, whose errors become a BrownidError."""
    try:
        import lmdb
    except ImportError:
        raise BrownidError(f"{path}: to verify it needs the Python package lmdb: {pip_install('lmdb')}.") from None
    try:
        yield lmdb
    except lmdb.Error as error:
        raise BrownidError(f"{path}: the LMDB file cannot be read ({one_line(error)}).") from None


def _check_keys(source: Source, path: Path, environment: Any, transaction: Any) -> None:
    """Raise BrownidError where the keys that are no rows do not say what the rows are."""
    rows = source.record.rows
    for key, expected in {b"__len__": rows, b"__classnum__": source.record.classes}.items():
        value = transaction.get(key)
        if value is None or bytes(value[:16]) != packed(expected):
            raise BrownidError(f"{path}: {key.decode()} is not {expected}.")
    value = memoryview(transaction.get(b"__keys__") or b"")
    place = 5
    well = bytes(value[:place]) == struct.pack(">BI", ARRAY_32, rows)
    for start in range(0, rows, ROWS_PER_PIECE):
        keys = b"".join(packed(str(number).encode()) for number in range(start, min(start + ROWS_PER_PIECE, rows)))
        well = well and bytes(value[place : place + len(keys)]) == keys
        place += len(keys)
    if not well or len(value) != place or environment.stat()["entries"] != rows + 3:
        raise BrownidError(f"{path}: its keys are not those of {rows} rows, or __keys__ does not list them.")


def _unpacked(path: Path, number: int, value: bytes) -> tuple[bytes, int]:
    """Encoded image and class of a value, an array of two in msgpack."""
    width = {0xC4: 1, 0xC5: 2, 0xC6: 4}.get(value[1] if len(value) > 1 else 0, 0)
    start = 2 + width
    size = int.from_bytes(value[2:start])
    image, rest = value[start : start + size], value[start + size :]
    label = int.from_bytes(rest[1:]) if len(rest) > 1 else int.from_bytes(rest)
    if not width or value[0] != ARRAY_2 or len(image) < size or not rest or packed(label) != rest:
        raise BrownidError(f"{path}: the value of the key {number} is not an image and its class.")
    return image, label


class Reader(NamedTuple):
    """How the rows of a layout are read."""

    pieces: Callable[[Source], Iterator[Any]]
    rows: Callable[[Source, Any, Callable[[pa.Table, int], None]], Iterator[Row]]


READERS = {
    "parquet": Reader(parquet_pieces, parquet_rows),
    "recordio": Reader(recordio_pieces, recordio_rows),
    "webdataset": Reader(webdataset_pieces, webdataset_rows),
    "lmdb": Reader(lmdb_pieces, lmdb_rows),
}
