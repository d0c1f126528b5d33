"""Addressed randomness: every random number comes from (seed, purpose, item, iteration), never from a shared stream.

A result therefore does not depend on batch size, shards, processes, order or resuming. The generator is Philox
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): its key is a hash of seed and purpose, the
upper half of its counter holds item and iteration, so that two addresses never share a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brownid.runtime.errors import BrownidError

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


def uniform(seed: int, purpose: str, items: Iterable[int], shape: tuple[int, ...], iteration: int = 0) -> torch.Tensor:
    """Uniform numbers on [0, 1) `[len(items), *shape]`, float32: row i belongs to item i alone."""
    return _rows(items, shape, lambda item: stream(seed, purpose, item, iteration).random(shape, np.float32))


class NoiseKey(NamedTuple):
    """Key of a generator's random noise maps of a batch; one item per row."""

    seed: int
    items: Sequence[int]
    iteration: int | None  # None: the noise of the final embeddings and of the rendered images

    def normal(self, purpose: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Standard normal numbers `[len(items), *shape]`, float32, of (seed, purpose, item, iteration)."""
        if self.iteration is None:
            return normal(self.seed, f"{purpose}/kept", self.items, shape)
        return normal(self.seed, purpose, self.items, shape, self.iteration)

    def rows(self, rows: slice) -> NoiseKey:
        """The key of some rows of the batch."""
        return self._replace(items=self.items[rows])


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
