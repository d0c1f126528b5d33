"""Training images as classes and batches; which images a batch holds depends on (seed, epoch) alone."""

import math
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from brownid.jobs.distributed import SINGLE, ProcessGroup, own_rows
from brownid.jobs.workers import available_memory, threads_beside
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import GIBIBYTE, granted_memory, progress
from brownid.samples.images import ImageShards
from brownid.training.augmentation import draws
from brownid.training.order import BLOCK, ImageOrder
from brownid.training.softmax import sampled_classes

KEEP = ("auto", "memory", "device", "none")
MEMORY_SHARE, DEVICE_SHARE = 0.25, 0.25  # of what is free, for decoded images: jobs may start at the same time
RULE_SHARE = 0.5  # of the memory that the job's rule asks for
WITHOUT_RULE = 4 * GIBIBYTE
UNKNOWN_MEMORY = 8 * GIBIBYTE
DECODED_AT_ONCE = 1024
READ_AHEAD = 64  # batches between reading from the files and decoding
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Batch:
    """The rows of a batch of B images that are this process's: all, where it works alone."""

    images: Tensor  # uint8 [rows, S, S, 3] RGB, or their numbers int64 [rows] among the `kept`
    labels: Tensor  # class numbers int64 [B], of all
    numbers: Tensor  # those that steer the augmentation, [rows, DRAWS]
    rows: slice  # the place of the rows among the B
    number: int  # of the batch, counted over the whole training
    kept: Tensor | None = None  # all images, uint8 [n, S, S, 3], on a device
    classes: Tensor | None = None  # places int64 of the sampled classes among those of this process, None for all

    @property
    def own_labels(self) -> Tensor:
        """Class numbers of the rows."""
        return self.labels[self.rows]

    def to(self, device: str | torch.device, non_blocking: bool = False) -> "Batch":
        """The batch with its images on a device."""
        images = self.images
        if self.kept is not None:
            images = self.kept[images.to(self.kept.device, non_blocking=non_blocking)]
        images, labels, numbers = (t.to(device, non_blocking=non_blocking) for t in (images, self.labels, self.numbers))
        classes = None if self.classes is None else self.classes.to(device, non_blocking=non_blocking)
        return replace(self, images=images, labels=labels, numbers=numbers, kept=None, classes=classes)

    def pin_memory(self) -> "Batch":
        images, labels, numbers = (t.pin_memory() for t in (self.images, self.labels, self.numbers))
        classes = None if self.classes is None else self.classes.pin_memory()
        return replace(self, images=images, labels=labels, numbers=numbers, classes=classes)


