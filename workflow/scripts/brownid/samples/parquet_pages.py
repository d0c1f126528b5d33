"""Parquet files from anywhere, with bounded memory: what pages and footer declare is checked before they are read.

A page says how many bytes it becomes, and a few bytes can stand for gigabytes: by a codec, by a dictionary whose long
entries are repeated, by delta encodings. pyarrow allocates what a page says. Here each page header of a row group is
read first (Thrift's compact protocol; apache/parquet-format, parquet.thrift).
"""

import struct
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.files import check_regular

MAGIC = b"PAR1"
LARGEST_FOOTER = 2**25  # bytes; 100 000 class names take some 10 MB
MOST_ENTRIES = 2**20  # of a list in the footer
MOST_ROWS = 2**16  # of a row group
LARGEST_GROUP = 2**29  # bytes of a row group, as its pages declare them
HEADER_BYTES = (2**10, 2**20)  # that are read of a page header: at first, and at most
CODECS = ("UNCOMPRESSED", "SNAPPY")
VALUE_BYTES = 8  # of memory for a number, or for where a text ends
MOST_SNAPPY = 64  # bytes that one byte of Snappy's format can stand for: it copies 64 bytes by a tag of 3
# numbers of parquet.thrift
UNCOMPRESSED_SIZE, COMPRESSED_SIZE = 2, 3  # fields of PageHeader
DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2 = 5, 7, 8
VALUES = 1  # field of the header of each kind of page
ENCODING_FIELD = {DATA_PAGE: 2, DICTIONARY_PAGE: 2, DATA_PAGE_2: 4}
PLAIN, PLAIN_DICTIONARY, RLE, DELTA_NUMBERS, RLE_DICTIONARY, SPLIT_BYTES = 0, 2, 3, 5, 8, 9
ENCODINGS = {PLAIN, PLAIN_DICTIONARY, RLE, DELTA_NUMBERS, RLE_DICTIONARY, SPLIT_BYTES}


def opened(path: str | Path, dictionaries: Collection[str] = ()) -> pq.ParquetFile:
    """A Parquet file whose footer is bounded; columns named in `dictionaries` come as dictionaries of their texts.

    BrownidError for a file that is none, is damaged, or has row groups of more rows than `MOST_ROWS`.
    """
    check_regular(path)
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            footer, magic = struct.unpack("<I4s", file.read(8).rjust(8, b"\0"))
        if magic != MAGIC or footer > min(LARGEST_FOOTER, size):
            raise BrownidError(f"{path}: this is no Parquet file, or it is cut off; get it again.")
        limits = {"thrift_string_size_limit": LARGEST_FOOTER, "thrift_container_size_limit": MOST_ENTRIES}
        metadata = pq.ParquetFile(path, **limits).metadata
        there = {metadata.schema.column(place).path for place in range(metadata.num_columns)}
        found = pq.ParquetFile(
            path, metadata=metadata, memory_map=True, read_dictionary=[name for name in dictionaries if name in there]
        )
        for group in range(found.num_row_groups):
            rows = found.metadata.row_group(group).num_rows
            if not 0 <= rows <= MOST_ROWS:
                raise BrownidError(f"{path}: row group {group} declares {rows} rows; at most {MOST_ROWS} are read.")
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from None
    return found


def read_groups(file: pq.ParquetFile, path: str | Path, groups: Iterable[int], plain: Collection[str]) -> pa.Table:
    """These row groups, after a check of their pages; columns named in `plain` may not be compressed or repeated.

    BrownidError for pages that declare more than they can hold, and for anything that cannot be read.
    """
    groups = list(groups)
    try:
        with open(path, "rb") as content:
            for group in groups:
                _check_group(content, path, file.metadata.row_group(group), group, plain)
        return file.read_row_groups(groups, use_threads=False)
    except (OSError, ValueError, IndexError, KeyError, TypeError, struct.error, pa.ArrowException) as error:
        raise unreadable(path, error) from None


def unreadable(path: str | Path, error: BaseException) -> BrownidError:
    """The sentence for a file that pyarrow cannot read."""
    return BrownidError(f"{path}: the Parquet file cannot be read ({one_line(error).rstrip('.')}); get it again.")


