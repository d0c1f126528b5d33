"""Rank, size and reductions of processes that share one computation; a single-process default."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

import torch

Part = TypeVar("Part")


class ProcessGroup(Protocol):
    """The processes that make the same calls in the same order, each for its part of the work, seen from one of them.

    The reductions take an equally shaped tensor (float32, float64 or int64) on every process and return, to all of
    them, the sum, minimum or maximum over the processes, element by element.
    """

    @property
    def rank(self) -> int:
        """The number of this process, 0 … size−1."""
        ...

    @property
    def size(self) -> int:
        """The number of processes."""
        ...

    def sum(self, values: torch.Tensor) -> torch.Tensor: ...

    def minimum(self, values: torch.Tensor) -> torch.Tensor: ...

    def maximum(self, values: torch.Tensor) -> torch.Tensor: ...


class SingleProcess:
    """The group of a process that does everything itself."""

    rank = 0
    size = 1

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def minimum(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def maximum(self, values: torch.Tensor) -> torch.Tensor:
        return values


SINGLE = SingleProcess()


def own_parts(parts: Iterable[Part], group: ProcessGroup) -> Iterator[Part]:
    """Every `size`-th part, from the `rank`-th on: each part falls to one process, and no two counts differ by more
    than one."""
    return (part for number, part in enumerate(parts) if number % group.size == group.rank)
