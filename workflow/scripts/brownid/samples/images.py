"""Image shards: Parquet files of encoded images, few and large, read in place by every later stage.

Columns `identity` int64, `label` text, `image` PNG bytes (RGB, 8 bit), `image_bytes` int32; the file's metadata holds
`namespace` (the references or database that defines the persons), `side` and `version`. Images are stored plainly and
uncompressed, so that a reader maps the file into memory and finds each one by its place.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.runtime import progress
from brownid.samples import checks, png

VERSION = "1"
ROWS_PER_GROUP = 4096
LENGTH_BYTES = 4  # Parquet's plain encoding writes this before each value
NO_NULLS = {"nullable": False}


def write_image_shard(
    path: str | Path, namespace: str, identities: Sequence[int], labels: Sequence[str], images: np.ndarray
) -> None:
    """Encode images uint8 `[n, S, S, 3]` RGB and write one shard; the file appears whole or not at all."""
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1:] != (images.shape[1], images.shape[1], 3):
        raise BrownidError(f"{path}: images must be uint8 [n, side, side, 3], not {images.dtype} {list(images.shape)}.")
    encoded = [png.encode(image) for image in progress(images, "encoding images", "image")]
    write_encoded_shard(path, namespace, identities, labels, encoded, side=images.shape[1])


def write_encoded_shard(
    path: str | Path,
    namespace: str,
    identities: Sequence[int],
    labels: Sequence[str],
    encoded: Sequence[bytes],
    *,
    side: int,
) -> None:
    """As `write_image_shard`, for images that are PNG files of this side already."""
    identities = np.asarray(identities, dtype=np.int64)
    labels = list(labels)
    if not len(identities) == len(labels) == len(encoded):
        counts = f"{len(identities)} identities, {len(labels)} labels and {len(encoded)} images"
        raise BrownidError(f"{path}: there are {counts}; each image needs one of both.")
    row = checks.repeated_row(identities, checks.coded(labels)[0])
    if row is not None:
        raise BrownidError(f"{path}: identity {identities[row]}, label {labels[row]!r} occurs more than once.")
    schema = pa.schema(
        [
            pa.field("identity", pa.int64(), **NO_NULLS),
            pa.field("label", pa.string(), **NO_NULLS),
            pa.field("image", pa.binary(), **NO_NULLS),
            pa.field("image_bytes", pa.int32(), **NO_NULLS),
        ],
        metadata={"namespace": namespace, "side": str(side), "version": VERSION},
    )
    lengths = np.array([len(data) for data in encoded], dtype=np.int32)
    options = {
        "compression": "none",
        "use_dictionary": ["label"],
        "write_statistics": ["identity"],
        "data_page_size": 2**31 - 1,  # one page a row group: the places of its images follow from their lengths
        "write_page_checksum": True,
    }
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, **options) as writer:
        for start in range(0, max(1, len(encoded)), ROWS_PER_GROUP):
            part = slice(start, start + ROWS_PER_GROUP)
            columns = [identities[part], labels[part], encoded[part], lengths[part]]
            arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=ROWS_PER_GROUP)


class ImageShards:
    """The images of several shards as one sequence; pixels are decoded when they are asked for.

    `identities` int64 `[n]`, `labels` and `namespaces` (lists `[n]`) and `side` describe it. The encoded images stay
    in the files, which are mapped into memory. A file that is not an image shard is a BrownidError naming it.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]
        if not self.paths:
            raise BrownidError("there are no image shards to read.")
        self._shards = [_Shard(path) for path in self.paths]
        self.side = self._shards[0].side
        for shard in self._shards:
            if shard.side != self.side:
                raise BrownidError(f"{shard.path}: the images have side {shard.side}, those before it {self.side}.")
        self._starts = np.cumsum([0] + [len(shard.labels) for shard in self._shards])
        self.identities = np.concatenate([shard.identities for shard in self._shards])
        self.labels = [label for shard in self._shards for label in shard.labels]
        self.namespaces = [shard.namespace for shard in self._shards for _ in shard.labels]

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple:
        return (type(self), (self.paths,))  # another process maps the files anew

    def path_of(self, index: int) -> Path:
        """The shard that holds an image."""
        return self._place(index)[0].path

    def encoded(self, index: int) -> memoryview:
        """The bytes of one PNG file, as stored."""
        shard, row = self._place(index)
        return shard.encoded(row)

    def decode(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Images uint8 `[len(indices), S, S, 3]` RGB; a damaged one is a BrownidError naming file, identity, label."""
        images = np.empty((len(indices), self.side, self.side, 3), dtype=np.uint8)
        for place, index in enumerate(indices):
            try:
                images[place] = png.decode(self.encoded(index), self.side)
            except BrownidError as error:
                raise BrownidError(f"{self._describe(index)} is not readable: {error}; make the shard again.") from None
        return images

    def decode_all(
        self, maximum_failed_share: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, list[tuple[Path, int, str, str]]]:
        """All images that can be read: pixels uint8 `[k, S, S, 3]`, their indices `[k]`, and the list of failures.

        A failure is (file, identity, label, reason). More than `maximum_failed_share` (0..1) of failures is a
        BrownidError that names the first.
        """
        images = np.empty((len(self), self.side, self.side, 3), dtype=np.uint8)
        kept, failures = [], []
        for index in progress(range(len(self)), "decoding images", "image"):
            try:
                images[len(kept)] = png.decode(self.encoded(index), self.side)
            except BrownidError as error:
                failures.append((self.path_of(index), int(self.identities[index]), self.labels[index], str(error)))
            else:
                kept.append(index)
        allowed = math.floor(maximum_failed_share * len(self) + 1e-9)
        if len(failures) > allowed:
            path, identity, label, reason = failures[0]
            raise BrownidError(
                f"{len(failures)} of {len(self)} images are not readable, {allowed} may be; the first is"
                f" {path}: identity {identity}, label {label!r}: {reason}."
            )
        return images[: len(kept)], np.array(kept, dtype=np.int64), failures

    def _place(self, index: int) -> tuple["_Shard", int]:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._shards[number], int(index - self._starts[number])

    def _describe(self, index: int) -> str:
        return f"{self.path_of(index)}: the image of identity {self.identities[index]}, label {self.labels[index]!r}"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading a Parquet file into a sentence with its name."""
    try:
        yield
    except FileNotFoundError:
        raise BrownidError(f"{path}: there is no such file.") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise BrownidError(
            f"{path}: this is not a readable Parquet file, it is truncated or damaged ({reason}); make it again."
        ) from error


class _Shard:
    """One file: its small columns in memory, its images where they are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._column: pa.ChunkedArray | None = None
        with _naming(path):
            file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
            metadata = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            names = file.schema_arrow.names
            missing = {"identity", "label", "image"} - set(names) | {"namespace", "side", "version"} - set(metadata)
            if missing:
                raise BrownidError(f"{path}: this is no image shard, it lacks {', '.join(sorted(missing))}.")
            if metadata["version"] != VERSION:
                version = metadata["version"]
                raise BrownidError(f"{path}: the format version is {version}; this brownid reads {VERSION}.")
            table = file.read([name for name in ("identity", "label", "image_bytes") if name in names])
            self.namespace = metadata["namespace"]
            self.side = int(metadata["side"])
            self.identities = table["identity"].to_numpy()
            self.labels = table["label"].to_pylist()
            self._places = self._find_images(file, table) if "image_bytes" in names else None
            self._mapped = None if self._places is None else np.memmap(path, dtype=np.uint8, mode="r")

    def encoded(self, row: int) -> memoryview:
        """The bytes of one PNG file."""
        if self._places is not None:
            start, length = self._places[row]
            return memoryview(self._mapped[start : start + length])
        if self._column is None:  # a shard that others wrote, in an encoding of their own: read it as a whole, once
            with _naming(self.path):
                self._column = pq.read_table(self.path, columns=["image"])["image"]
        return memoryview(self._column[row].as_buffer())

    def _find_images(self, file: pq.ParquetFile, table: pa.Table) -> np.ndarray | None:
        """Start and length of every image in the file `[n, 2]`, or None where they are not stored plainly.

        The values of a row group are the last bytes of its column chunk, each behind its length.
        """
        lengths = table["image_bytes"].to_numpy().astype(np.int64)
        column = file.schema_arrow.names.index("image")
        starts, done = [np.empty(0, dtype=np.int64)], 0
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            chunk = group.column(column)
            mine = lengths[done : done + group.num_rows]
            done += group.num_rows
            end = chunk.data_page_offset + chunk.total_compressed_size
            ends = np.cumsum(mine + LENGTH_BYTES)
            values = end - (int(ends[-1]) if len(mine) else 0)
            if chunk.compression != "UNCOMPRESSED" or chunk.has_dictionary_page or values < chunk.data_page_offset:
                return None
            starts.append(values + ends - mine)
        places = np.stack([np.concatenate(starts), lengths], axis=1)
        return places if self._lengths_agree(places) else None

    def _lengths_agree(self, places: np.ndarray) -> bool:
        """Whether the file says the same lengths where each row group's first and last images should be."""
        mapped = np.memmap(self.path, dtype=np.uint8, mode="r")
        rows = (
            np.unique(np.concatenate([np.arange(0, len(places), ROWS_PER_GROUP), [len(places) - 1]]))
            if len(places)
            else []
        )
        for row in rows:
            start, length = places[row]
            before = mapped[start - LENGTH_BYTES : start]
            if len(before) < LENGTH_BYTES or int.from_bytes(before.tobytes(), "little") != length:
                return False
        return True
