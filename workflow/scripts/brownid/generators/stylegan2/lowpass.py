"""The low-pass filter of StyleGAN2's upsampling layers in two forms; a GPU takes the faster one for each layer.

As a depthwise convolution it is one library call, whose speed in channels-last depends much on GPU and cuDNN; as a sum
of 16 shifted slices it is a chain of elementwise steps, which torch.compile turns into one kernel. They differ by
rounding. Folded into the transposed convolution before it, the filter would cost four times that convolution's
multiplications (3 to 25 times its time on a CPU).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.runtime.fusing import chain
from brownid.runtime.precision import is_out_of_memory
from brownid.runtime.process import logger

ROUNDS = 5  # of a measurement
MEASURED = 2**24  # numbers of the pictures that are measured, at most, beside the first picture
Form = Callable[[Tensor, Tensor, int], Tensor]


def low_passed(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """Each channel of `x` `[B, C, H, W]`, with zeros around it, correlated with `kernel` `[4, 4]`."""
    return _LowPass.apply(x, kernel.to(x.dtype), padding)


def depthwise(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """The filter as a convolution with a group per channel."""
    return F.conv2d(x, kernel.expand(x.shape[1], 1, -1, -1), padding=padding, groups=x.shape[1])


@chain
def slices(x: Tensor, kernel: Tensor, padding: int) -> Tensor:
    """The filter as a sum of shifted slices, summed in float32 or wider as the convolution is."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    wide, taps = F.pad(x, (padding, padding, padding, padding)).to(dtype), kernel.to(dtype)
    height, width = wide.shape[2] - 3, wide.shape[3] - 3
    result = wide[:, :, :height, :width] * taps[0, 0]
    for place in range(1, 16):
        row, column = divmod(place, 4)
        result = result + wide[:, :, row : row + height, column : column + width] * taps[row, column]
    return result.to(x.dtype)


FORMS: dict[str, Form] = {"depthwise": depthwise, "slices": slices}
_chosen: dict[tuple, str] = {}  # form by device, number format, layout and shape of a picture


def form_for(x: Tensor, kernel: Tensor, padding: int) -> str:
    """The form for pictures such as `x`: on a GPU the faster one, measured on some pictures when the first such come.

    On a CPU it is the convolution, which took a quarter of the slices' time or less (one thread, float32 and bfloat16);
    torch.compile of the whole generator gets slices.
    """
    if torch.compiler.is_compiling():
        return "slices"
    if not can_measure(x.device):
        return "depthwise"
    last = x.is_contiguous(memory_format=torch.channels_last)
    place = (x.device, x.dtype, last, x.shape[1:], padding)
    if place not in _chosen:
        some = x[: max(1, MEASURED // max(1, x[0].numel()))]
        taken = {name: time_of(form, some, kernel, padding) for name, form in FORMS.items()}
        _chosen[place] = min(taken, key=taken.__getitem__)
        times = ", ".join(f"{name} {time:.3f} ms" for name, time in taken.items())
        logger.info("low-pass filter of %s %s: %s (%s)", list(some.shape), x.dtype, _chosen[place], times)
    return _chosen[place]


def can_measure(device: torch.device) -> bool:
    """Whether times of this device can be taken."""
    return device.type == "cuda" and torch.cuda.is_available()


def time_of(form: Form, x: Tensor, kernel: Tensor, padding: int) -> float:
    """Milliseconds that a form takes; infinitely many where it runs out of memory."""
    try:
        return milliseconds(form, x, kernel, padding)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return math.inf


def milliseconds(form: Form, x: Tensor, kernel: Tensor, padding: int) -> float:
    """The time of a form on a GPU, after a call that may compile it."""
    with torch.no_grad():
        form(x, kernel, padding)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(ROUNDS):
            form(x, kernel, padding)
        end.record()
        end.synchronize()
    return begin.elapsed_time(end) / ROUNDS


class _LowPass(torch.autograd.Function):
    """Either form, with a constant kernel: its gradient is the same filter with the kernel read backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.padding = padding
        return FORMS[form_for(x, kernel, padding)](x, kernel, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kernel,) = ctx.saved_tensors
        return low_passed(gradient, kernel.flip((0, 1)), 3 - ctx.padding), None, None
