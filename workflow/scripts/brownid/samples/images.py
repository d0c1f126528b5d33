"""Image shards: the encoded images of a dataset in few large Arrow files, read in place by every later stage."""

import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute

from brownid.runtime.errors import BrownidError, one_line, refused_read
from brownid.runtime.files import atomic_path, check_regular
from brownid.samples import checks, png
from brownid.samples.encoding import Spool, encoded_in_threads

VERSION = "1"
MAGIC = b"ARROW1\0\0"  # what the messages of a file follow
HEADER, COMPRESSION = 2, 3  # the numbers of fields in Arrow's Message and RecordBatch
ROWS_PER_BATCH = 1024
PAGE = 4096  # bytes, of memory
COLUMNS = {"identity": pa.int64(), "label": pa.string(), "image": pa.large_binary()}


def write(
    path: str | Path,
    namespace: str,
    image_size: int,
    identities: np.ndarray,
    labels: Sequence[str],
    encoded: Iterable[bytes],
) -> None:
    """Write n rows: identities int64 `[n]`, labels and PNG files; the file appears whole or not at all.

    No more than twice `ROWS_PER_BATCH` of the PNG files are held. BrownidError where there are more or fewer than n.
    """
    metadata = {"namespace": namespace, "side": str(image_size), "version": VERSION}
    metadata["checksum"] = _checksum(metadata, identities, labels)
    schema = pa.schema([pa.field(name, kind, nullable=False) for name, kind in COLUMNS.items()], metadata=metadata)
    with (
        atomic_path(path) as temporary,
        pa.ipc.new_file(str(temporary), schema) as writer,
        ThreadPoolExecutor(1) as disk,  # who makes the images does not wait for it
    ):

        def write_rows(part: slice, images: Sequence[bytes]) -> None:
            # From buffers: `pa.array` and `to_numpy` import pandas.
            numbers = pa.Array.from_buffers(pa.int64(), len(images), [None, pa.py_buffer(identities[part])])
            texts = _column([label.encode() for label in labels[part]], "label", np.int32)
            writer.write_batch(pa.record_batch([numbers, texts, _column(images, "image", np.int64)], schema=schema))

        files, start = iter(encoded), 0
        writing: Future[None] | None = None
        while images := list(itertools.islice(files, ROWS_PER_BATCH)):
            part = slice(start, start + len(images))
            start += len(images)
            if start > len(labels):
                raise BrownidError(f"{path}: there are more images than the {len(labels)} identities and labels.")
            if writing is not None:
                writing.result()
            writing = disk.submit(write_rows, part, images)
        if start < len(labels):
            raise BrownidError(f"{path}: there are {len(labels)} identities and labels, but only {start} images.")
        if writing is not None:
            writing.result()


def _column(values: Sequence[bytes], name: str, offsets: type[np.signedinteger]) -> pa.Array:
    ends = np.cumsum([0, *map(len, values)], dtype=offsets)
    return pa.Array.from_buffers(COLUMNS[name], len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))])


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
        found = _checksum(metadata, _identities(table), table["label"].to_pylist())
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


def _identities(table: pa.Table) -> np.ndarray:
    chunks = table["identity"].chunks
    return np.concatenate([np.from_dlpack(chunk) for chunk in chunks]) if chunks else np.empty(0, np.int64)


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
    """Position of a field of a FlatBuffer's table; None if it has the default value."""
    (back,) = struct.unpack_from("<i", message, table)
    size, *_ = struct.unpack_from("<HH", message, table - back)
    place = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", message, table - back + place) if place < size else (0,)
    return table + offset if offset else None


def _check_side(image_size: str, table: pa.Table) -> None:
    """Refuse a side of which no image of the shard can be: memory for all is allocated by it."""
    longest = pa.compute.max(pa.compute.binary_length(table["image"])).as_py() or 0
    if int(image_size) < 1 or (len(table) and 3 * int(image_size) ** 2 > png.MOST_DEFLATED * longest):
        raise ValueError(f"its images cannot have the side {image_size}")


