"""Chains of elementwise steps as one GPU kernel: each is a function, which torch.compile turns into a kernel.

Where nothing is compiled (CPUs, or before `compile_chains`) the same function runs step by step.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from brownid.runtime.errors import one_line
from brownid.runtime.precision import is_out_of_memory
from brownid.runtime.process import logger

BACKEND = "inductor"  # of torch.compile
Chain = TypeVar("Chain", bound=Callable[..., Any])
_programs: dict[Callable[..., Any], Callable[..., Any]] = {}  # compiled functions
_chains = False  # whether chains are compiled
_failed = False  # whether compiling failed: from then on nothing is compiled in this process


def chain(function: Chain) -> Chain:
    """`function` of tensors, elementwise with sums of its results; compiled once `compile_chains` has been called."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return run(function, arguments)

    return call  # type: ignore[return-value]  # the same signature


def run(function: Callable[..., Any], arguments: tuple) -> Any:
    """The result of a chain, by its compiled program where chains are compiled."""
    return run_compiled(function, arguments) if _chains else function(*arguments)


def run_compiled(function: Callable[..., Any], arguments: tuple) -> Any:
    """The result of `function` by its compiled program, or step by step after compiling has failed."""
    global _failed
    if _failed or torch.compiler.is_compiling():
        return function(*arguments)
    try:
        if function not in _programs:
            # Of all sizes one program: layers differ in channels and sides, batches in length.
            _programs[function] = torch.compile(function, backend=BACKEND, dynamic=True)
        return _programs[function](*arguments)
    except Exception as error:  # whatever the compiler, the driver or the linker raise: chains run without them
        if is_out_of_memory(error):  # a smaller batch fits
            raise
        said = one_line(error)
    # Only here, behind the handler, has the failed pass let go of its tensors.
    _failed = True
    _programs.clear()
    logger.warning("torch.compile failed (%s): elementwise steps run one by one, more slowly.", said)
    return function(*arguments)


def compile_chains(device: torch.device) -> bool:
    """Compile chains from now on, in this process, where `device` is a GPU that torch.compile has a backend for."""
    global _chains
    if not can_compile(device):
        return False
    if not _chains:
        _chains = True
        logger.info("elementwise steps are compiled to one kernel each")
    return True


def can_compile(device: torch.device) -> bool:
    """Whether `device` is a GPU, and torch.compile has a backend for it."""
    return device.type == "cuda" and _has_backend()


def _has_backend() -> bool:
    return importlib.util.find_spec("triton") is not None
