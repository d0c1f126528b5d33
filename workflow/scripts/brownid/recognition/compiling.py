"""torch.compile for functions of batches whose size varies, and a sentence where it cannot work."""

import os
import shutil
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from brownid.runtime.errors import BrownidError, one_line

BACKEND = "inductor"
ADVICE = "set compile: false in the configuration of the network"


def compiled(function: Callable[[Tensor], Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
    """`function` of a batch, compiled when it is first called; with and without gradients are two programs.

    Batches of any size share a program; a batch of one has a program of its own, for the compiler takes a length of one
    as fixed. Raises `BrownidError` where there is no C++ compiler for the CPU, and, when called, where compiling fails.
    """
    if device.type == "cpu" and BACKEND == "inductor":
        _check_compiler()
    from torch import _dynamo  # slow to import, and needed by few

    program = torch.compile(function, backend=BACKEND)

    def call(batch: Tensor) -> Tensor:
        if len(batch) > 1:
            _dynamo.maybe_mark_dynamic(batch, 0)
        try:
            return program(batch)
        except _dynamo.exc.TorchDynamoException as error:
            raise BrownidError(f"torch.compile failed ({one_line(error)}): {ADVICE}.") from error

    return call


def _check_compiler() -> None:
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise BrownidError(
            f"torch.compile needs a C++ compiler, and there is no {compiler!r}: install one, name another in the "
            f"environment variable CXX, or {ADVICE}."
        )