def _checksum(metadata: Mapping[str, str], identities: np.ndarray, labels: Sequence[str]) -> str:
    texts = "\0".join([metadata["namespace"], metadata["side"], *labels])
    return f"{zlib.crc32(texts.encode(), zlib.crc32(identities.astype('<i8').tobytes())):08x}"


def write_image_shard(
    path: str | Path,
    namespace: str,
    identities: Iterable[int] | np.ndarray,
    labels: Sequence[str],
    images: np.ndarray | Iterable[np.ndarray],
    *,
    image_size: int | None = None,
    threads: int = 1,
) -> None:
    """Encode images uint8 `[n, S, S, 3]` RGB and write one shard; the file appears whole or not at all.

    `images` may also be an iterable of batches `[b, S, S, 3]` that are n together, with their `image_size` S: a batch
    is encoded by `threads` threads while the next one is made, and memory does not grow with n. The bytes of the file
    depend on neither. An image that cannot be encoded is named by identity and label.
    """
    numbers, labels = _rows(path, identities, labels)
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1:] != (images.shape[1], images.shape[1], 3):
            raise BrownidError(f"{path}: images must be uint8 [n, S, S, 3], not {images.dtype} {list(images.shape)}.")
        _check_count(path, numbers, len(images))
        image_size, images = images.shape[1], [images]
    elif image_size is None:
        raise BrownidError(f"{path}: images in batches need their image_size.")

    def describe(row: int) -> str:
        name = f"identity {numbers[row]}, label {labels[row]!r}" if row < len(labels) else f"row {row}"
        return f"{path}: the image of {name}"

    with closing(encoded_in_threads(images, image_size, threads, describe)) as encoded:
        write(path, namespace, image_size, numbers, labels, encoded)


def write_encoded_shard(
    path: str | Path,
    namespace: str,
    identities: Iterable[int] | np.ndarray,
    labels: Sequence[str],
    encoded: Sequence[bytes] | Spool,
    *,
    image_size: int,
) -> None:
    """As `write_image_shard`, for images that are PNG files of this side already."""
    numbers, labels = _rows(path, identities, labels)
    _check_count(path, numbers, len(encoded))
    write(path, namespace, image_size, numbers, labels, encoded)