def _check_group(content: BinaryIO, path: str | Path, group: Any, number: int, plain: Collection[str]) -> None:
    size = content.seek(0, 2)
    total = 0
    for place in range(group.num_columns):
        column = group.column(place)
        name = f"{path}: row group {number}, column {column.path_in_schema}"
        if column.compression not in (CODECS[:1] if column.path_in_schema in plain else CODECS):
            raise BrownidError(f"{name} is compressed by {column.compression}, which this column may not be.")
        starts = [column.data_page_offset]
        starts += [column.dictionary_page_offset] if column.has_dictionary_page else []
        start, length = min(starts), column.total_compressed_size
        if start < 0 or length < 0 or start + length > size or column.file_path:
            raise BrownidError(f"{name} does not lie in the file.")
        total += _declared(content, name, start, length, column.path_in_schema in plain)
        if total > LARGEST_GROUP:
            raise BrownidError(f"{path}: row group {number} declares more than {LARGEST_GROUP} bytes.")


def _declared(content: BinaryIO, name: str, start: int, length: int, plain: bool) -> int:
    """The bytes that the pages of a column chunk declare."""
    total, place = 0, start
    while place < start + length:
        header, header_bytes = _page_header(content, place, start + length)
        compressed, uncompressed = header[COMPRESSED_SIZE], header[UNCOMPRESSED_SIZE]
        place += header_bytes + compressed
        if compressed < 0 or uncompressed < 0 or place > start + length:
            raise BrownidError(f"{name}: a page does not lie in its column.")
        if uncompressed > compressed * (1 if plain else MOST_SNAPPY):
            raise BrownidError(f"{name}: a page of {compressed} bytes declares {uncompressed}, more than it can hold.")
        if plain and DICTIONARY_PAGE in header:
            raise BrownidError(f"{name}: its values stand in a dictionary, which those of this column may not.")
        total += uncompressed
        for kind, field in ENCODING_FIELD.items():
            page = header.get(kind, {})
            encoding, values = page.get(field, PLAIN), page.get(VALUES, 0)
            if encoding not in ((PLAIN,) if plain else ENCODINGS):
                raise BrownidError(f"{name}: the encoding {encoding} of a page is not one that this column may have.")
            if values < 0:
                raise BrownidError(f"{name}: a page declares {values} values.")
            total += VALUE_BYTES * values
    return total


def _page_header(content: BinaryIO, place: int, end: int) -> tuple[dict[int, Any], int]:
    """The fields of a page header by number, and its length in bytes."""
    for most in HEADER_BYTES:
        content.seek(place)
        reader = _Compact(content.read(min(most, end - place)))
        try:
            return reader.read_struct(), reader.place
        except IndexError:
            if most == HEADER_BYTES[-1] or most >= end - place:
                raise ValueError("a page header is cut off or too long") from None
    raise AssertionError


class _Compact:
    """Thrift's compact protocol, as far as page headers use it; IndexError at the end of the bytes."""

    TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
    INTEGERS = (4, 5, 6)
    DEEPEST = 8

    def __init__(self, content: bytes) -> None:
        self._content, self.place = content, 0

    def read_struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a struct by number; texts are passed over and are None."""
        if depth > self.DEEPEST:
            raise ValueError("a page header is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while (byte := self._byte()) != 0:
            number = number + (byte >> 4) if byte >> 4 else self._zigzag()
            kind = byte & 15
            fields[number] = kind == self.TRUE if kind in (self.TRUE, self.FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in self.INTEGERS:
            return self._zigzag()
        if kind == self.STRUCT:
            return self.read_struct(depth + 1)
        if kind in (self.TRUE, self.FALSE, self.BYTE):  # in a list a truth value takes a byte
            return self._byte()
        if kind == self.DOUBLE:
            return self._skip(8)
        if kind == self.BINARY:
            return self._skip(self._varint())
        if kind in (self.LIST, self.SET):
            byte = self._byte()
            for _ in range(self._varint() if byte >> 4 == 15 else byte >> 4):
                self._value(byte & 15, depth + 1)
            return None
        raise ValueError(f"a page header has a field of the unknown type {kind}")

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self._content):
            raise IndexError

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number in a page header is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
