"""Low-pass filters, resampling, the filtered leaky ReLU (Karras et al. 2021, section 3.1 and appendix C)."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def low_pass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A filter `[taps]` to be run along each axis in turn, float32, symmetric, with sum 1.

    `width` is that of the whole transition band, centred on `cutoff`.
    """
    relative = 2 * cutoff / rate
    position = np.arange(taps) - (taps - 1) / 2
    response = np.sinc(relative * position) * np.kaiser(taps, kaiser_beta(taps, width, rate))
    return torch.from_numpy(response / response.sum()).float()


def radial_low_pass(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A filter `[taps, taps]` whose ideal response is a disc in frequency, float32, with sum 1; `taps` is even.

    The ideal response is the jinc function, J1(2π f r) / r. The window is a product of one along each axis, so that
    only the part under it is rotationally symmetric.
    """
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(position[:, None], position[None, :])  # never 0: with an even number no tap is in the centre
    bessel = torch.special.bessel_j1(torch.from_numpy(2 * np.pi * cutoff * radius)).numpy()
    window = np.kaiser(taps, kaiser_beta(taps, width, rate))
    response = bessel / radius * np.outer(window, window)
    return torch.from_numpy(response / response.sum()).float()


def kaiser_beta(taps: int, width: float, rate: float) -> float:
    """The window parameter that reaches the best attenuation with this number of taps (Kaiser's empirical formulae)."""
    attenuation = 2.285 * (taps - 1) * np.pi * (2 * width / rate) + 7.95  # decibels
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


ROWS, COLUMNS = 0, 1
Padding = tuple[int, int]  # samples before and after, along either axis


def upsample(x: Tensor, taps: Tensor, factor: int, padding: Padding) -> Tensor:
    """`[B, C, N, N]` with `factor - 1` zeros behind every sample, padded or cut by `padding`, filtered with `[T]`.

    Only samples that the whole filter covers are kept: N · factor + sum(padding) - T + 1 along each axis.
    """
    trimmed, before, after = _trims(len(taps), factor, padding)
    for axis in (ROWS, COLUMNS):
        x = F.conv_transpose2d(x, _kernel(taps, axis, x), None, *_along(axis, factor, trimmed), 0, x.shape[1])
    return _cut(x, before, after)


def upsample_transposed(x: Tensor, taps: Tensor, factor: int, padding: Padding) -> Tensor:
    """The transpose of `upsample` as a linear map: what its backward pass needs."""
    trimmed, before, after = _trims(len(taps), factor, padding)
    x = _cut(x, -before, -after)
    for axis in (COLUMNS, ROWS):
        x = F.conv2d(x, _kernel(taps, axis, x), None, *_along(axis, factor, trimmed), 1, x.shape[1])
    return x


def downsample(x: Tensor, taps: Tensor, factor: int) -> Tensor:
    """`[B, C, N, N]` filtered with `[T]` along each axis, or with `[T, T]`, of which every `factor`-th sample is kept.

    Only samples that the whole filter covers: ceil((N - T + 1) / factor) along each axis.
    """
    if taps.ndim == 2:
        return F.conv2d(x, _kernel(taps.flip(0, 1), None, x), None, factor, 0, 1, x.shape[1])
    taps = taps.flip(0)
    for axis in (COLUMNS, ROWS):
        x = F.conv2d(x, _kernel(taps, axis, x), None, *_along(axis, factor, 0), 1, x.shape[1])
    return x


def downsample_transposed(x: Tensor, taps: Tensor, factor: int, size: int) -> Tensor:
    """The transpose of `downsample` for images of `size` samples: what its backward pass needs."""
    unread = (size - len(taps)) % factor  # samples at the end that the last step of the filter did not reach
    if taps.ndim == 2:
        kernel = _kernel(taps.flip(0, 1), None, x)
        return F.conv_transpose2d(x, kernel, None, factor, 0, unread, x.shape[1])
    taps = taps.flip(0)
    for axis in (ROWS, COLUMNS):
        stride, none = _along(axis, factor, 0)
        x = F.conv_transpose2d(x, _kernel(taps, axis, x), None, stride, none, _pair(axis, unread, 0), x.shape[1])
    return x


def _trims(taps: int, factor: int, padding: Padding) -> tuple[int, int, int]:
    """Trims of the transposed convolution for `padding`: of both ends, and the rest of either end."""
    before, after = taps - 1 - padding[0], taps - factor - padding[1]
    trimmed = max(0, min(before, after))
    return trimmed, before - trimmed, after - trimmed


def _cut(x: Tensor, before: int, after: int) -> Tensor:
    """Without the first and last samples of both axes; negative numbers add zeros."""
    if before >= 0 and after >= 0:
        return x[:, :, before : x.shape[2] - after, before : x.shape[3] - after]
    return F.pad(x, (-before, -after, -before, -after))


def _kernel(taps: Tensor, axis: int | None, x: Tensor) -> Tensor:
    """The filter as weights of a depthwise convolution, `[C, 1, height, width]`."""
    if axis is not None:
        taps = taps[:, None] if axis == ROWS else taps[None, :]
    return taps.to(x.dtype).expand(x.shape[1], 1, -1, -1)


def _along(axis: int, stride: int, padding: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return _pair(axis, stride, 1), _pair(axis, padding, 0)


def _pair(axis: int, value: int, other: int) -> tuple[int, int]:
    return (value, other) if axis == ROWS else (other, value)


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
        ctx: Any,
        x: Tensor,
        up_taps: Tensor,
        down_taps: Tensor,
        up: int,
        down: int,
        padding: Padding,
        limit: float,
    ) -> Tensor:
        fine = F.leaky_relu(upsample(x, up_taps * up, up, padding), SLOPE)
        exceeds = _may_exceed(fine, limit)  # hardly ever, and then a pass more
        if ctx.needs_input_grad[0]:
            slopes = (fine < 0).view(torch.int8).mul_(1 - STEEPER).add_(STEEPER)
            if exceeds:
                slopes.mul_((fine.abs() <= limit).view(torch.int8))
            ctx.save_for_backward(up_taps, down_taps, slopes)
        ctx.up, ctx.down, ctx.padding, ctx.fine_size = up, down, padding, fine.shape[-1]
        return downsample(fine.clamp_(-limit, limit) if exceeds else fine, down_taps, down)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        up_taps, down_taps, slopes = ctx.saved_tensors
        gradient = downsample_transposed(gradient, down_taps, ctx.down, ctx.fine_size).mul_(slopes)
        gradient = upsample_transposed(gradient, up_taps * ctx.up, ctx.up, ctx.padding).mul_(SLOPE)
        return gradient, None, None, None, None, None, None


def _may_exceed(x: Tensor, limit: float) -> bool:
    """Whether a sample may lie beyond ±`limit`. A GPU is not asked, since each layer would wait for the answer."""
    if math.isinf(limit) or x.device.type != "cpu":
        return math.isfinite(limit)
    least, greatest = _in_memory_order(x).aminmax()
    return bool(greatest > limit) or bool(least < -limit)


def _in_memory_order(x: Tensor) -> Tensor:
    """A view without gaps, so that a reduction need not copy images whose channels come last in memory."""
    return x.permute(0, 2, 3, 1) if x.is_contiguous(memory_format=torch.channels_last) else x