def _rows(
    path: str | Path, identities: Iterable[int] | np.ndarray, labels: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Identities int64 `[n]` and labels of a shard; BrownidError where they do not fit together, or one is repeated."""
    numbers, labels = checks.whole_numbers(identities, f"{path}: identities"), list(labels)
    if len(numbers) != len(labels):
        raise BrownidError(f"{path}: there are {len(numbers)} identities and {len(labels)} labels.")
    repeated = checks.repeated_rows(numbers, checks.coded(labels)[0])
    if repeated is not None:
        row = repeated[1]
        raise BrownidError(f"{path}: identity {numbers[row]}, label {labels[row]!r} occurs more than once.")
    return numbers, labels


def _check_count(path: str | Path, identities: np.ndarray, images: int) -> None:
    if len(identities) != images:
        raise BrownidError(f"{path}: there are {len(identities)} identities and labels, but {images} images.")


class ImageShards:
    """The images of several shards as one sequence; pixels are decoded when they are asked for.

    `identities` int64 `[n]`, `labels` and `namespaces` (lists `[n]`) and `image_size` describe it. The encoded images
    stay in the files, which are mapped into memory. A file that is not an image shard is a BrownidError naming it.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]
        if not self.paths:
            raise BrownidError("there are no image shards to read.")
        tables = [read(path) for path in self.paths]
        sides = [int(table.schema.metadata[b"side"]) for table in tables]
        self.image_size = sides[0]
        for path, image_size in zip(self.paths, sides, strict=True):
            if image_size != self.image_size:
                raise BrownidError(f"{path}: the images have side {image_size}, those before it {self.image_size}.")
        self.namespaces = [table.schema.metadata[b"namespace"].decode() for table in tables for _ in range(len(table))]
        self._ends = np.cumsum([len(table) for table in tables])
        joined = pa.concat_tables([table.replace_schema_metadata() for table in tables])  # of the same memory
        self.identities = _identities(joined)
        self.labels = joined["label"].to_pylist()
        self._images = joined["image"]

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple:
        return (type(self), (self.paths,))  # another process maps the files again

    def path_of(self, index: int) -> Path:
        """The shard that holds an image."""
        return self.paths[int(np.searchsorted(self._ends, index, side="right"))]

    def encoded(self, index: int) -> memoryview:
        """The bytes of one PNG file, as stored."""
        return memoryview(self._images[int(index)].as_buffer())

    def read_ahead(self, start: int, stop: int) -> None:
        """Read the encoded images of these rows from the files, one after the other, into the system's cache."""
        for chunk in self._images.slice(start, stop - start).chunks:
            _, offsets, content = chunk.buffers()
            ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            if content is not None and len(chunk):
                np.frombuffer(content, np.uint8)[ends[0] : ends[-1] : PAGE].max(initial=0)

    def decode(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Images uint8 `[len(indices), S, S, 3]` RGB; a damaged one is a BrownidError naming file, identity, label."""
        images = np.empty((len(indices), self.image_size, self.image_size, 3), dtype=np.uint8)
        for place, index in enumerate(indices):
            try:
                images[place] = png.decode(self.encoded(index), self.image_size)
            except BrownidError as error:
                raise BrownidError(f"{self._describe(index)} is not readable: {error}; make the shard again.") from None
        return images

    def decode_readable(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, dict[int, str]]:
        """The pixels uint8 `[k, S, S, 3]` of those images that are not damaged, and why others are, by index."""
        try:
            return self.decode(indices), {}
        except BrownidError:
            pixels, failures = [np.empty((0, self.image_size, self.image_size, 3), dtype=np.uint8)], {}
        for index in map(int, indices):
            try:
                pixels.append(self.decode([index]))
            except BrownidError as error:
                failures[index] = str(error)
        return np.concatenate(pixels), failures

    def _describe(self, index: int) -> str:
        return f"{self.path_of(index)}: the image of identity {self.identities[index]}, label {self.labels[index]!r}"


class ImageShard:
    """One image shard, read by ranges of rows: nothing is held per row, the images stay in the mapped file.

    `namespace`, `image_size` and `identities` int64 `[n]` describe it. A file that is not an image shard is a
    BrownidError naming it.
    """

    def __init__(self, path: str | Path) -> None:
        table = read(Path(path))
        self.path = Path(path)
        self.namespace = table.schema.metadata[b"namespace"].decode()
        self.image_size = int(table.schema.metadata[b"side"])
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @property
    def identities(self) -> np.ndarray:
        """The identities of all rows, int64 `[n]`."""
        return _identities(self._table)

    def labels(self, start: int, stop: int) -> list[str]:
        """The labels of the rows from `start` to `stop`."""
        labels: list[str] = self._table["label"].slice(start, stop - start).to_pylist()
        return labels

    def sizes(self, start: int, stop: int) -> np.ndarray:
        """Bytes of the encoded images of these rows, int64 `[stop - start]`."""
        parts = [np.diff(offsets) for offsets, _ in self._chunks(start, stop)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def encoded(self, start: int, stop: int) -> list[memoryview]:
        """The encoded images of these rows, as stored."""
        return [
            content[first:end]
            for offsets, content in self._chunks(start, stop)
            for first, end in itertools.pairwise(offsets.tolist())
        ]

    def _chunks(self, start: int, stop: int) -> Iterator[tuple[np.ndarray, memoryview]]:
        """Offsets of the images of these rows in the content of their record batch, per record batch."""
        for chunk in self._table["image"].slice(start, stop - start).chunks:
            _, offsets, content = chunk.buffers()
            found = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
            yield found, memoryview(content) if content is not None else memoryview(b"")
