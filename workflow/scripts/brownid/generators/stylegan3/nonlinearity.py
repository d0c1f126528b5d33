"""The filtered leaky ReLU: Karras et al. 2021, section 3.1 and appendix C.

A pointwise nonlinearity makes frequencies that the sampling rate cannot hold. It is therefore applied to a finer
signal: sample up, leaky ReLU, low-pass, sample down.
"""

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from brownid.generators.stylegan3.resampling import (
    Padding,
    downsample,
    downsample_transposed,
    upsample,
    upsample_transposed,
)

SLOPE = 0.2  # below zero
STEEPER = 5  # = 1 / SLOPE: the slope above zero, in units of the one below
GAIN = math.sqrt(2)  # keeps the mean square of a normal signal, nearly


def filtered_leaky_relu(
    x: Tensor, up_taps: Tensor, down_taps: Tensor, up: int, down: int, padding: Padding, limit: float | None
) -> Tensor:
    """`[B, C, N, N]`, sampled up, through √2 · leaky ReLU, clamped to ±`limit`, and sampled down; once differentiable.

    The caller has multiplied `x` by √2 already, where it costs nothing: a leaky ReLU commutes with positive factors.
    `padding` refers to the signal with its zeros inserted; negative numbers cut.
    """
    return _FilteredLeakyReLU.apply(x, up_taps, down_taps, up, down, padding, math.inf if limit is None else limit)


class _FilteredLeakyReLU(torch.autograd.Function):
    """Keeps one byte of each fine sample for the backward pass, where the single steps would keep eight or twelve.

    That byte is the slope divided by the lesser one: 1, 5, or 0 where clamped. (A multiplication by bytes takes a
    seventh of the time of `torch.where` on a CPU.)
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        up_taps: Tensor,
        down_taps: Tensor,
        up: int,
        down: int,
        padding: Padding,
        limit: float,
    ) -> Tensor:
        fine = F.leaky_relu(upsample(x, up_taps * up, up, padding), SLOPE)
        least, greatest = _in_memory_order(fine).aminmax()
        exceeds = bool(greatest > limit) or bool(least < -limit)  # hardly ever, and then a pass more
        if ctx.needs_input_grad[0]:
            slopes = (fine < 0).view(torch.int8).mul_(1 - STEEPER).add_(STEEPER)
            if exceeds:
                slopes.mul_((fine.abs() <= limit).view(torch.int8))
            ctx.save_for_backward(up_taps, down_taps, slopes)
        ctx.up, ctx.down, ctx.padding, ctx.fine_size = up, down, padding, fine.shape[-1]
        return downsample(fine.clamp_(-limit, limit) if exceeds else fine, down_taps, down)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        up_taps, down_taps, slopes = ctx.saved_tensors
        gradient = downsample_transposed(gradient, down_taps, ctx.down, ctx.fine_size).mul_(slopes)
        gradient = upsample_transposed(gradient, up_taps * ctx.up, ctx.up, ctx.padding).mul_(SLOPE)
        return gradient, None, None, None, None, None, None


def _in_memory_order(x: Tensor) -> Tensor:
    """A view without gaps, so that a reduction need not copy images whose channels come last in memory."""
    return x.permute(0, 2, 3, 1) if x.is_contiguous(memory_format=torch.channels_last) else x
