"""The file of an image shard: Arrow record batches of a bounded number of rows, mapped into memory by its readers.

Columns `identity` int64, `label` text, `image` PNG bytes (RGB, 8 bit); the schema's metadata holds `namespace` (the
references or database that defines the persons), `side`, `version`, and `checksum`, a CRC-32 of what says whose images
these are (PNG files carry their own). Nothing is compressed again.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute

from brownid.errors import BrownidError, one_line, refused_read
from brownid.files import atomic_path, check_regular
from brownid.samples import png

VERSION = "1"
MAGIC = b"ARROW1\0\0"  # what the messages of a file follow
HEADER, COMPRESSION = 2, 3  # the numbers of fields in Arrow's Message and RecordBatch
ROWS_PER_BATCH = 1024
COLUMNS = {"identity": pa.int64(), "label": pa.string(), "image": pa.large_binary()}


def write(
    path: str | Path,
    namespace: str,
    side: int,
    identities: np.ndarray,
    labels: Sequence[str],
    encoded: Sequence[bytes],
) -> None:
    """Write n rows: identities int64 `[n]`, labels and PNG files; the file appears whole or not at all."""
    metadata = {"namespace": namespace, "side": str(side), "version": VERSION}
    metadata["checksum"] = _checksum(metadata, identities, labels)
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in COLUMNS.items()], metadata=metadata)
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        for start in range(0, len(encoded), ROWS_PER_BATCH):
            part = slice(start, start + ROWS_PER_BATCH)
            columns = zip((identities[part], labels[part], encoded[part]), COLUMNS.values(), strict=True)
            writer.write_batch(pa.record_batch([pa.array(rows, kind) for rows, kind in columns], schema=schema))


def read(path: Path) -> pa.Table:
    """The rows of a file, its images where they are in the mapped file; a file that is no shard is a BrownidError."""
    check_regular(path)
    try:
        mapped = pa.memory_map(str(path))
        file = pa.ipc.open_file(mapped)
        metadata = {key.decode(): value.decode() for key, value in (file.schema.metadata or {}).items()}
        columns = dict(zip(file.schema.names, file.schema.types, strict=True))
        if columns != COLUMNS or metadata.get("version") != VERSION:
            raise BrownidError(f"{path}: this is an Arrow file, but no image shard of version {VERSION}.")
        table = pa.Table.from_batches(_batches(mapped, file), file.schema)
        table.validate(full=True)  # or a damaged file could lead outside its memory
        _check_side(metadata["side"], table)
        found = _checksum(metadata, table["identity"].to_numpy(), table["label"].to_pylist())
    except FileNotFoundError:
        raise BrownidError(f"{path}: there is no such file.") from None
    except (OSError, ValueError, TypeError, KeyError, struct.error, pa.ArrowException) as error:
        refusal = refused_read(error, path)
        if refusal is not None:
            raise refusal from None
        reason = f"it is truncated or damaged ({one_line(error)})"
        raise BrownidError(f"{path}: this is not a readable Arrow file, {reason}; make it again.") from error
    if metadata.get("checksum") != found:
        raise BrownidError(f"{path}: identities, labels or metadata are damaged (wrong checksum); make it again.")
    return table


def _batches(mapped: pa.MemoryMappedFile, file: pa.ipc.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    """The record batches, one message of the file after the other; ValueError for one that is compressed.

    Those of a shard never are: a few bytes could say that they stand for any amount of memory.
    """
    mapped.seek(len(MAGIC))
    messages = pa.ipc.MessageReader.open_stream(mapped)
    messages.read_next_message()  # the schema
    for _ in range(file.num_record_batches):
        message = messages.read_next_message()
        if _is_compressed(memoryview(message.metadata)):
            raise ValueError("its columns are compressed")
        yield pa.ipc.read_record_batch(message, file.schema)


def _is_compressed(message: memoryview) -> bool:
    """Whether a record batch's message (a FlatBuffer, see Arrow's Message.fbs) names a compression of its buffers."""
    (start,) = struct.unpack_from("<I", message)
    header = _field(message, start, HEADER)
    (offset,) = struct.unpack_from("<I", message, header or len(message))
    return _field(message, header + offset, COMPRESSION) is not None


def _field(message: memoryview, table: int, number: int) -> int | None:
    """Where a field of a FlatBuffer's table stands; None where it has the default value."""
    (back,) = struct.unpack_from("<i", message, table)
    size, *_ = struct.unpack_from("<HH", message, table - back)
    place = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", message, table - back + place) if place < size else (0,)
    return table + offset if offset else None


def _check_side(side: str, table: pa.Table) -> None:
    """Refuse a side of which no image of the shard can be: memory for all is allocated by it."""
    longest = pa.compute.max(pa.compute.binary_length(table["image"])).as_py() or 0
    if int(side) < 1 or (len(table) and 3 * int(side) ** 2 > png.MOST_DEFLATED * longest):
        raise ValueError(f"its images cannot have the side {side}")


def _checksum(metadata: Mapping[str, str], identities: np.ndarray, labels: Sequence[str]) -> str:
    texts = "\0".join([metadata["namespace"], metadata["side"], *labels])
    return f"{zlib.crc32(texts.encode(), zlib.crc32(identities.astype('<i8'))):08x}"
