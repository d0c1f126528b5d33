"""Is there a GPU, can torch use it, and how much memory has it?"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from brownid.preflight.finding import Finding, amount

MACHINE = "This machine"
GIBIBYTE = 1024**3


class Machine(NamedTuple):
    """What this machine has; `gpu_bytes` is the memory of the GPU that torch sees, None without one."""

    gpu_name: str | None
    gpu_bytes: int | None
    torch_version: str | None  # None: torch is missing
    torch_has_cuda: bool
    has_driver: bool  # whether an NVIDIA driver is there, whatever torch can do


def this_machine() -> Machine:
    """Look at this machine."""
    has_driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    try:
        import torch
    except ImportError:
        return Machine(None, None, None, False, has_driver)
    name = memory = None
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        name, memory = properties.name, properties.total_memory
    return Machine(name, memory, torch.__version__, torch.version.cuda is not None, has_driver)


def examine_machine(machine: Machine) -> Iterator[Finding]:
    """What to know about this machine's GPU."""
    if machine.torch_version is None:
        return  # a missing package, and reported as one
    if machine.gpu_bytes is not None:
        yield Finding("fine", MACHINE, f"GPU {machine.gpu_name} with {amount(machine.gpu_bytes)}")
    elif machine.has_driver and not machine.torch_has_cuda:
        yield Finding(
            "note",
            MACHINE,
            f"there is an NVIDIA driver, but torch {machine.torch_version} is built for CPUs only",
            "install a torch with CUDA (https://pytorch.org/get-started), or every job runs on the CPU",
        )
    elif machine.has_driver:
        yield Finding(
            "note",
            MACHINE,
            f"there is an NVIDIA driver, but torch {machine.torch_version} sees no GPU",
            "see what nvidia-smi says, CUDA_VISIBLE_DEVICES, and whether the driver is new enough for this torch",
        )
    else:
        yield Finding(
            "note",
            MACHINE,
            f"no GPU here (torch {machine.torch_version}): jobs that start on this machine run on the CPU",
            "for GPUs of a cluster's nodes, give their memory with --gpu-memory",
        )