class TrainingImages:
    """The images of several shard files, with their classes: one class for each (namespace, identity).

    Datasets that share a namespace (references and their variations) therefore share classes, whatever the order of
    the files. Decoded pixels are kept on the device or in memory as `keep` says, and decoded on demand otherwise:
    "auto" keeps them on a GPU where they fit in a quarter of what is free there, else in memory where they fit in half
    of what the job's rule asks for (4 GiB without a rule) and in a quarter of what is free, shared with the other
    `processes` of this job, else nowhere.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        image_size: int,
        *,
        keep: str = "auto",
        device: torch.device | str = "cpu",
        processes: int = 1,
        workers: int = 1,
    ) -> None:
        if keep not in KEEP:
            raise BrownidError(f"keep is {keep!r}, but must be one of {', '.join(KEEP)}.")
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
        size = len(self) * image_size * image_size * 3
        self.kept_in = _place(size, torch.device(device), processes) if keep == "auto" else keep
        self.kept: Tensor | None = None
        if self.kept_in != "none":
            self.kept = self._decode_all(torch.device(device if self.kept_in == "device" else "cpu"), workers)

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, indices: np.ndarray) -> Tensor:
        """Images uint8 `[len(indices), S, S, 3]`, RGB, that are not kept on a device."""
        return torch.from_numpy(self.shards.decode(indices)) if self.kept is None else self.kept[indices]

    def _decode_all(self, device: torch.device, workers: int) -> Tensor:
        side = self.shards.image_size
        kept = torch.empty(len(self), side, side, 3, dtype=torch.uint8, device=device)

        starts = range(0, len(self), DECODED_AT_ONCE)
        blocks = [range(start, min(start + DECODED_AT_ONCE, len(self))) for start in starts]
        with closing(_ahead(self.shards.decode, blocks, workers)) as decoded:
            counted = progress(decoded, "decoding images", "block", total=len(blocks))
            for block, pixels in zip(blocks, counted, strict=True):
                kept[block.start : block.stop] = torch.from_numpy(pixels).to(device)
        return kept


def _place(size: int, device: torch.device, processes: int) -> str:
    """Where decoded images of so many bytes are kept."""
    if device.type == "cuda" and size <= DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
        return "device"
    free, asked = available_memory(), granted_memory()
    room = min(MEMORY_SHARE * (UNKNOWN_MEMORY if free is None else free), RULE_SHARE * asked if asked else WITHOUT_RULE)
    return "memory" if size <= room / processes else "none"


def _ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result, None, None]:
    """The results in the order of the items, computed by threads, a few of them before they are asked for."""
    pool = ThreadPoolExecutor(workers)
    try:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class EpochBatches:
    """The batches of one epoch: a random order of all images (`ImageOrder`), cut into batches of nearly equal size.

    No image is dropped and no batch is tiny: batch-norm would suffer, and fails with one image. The largest batch has
    at most `batch_size` images, but for an odd number of images in batches of two, where one batch has three. Of
    several processes each gets its rows of every batch.
    """

    def __init__(
        self,
        data: TrainingImages,
        batch_size: int,
        *,
        seed: int,
        epoch: int,
        shuffle: str = "all",
        class_sample_rate: float = 1.0,
        group: ProcessGroup = SINGLE,
    ) -> None:
        self.order = ImageOrder(len(data), shuffle, seed=seed, epoch=epoch)
        self.data = data
        self.seed = seed
        self.epoch = epoch
        self.class_sample_rate = class_sample_rate
        self.group = group
        self.parts = np.array_split(self.order.indices, batches_an_epoch(len(data), batch_size))
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Batch:
        indices = self.parts[number]
        labels = self.data.labels[torch.from_numpy(indices)]
        rows = own_rows(self.group, len(indices))
        own = indices[rows]
        numbers = draws(self.seed, own.tolist(), self.epoch)
        whole = self.epoch * len(self) + number
        kept = self.data.kept if self.data.kept_in == "device" else None
        images = self.data.pixels(own) if kept is None else torch.from_numpy(own)
        return Batch(images, labels, numbers, rows, whole, kept, self._sampled(labels.numpy(), whole))

    def _sampled(self, labels: np.ndarray, batch: int) -> Tensor | None:
        if self.class_sample_rate == 1:
            return None
        found = sampled_classes(self.data.classes, labels, self.class_sample_rate, self.seed, batch)
        own = own_rows(self.group, self.data.classes)
        return torch.from_numpy(found[(found >= own.start) & (found < own.stop)] - own.start)

    def read_ahead(self, number: int) -> None:
        """Read from the files what begins in a batch of an order by blocks; nothing where pixels are kept."""
        if self.data.kept is None:
            for window in self.order.windows_between(self._starts[number], self._starts[number + 1]):
                for start in window:
                    self.data.shards.read_ahead(int(start), min(int(start) + BLOCK, len(self.data)))


def batches_an_epoch(images: int, batch_size: int) -> int:
    """The number of batches per epoch: the smallest that `batch_size` allows, without a batch of a single image."""
    return max(1, min(math.ceil(images / batch_size), images // 2))


def decoders(device: torch.device, threads: int) -> int:
    """The threads that decode for one process: on a GPU, which computes meanwhile, its share of the cores."""
    here = max(1, int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count())
    return threads_beside(device.type, threads - 1, here)


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
        reader = ThreadPoolExecutor(1)

        def announced() -> Iterator[int]:
            for number in numbers:
                if number + READ_AHEAD < len(self.batches):
                    reader.submit(self.batches.read_ahead, number + READ_AHEAD)
                yield number

        try:
            for number in numbers[:READ_AHEAD]:
                reader.submit(self.batches.read_ahead, number)
            with closing(_ahead(self._prepare, announced(), self.workers)) as batches:
                yield from batches
        finally:
            reader.shutdown(cancel_futures=True)

    def _prepare(self, number: int) -> Batch:
        batch = self.batches[number]
        return batch.pin_memory() if self.pin_memory else batch
