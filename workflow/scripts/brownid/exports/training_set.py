"""The interface of a training set: rows of encoded images with class labels, read in blocks, never whole."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = 1024
ROWS_OF_SIZES = 64 * BLOCK_ROWS


@dataclass(frozen=True)
class Block:
    """k consecutive rows of a training set, at most `BLOCK_ROWS`.

    Of `latents`, `w_plus_latents` and `embeddings`, a row of NaN is absent; each is None where the set has none.
    """

    labels: np.ndarray  # int64 [k], the class labels
    identities: list[str]  # the class names
    samples: list[str]  # which image of the identity: "reference", "augmentation_0"
    datasets: list[str]  # the configuration entry that the image is from
    images: list[memoryview]  # encoded, as stored
    latents: np.ndarray | None = None  # float32 [k, D]
    w_plus_latents: np.ndarray | None = None  # float32 [k, L, D]
    embeddings: np.ndarray | None = None  # float32 [k, E]

    def __len__(self) -> int:
        return len(self.labels)


class TrainingSet(ABC):
    """Images with class labels 0 … n−1 without gaps. Rows of an identity stand together, the reference first.

    Memory may grow with the number of identities, but not with that of the images. Instances can be pickled: a process
    that gets one opens the files again.
    """

    name: str
    image_size: int  # pixels, of every image
    datasets: Mapping[str, int]  # rows by configuration entry, in the order in which they are joined
    classes: Sequence[str]  # class names by label: NAMESPACE/00042, so that a number never means two persons
    latent_dimension: int | None = None
    w_plus_shape: tuple[int, int] | None = None  # layers and dimension of latents in W+
    embedding_dimension: int | None = None

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows."""

    @abstractmethod
    def sizes(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Bytes of each encoded image of the rows from `start` to `stop`, int64 `[stop - start]`."""

    @abstractmethod
    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The rows from `start` to `stop`, in order."""


def class_name(namespace: str, identity: int) -> str:
    """The class name of an identity of a references entry."""
    return f"{namespace}/{identity:05d}"


def sizes_in_blocks(training_set: TrainingSet) -> Iterator[np.ndarray]:
    """Bytes of each encoded image of the whole set, int64, some ten thousand rows at a time."""
    for start in range(0, len(training_set), ROWS_OF_SIZES):
        yield training_set.sizes(start, min(start + ROWS_OF_SIZES, len(training_set)))


def shard_starts(training_set: TrainingSet, shard_bytes: int, row_bytes: int = 0) -> list[int]:
    """The first rows of shards of nearly equal size, at most about `shard_bytes`, and last the number of rows.

    `row_bytes` is what a row takes in addition to its image. The sizes are added up block by block.
    """
    rows = len(training_set)
    spans = [(start, min(start + ROWS_OF_SIZES, rows)) for start in range(0, rows, ROWS_OF_SIZES)]
    totals = [int(sizes.sum()) + row_bytes * len(sizes) for sizes in sizes_in_blocks(training_set)]
    shards = max(1, -(-sum(totals) // shard_bytes))
    limits = [sum(totals) * shard // shards for shard in range(1, shards)]
    starts, before = [0], 0
    for span, total in zip(spans, totals, strict=True):
        inside = [limit - before for limit in limits if before < limit <= before + total]
        if inside:
            ends = np.cumsum(training_set.sizes(*span) + row_bytes)
            starts += [span[0] + int(np.searchsorted(ends, limit)) + 1 for limit in inside]
        before += total
    return [*(start for start in dict.fromkeys(starts) if start < rows), rows]
