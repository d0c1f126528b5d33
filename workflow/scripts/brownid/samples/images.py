"""Image shards: the encoded images of a dataset in few large files, read in place by every later stage."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from brownid.errors import BrownidError
from brownid.runtime import progress
from brownid.samples import checks, png, shardfile


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
    identities, labels = checks.whole_numbers(identities, f"{path}: identities"), list(labels)
    if not len(identities) == len(labels) == len(encoded):
        counts = f"{len(identities)} identities, {len(labels)} labels and {len(encoded)} images"
        raise BrownidError(f"{path}: there are {counts}; each image needs one of both.")
    repeated = checks.repeated_rows(identities, checks.coded(labels)[0])
    if repeated is not None:
        row = repeated[1]
        raise BrownidError(f"{path}: identity {identities[row]}, label {labels[row]!r} occurs more than once.")
    shardfile.write(path, namespace, side, identities, labels, encoded)


class ImageShards:
    """The images of several shards as one sequence; pixels are decoded when they are asked for.

    `identities` int64 `[n]`, `labels` and `namespaces` (lists `[n]`) and `side` describe it. The encoded images stay
    in the files, which are mapped into memory. A file that is not an image shard is a BrownidError naming it.
    """

    def __init__(self, paths: Iterable[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]
        if not self.paths:
            raise BrownidError("there are no image shards to read.")
        tables = [shardfile.read(path) for path in self.paths]
        sides = [int(table.schema.metadata[b"side"]) for table in tables]
        self.side = sides[0]
        for path, side in zip(self.paths, sides, strict=True):
            if side != self.side:
                raise BrownidError(f"{path}: the images have side {side}, those before it {self.side}.")
        self.namespaces = [table.schema.metadata[b"namespace"].decode() for table in tables for _ in range(len(table))]
        self._ends = np.cumsum([len(table) for table in tables])
        joined = pa.concat_tables([table.replace_schema_metadata() for table in tables])  # of the same memory
        self.identities = joined["identity"].to_numpy()
        self.labels = joined["label"].to_pylist()
        self._images = joined["image"]

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple:
        return (type(self), (self.paths,))  # another process maps the files anew

    def path_of(self, index: int) -> Path:
        """The shard that holds an image."""
        return self.paths[int(np.searchsorted(self._ends, index, side="right"))]

    def encoded(self, index: int) -> memoryview:
        """The bytes of one PNG file, as stored."""
        return memoryview(self._images[int(index)].as_buffer())

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
        kept, failed = [], {}
        for index in progress(range(len(self)), "decoding images", "image"):
            try:
                images[len(kept)] = png.decode(self.encoded(index), self.side)
                kept.append(index)
            except BrownidError as error:
                failed[index] = str(error)
        allowed = math.floor(maximum_failed_share * len(self) + 1e-9)
        if len(failed) > allowed:
            first, reason = next(iter(failed.items()))
            many = f"{len(failed)} of {len(self)} images are not readable, {allowed} may be"
            raise BrownidError(f"{many}; the first is {self._describe(first)}: {reason}.")
        failures = [(self.path_of(i), int(self.identities[i]), self.labels[i], why) for i, why in failed.items()]
        return images[: len(kept)], np.array(kept, dtype=np.int64), failures

    def _describe(self, index: int) -> str:
        return f"{self.path_of(index)}: the image of identity {self.identities[index]}, label {self.labels[index]!r}"
