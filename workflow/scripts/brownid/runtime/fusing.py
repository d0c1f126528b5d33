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
_programs: dict[Callable[..., Any], Callable[..., Any]] | None = None  # by chain; None: chains are not compiled


def chain(function: Chain) -> Chain:
    """`function` of tensors, elementwise with sums of its results; compiled once `compile_chains` has been called."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return run(function, arguments)

    return call  # type: ignore[return-value]  # the same signature


def run(function: Callable[..., Any], arguments: tuple) -> Any:
    """The result of a chain, by its compiled program if there is one."""
    global _programs
    if _programs is None or torch.compiler.is_compiling():
        return function(*arguments)
    try:
        if function not in _programs:
            # Of all sizes one program: layers differ in channels and sides, batches in length.
            _programs[function] = torch.compile(function, backend=BACKEND, dynamic=True)
        return _programs[function](*arguments)
    except Exception as error:  # whatever the compiler, the driver or the linker raise: chains run without them
        if is_out_of_memory(error):  # a smaller batch fits
            raise
        _programs = None
        logger.warning("torch.compile failed (%s): elementwise steps run one by one, more slowly.", one_line(error))
        return function(*arguments)


def compile_chains(device: torch.device) -> bool:
    """Compile chains from now on, in this process, where `device` is a GPU that torch.compile has a backend for."""
    global _programs
    if device.type != "cuda" or not _has_backend():
        return False
    if _programs is None:
        _programs = {}
        logger.info("elementwise steps are compiled to one kernel each (compile: auto)")
    return True


def _has_backend() -> bool:
    return importlib.util.find_spec("triton") is not None
