"""Training images as classes and batches; which images a batch holds depends on (seed, epoch) alone."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from brownid.jobs.distributed import SINGLE, ProcessGroup, own_rows
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress
from brownid.runtime.randomness import stream
from brownid.samples.images import ImageShards
from brownid.training.augmentation import draws

CACHE_BYTES = 4 * 1024**3  # decoded images that fit are kept in memory
DECODED_AT_ONCE = 1024


@dataclass(frozen=True)
class Batch:
    """The rows of a batch of B images that are this process's: all, where it works alone."""

    images: Tensor  # uint8 [rows, S, S, 3] RGB
    labels: Tensor  # class numbers int64 [B], of all
    numbers: Tensor  # those that steer the augmentation, [rows, DRAWS]
    rows: slice  # the place of the rows among the B
    number: int  # of the batch, counted over the whole training

    @property
    def own_labels(self) -> Tensor:
        """Class numbers of the rows."""
        return self.labels[self.rows]

    def to(self, device: str | torch.device, non_blocking: bool = False) -> "Batch":
        return self._of(*(t.to(device, non_blocking=non_blocking) for t in (self.images, self.labels, self.numbers)))

    def pin_memory(self) -> "Batch":
        return self._of(self.images.pin_memory(), self.labels.pin_memory(), self.numbers.pin_memory())

    def _of(self, images: Tensor, labels: Tensor, numbers: Tensor) -> "Batch":
        return Batch(images, labels, numbers, self.rows, self.number)


class TrainingImages:
    """The images of several shard files, with their classes: one class for each (namespace, identity).

    Datasets that share a namespace (references and their variations) therefore share classes, whatever the order of
    the files. Decoded pixels are kept in memory where they fit in `cache_bytes`, and decoded on demand otherwise.
    """

    def __init__(self, shards: Sequence[str | Path], image_size: int, cache_bytes: int = CACHE_BYTES):
        if not shards:
            raise BrownidError("Training needs at least one file of images.")
        self.shards = ImageShards(shards)
        if self.shards.image_size != image_size:
            raise BrownidError(
                f"{shards[0]}: the images have side {self.shards.image_size}, the network reads {image_size}."
            )
        keys = list(zip(self.shards.namespaces, (int(i) for i in self.shards.identities), strict=True))
        numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
        self.classes = len(numbers)
        self.labels = torch.tensor([numbers[key] for key in keys], dtype=torch.int64)
        if self.classes < 2:
            raise BrownidError(f"{shards[0]}: training needs at least two identities, found {self.classes}.")
        self.cached = self._decode_all() if len(self) * image_size * image_size * 3 <= cache_bytes else None

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, indices: np.ndarray) -> Tensor:
        """Images uint8 `[len(indices), S, S, 3]`, RGB."""
        if self.cached is not None:
            return self.cached[torch.from_numpy(indices)]
        return torch.from_numpy(self.shards.decode(indices))

    def _decode_all(self) -> Tensor:
        starts = range(0, len(self), DECODED_AT_ONCE)
        parts = [
            self.shards.decode(np.arange(start, min(start + DECODED_AT_ONCE, len(self))))
            for start in progress(starts, "decoding images", unit="block")
        ]
        return torch.from_numpy(np.concatenate(parts))


class EpochBatches:
    """The batches of one epoch: a random order of all images, cut into batches of nearly equal size.

    No image is dropped and no batch is tiny: batch-norm would suffer, and fails with one image. The largest batch has
    at most `batch_size` images, but for an odd number of images in batches of two, where one batch has three. Of
    several processes each gets its rows of every batch.
    """

    def __init__(
        self, data: TrainingImages, batch_size: int, *, seed: int, epoch: int, group: ProcessGroup = SINGLE
    ) -> None:
        order = stream(seed, "training/order", iteration=epoch).permutation(len(data))
        self.data = data
        self.seed = seed
        self.epoch = epoch
        self.group = group
        self.parts = np.array_split(order, batches_an_epoch(len(data), batch_size))

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Batch:
        indices = self.parts[number]
        labels = self.data.labels[torch.from_numpy(indices)]
        rows = own_rows(self.group, len(indices))
        own = indices[rows]
        numbers = draws(self.seed, own.tolist(), self.epoch)
        return Batch(self.data.pixels(own), labels, numbers, rows, self.epoch * len(self) + number)


def batches_an_epoch(images: int, batch_size: int) -> int:
    """The number of batches per epoch: the smallest that `batch_size` allows, without a batch of a single image."""
    return max(1, min(math.ceil(images / batch_size), images // 2))


class PrefetchedBatches:
    """The same batches in the same order, from the `first` on, prepared ahead by `workers` threads.

    Threads, not processes: a job script must not be run again in a child, and decoding leaves Python's lock.
    `pin_memory` is for copies to a GPU.
    """

    def __init__(self, batches: EpochBatches, workers: int, pin_memory: bool = False, first: int = 0):
        self.batches = batches
        self.workers = workers
        self.pin_memory = pin_memory
        self.first = first

    def __len__(self) -> int:
        return len(self.batches) - self.first

    def __iter__(self) -> Iterator[Batch]:
        numbers = range(self.first, len(self.batches))
        if self.workers < 1:
            yield from map(self._prepare, numbers)
            return
        pool = ThreadPoolExecutor(self.workers)
        try:
            pending: deque[Future[Batch]] = deque()
            for number in numbers:
                pending.append(pool.submit(self._prepare, number))
                if len(pending) > 2 * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _prepare(self, number: int) -> Batch:
        batch = self.batches[number]
        return batch.pin_memory() if self.pin_memory else batch
