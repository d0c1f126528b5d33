"""Addressed randomness: every random number comes from (seed, purpose, item, iteration), never from a shared stream.

A result therefore does not depend on batch size, shards, processes, order or resuming. The generator is Philox
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): its key is a hash of seed and purpose, its
counter holds item and iteration, so that two addresses never share a number. A few numbers per item come from NumPy's
generator on the host; noise maps, many per item, are drawn on the device (`philox.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.runtime.philox import normal_numbers

if TYPE_CHECKING:
    import torch


def stream(seed: int, purpose: str, item: int = 0, iteration: int = 0) -> np.random.Generator:
    """The random numbers of one address; the same address always yields the same sequence.

    `purpose` names the use ("langevin/noise"), so that two uses of one seed are independent; `item` and `iteration`
    are non-negative integers.
    """
    digest = blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype=np.uint64)
    counter = np.array([0, 0, iteration, item], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def normal(seed: int, purpose: str, items: Iterable[int], shape: tuple[int, ...], iteration: int = 0) -> torch.Tensor:
    """Standard normal numbers `[len(items), *shape]`, float32: row i belongs to item i alone."""
    return _rows(items, shape, lambda item: stream(seed, purpose, item, iteration).standard_normal(shape, np.float32))


def normal_ahead(
    like: torch.Tensor, seed: int, purpose: str, items: Sequence[int], shape: tuple[int, ...], iteration: int
) -> Callable[[], torch.Tensor]:
    """A function that returns `normal(...)` on the device and in the element type of `like`.

    For a GPU a thread draws the numbers while the GPU works, so that it need not wait for them.
    """
    if like.device.type == "cpu":
        return lambda: normal(seed, purpose, items, shape, iteration).to(like)
    drawing = _drawer().submit(lambda: normal(seed, purpose, items, shape, iteration).to(like.dtype).pin_memory())

    def drawn() -> torch.Tensor:
        return drawing.result().to(like.device, non_blocking=True)

    return drawn


@cache
def _drawer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "drawing")


def uniform(seed: int, purpose: str, items: Iterable[int], shape: tuple[int, ...], iteration: int = 0) -> torch.Tensor:
    """Uniform numbers on [0, 1) `[len(items), *shape]`, float32: row i belongs to item i alone."""
    return _rows(items, shape, lambda item: stream(seed, purpose, item, iteration).random(shape, np.float32))


class NoiseKey(NamedTuple):
    """Key of a generator's random noise maps of a batch; one item per row."""

    seed: int
    items: Sequence[int]
    iteration: int | None  # None: the noise of the final embeddings and of the rendered images
    shared: SharedNoise | None = None  # of two passes over the same batches

    def normal(self, purpose: str, shape: tuple[int, ...], device: str | torch.device = "cpu") -> torch.Tensor:
        """Standard normal numbers `[len(items), *shape]`, float32, of (seed, purpose, item, iteration), drawn on the
        device: the same on every device but for rounding. They may be shared: do not change them in place."""
        if self.shared is None:
            return self._drawn(purpose, shape, device)
        key = (purpose, shape, str(device), self.iteration, tuple(self.items))
        return self.shared.get(key, lambda: self._drawn(purpose, shape, device))

    def rows(self, rows: slice) -> NoiseKey:
        """The key of some rows of the batch."""
        return self._replace(items=self.items[rows])

    def _drawn(self, purpose: str, shape: tuple[int, ...], device: str | torch.device) -> torch.Tensor:
        kept = "/kept" if self.iteration is None else ""
        digest = blake2b(f"{self.seed}/{purpose}{kept}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest[:4]), int.from_bytes(digest[4:])
        return normal_numbers(key, self.items, self.iteration or 0, math.prod(shape), device).unflatten(1, shape)


SHARED_BYTES = {"cpu": 2**30, "cuda": 2**32}  # at most
SHARED_PART = 8  # at most this part of a GPU's memory: an eighth


class SharedNoise:
    """Noise of the first of two passes over the same batches, which the second takes; as much as fits in `room`, the
    rest is drawn twice."""

    def __init__(self) -> None:
        self._stopped = False
        self.clear()

    def clear(self) -> None:
        """Let go of what no second pass has taken."""
        self._drawn: dict[Hashable, torch.Tensor] = {}
        self._bytes = 0

    def stop(self) -> None:
        """Share nothing from now on: the memory ran out."""
        self._stopped = True
        self.clear()

    def get(self, key: Hashable, draw: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What the first pass drew under this key, or else what `draw` draws now."""
        drawn = self._drawn.pop(key, None)
        if drawn is not None:
            self._bytes -= drawn.nbytes
            return drawn
        drawn = draw()
        if not self._stopped and self._bytes + drawn.nbytes <= room(drawn.device):
            self._drawn[key] = drawn
            self._bytes += drawn.nbytes
        return drawn


def room(device: torch.device) -> int:
    """Bytes of shared noise that a device may hold."""
    most = SHARED_BYTES.get(device.type, 0)
    if device.type == "cuda":
        import torch

        most = min(most, torch.cuda.get_device_properties(device).total_memory // SHARED_PART)
    return most


def image_items(identities: Iterable[int], labels: Iterable[str]) -> list[int]:
    """The item number of each image: that of its identity for the reference, a hash above all of these for others."""
    return [
        int(identity) if label == "reference" else _hashed(f"{int(identity)}/{label}")
        for identity, label in zip(identities, labels, strict=True)
    ]


def _hashed(text: str) -> int:
    """A number from 2⁶³ to 2⁶⁴−1."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) | 1 << 63


def _rows(items: Iterable[int], shape: tuple[int, ...], draw: Callable[[int], np.ndarray]) -> torch.Tensor:
    import torch  # here, because the environment of tables and figures has none

    rows = [draw(item) for item in items]
    return torch.from_numpy(np.stack(rows)) if rows else torch.empty((0, *shape))


def check_items(items: Sequence[int] | None, count: int) -> list[int]:
    """The global identity numbers: `items`, or 0 … count−1; refuses a wrong count, negative or repeated numbers."""
    if items is None:
        return list(range(count))
    numbers = [int(item) for item in items]
    if len(numbers) != count:
        raise BrownidError(f"There are {len(numbers)} identity numbers for {count} identities; give one for each.")
    if len(set(numbers)) != count or min(numbers, default=0) < 0:
        raise BrownidError("Identity numbers must be non-negative and differ from each other: they address the noise.")
    return numbers
