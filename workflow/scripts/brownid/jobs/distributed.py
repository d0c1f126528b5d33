"""Rank, size and reductions of processes that share one computation; a single-process default."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import torch
from torch import distributed

from brownid.runtime.process import default_device

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


# The names that torchrun and srun give to a process's number, the number of all, and its number on its machine.
NAMES = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))

# A collective that one process does not reach ends the others after these minutes, where nothing ended them before:
# NCCL waits inside a kernel, in which no exception arrives, so a watchdog thread ends the process.
GPU_PATIENCE = timedelta(minutes=10)
WATCHDOG = {
    "TORCH_NCCL_ASYNC_ERROR_HANDLING": "3",  # end the process; cleaning up first may wait for the lost one
    "TORCH_NCCL_ENABLE_MONITORING": "1",  # and watch the watchdog,
    "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC": "300",  # which may itself wait for the GPU
}


class DistributedGroup:
    """One process of a `torch.distributed` group; every reduction is the same on all of them."""

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over the processes."""
        return self._reduced(values, distributed.ReduceOp.SUM)

    def minimum(self, values: torch.Tensor) -> torch.Tensor:
        """The smallest over the processes, number by number."""
        return self._reduced(values, distributed.ReduceOp.MIN)

    def maximum(self, values: torch.Tensor) -> torch.Tensor:
        """The largest over the processes, number by number."""
        return self._reduced(values, distributed.ReduceOp.MAX)

    @staticmethod
    def _reduced(values: torch.Tensor, operation: distributed.ReduceOp.RedOpType) -> torch.Tensor:
        values = values.detach().clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(values, operation)
        return values


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """The number that torchrun or srun gave to this process, 0 … size−1."""
    return int(environment[_names(environment)[0]])


@contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[ProcessGroup]:
    """Join the group that torchrun or srun started this process in: NCCL between GPUs, gloo between CPUs.

    MASTER_ADDR and MASTER_PORT say where the processes meet. When one is lost, gloo raises an exception in the others
    at once; with NCCL torchrun and srun end them, and where those cannot, the watchdog does within minutes.
    """
    _, size, local = _names(environment)
    options: dict[str, Any] = {"backend": "gloo", "rank": rank(environment), "world_size": int(environment[size])}
    if default_device() == "cuda":  # a launcher may give each process its own GPU, or show all of them to all
        torch.cuda.set_device(int(environment[local]) % torch.cuda.device_count())
        for name, value in WATCHDOG.items():
            os.environ.setdefault(name, value)
        options |= {"backend": "cpu:gloo,cuda:nccl", "timeout": GPU_PATIENCE}
    distributed.init_process_group(**options)
    try:
        yield DistributedGroup()
    finally:
        distributed.destroy_process_group()


def _names(environment: Mapping[str, str]) -> tuple[str, str, str]:
    return next(names for names in NAMES if names[0] in environment)


def own_rows(group: ProcessGroup, count: int) -> slice:
    """The contiguous rows of `count` that this process works on; they differ by at most one between processes."""
    return slice(count * group.rank // group.size, count * (group.rank + 1) // group.size)


def gather(group: ProcessGroup, rows: torch.Tensor, count: int) -> torch.Tensor:
    """All `count` rows, the same on all processes, from the own rows of each `[own,…]`."""
    if group.size == 1:
        return rows
    everybody = rows.new_zeros(count, *rows.shape[1:])
    everybody[own_rows(group, count)] = rows
    return group.sum(everybody)
