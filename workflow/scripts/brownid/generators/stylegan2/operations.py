"""The arithmetic of StyleGAN2 layers: modulated convolutions on scaled activations, resampling, activation.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020 (equations 1 and 3). Weights are constants
here: gradients are formed for activations, styles and noise. Activations are `[B, C, H, W]`.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky ReLU below zero
GAIN = math.sqrt(2)  # that keeps the variance of activations through it
FILTER = (1.0, 3.0, 3.0, 1.0)  # taps of the low-pass filter, before they are normalised


def resample_filter() -> Tensor:
    """The two-dimensional low-pass filter `[4, 4]`, sum 1."""
    taps = torch.tensor(FILTER)
    return torch.outer(taps, taps) / taps.sum() ** 2


def normalise(x: Tensor) -> Tensor:
    """Rows of `x` `[B, D]` with a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """What brings each output channel back to unit variance, `[B, O]`: equation 3's 1 / √(Σ (s·w)² + ε).

    `weight` is `[O, I, k, k]`, `styles` `[B, I]`. The sum over I is a product of squares, so that the scaled weights of
    every picture are never formed.
    """
    power = weight.square().sum(dim=(2, 3))  # [O, I]
    return (styles.square() @ power.T + 1e-8).rsqrt()


def convolve(x: Tensor, weight: Tensor, styles: Tensor, low_pass: Tensor | None = None) -> Tensor:
    """The activations `x`, scaled by `styles` `[B, I]`, convolved with `weight` `[O, I, k, k]`.

    With a `low_pass` filter `[4, 4]` the result has twice the side: the picture is filled up with zeros, filtered, and
    convolved with the kernel read backwards, as NVIDIA's upsampling layers are trained.
    """
    x = x * per_channel(styles, x.dtype)
    weight = weight.to(x.dtype)
    if low_pass is None:
        return _FixedConvolution.apply(x, weight, 1, weight.shape[-1] // 2, 1, False)
    # The kernel first, by a transposed convolution that skips the zeros, then the filter: [B, O, 2H + 1, 2W + 1] there.
    return filtered(_FixedConvolution.apply(x, weight.transpose(0, 1), 2, 0, 1, True), low_pass)


def filtered(x: Tensor, low_pass: Tensor) -> Tensor:
    """`x` with one zero around it, convolved with the filter of upsampling by 2 (gain 4): a side of one pixel less."""
    kernel = (4 * low_pass).flip((0, 1)).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return _FixedConvolution.apply(x, kernel, 1, 1, x.shape[1], False)


def upsample(x: Tensor, low_pass: Tensor) -> Tensor:
    """`x` at twice the side: filled up with zeros, then filtered with gain 4."""
    kernel = (4 * low_pass).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return _FixedConvolution.apply(x, kernel, 2, 1, x.shape[1], True)


def activate(x: Tensor, clamp: float | None) -> Tensor:
    """Leaky ReLU, then clamped to ± `clamp`; in place."""
    return F.leaky_relu_(x, SLOPE) if clamp is None else _ClampedLeakyReLU.apply(x, clamp)


def per_channel(values: Tensor, dtype: torch.dtype) -> Tensor:
    """`[B, C]` or `[C]` as a factor `[B or 1, C, 1, 1]` of activations."""
    return values.to(dtype).view(-1, values.shape[-1], 1, 1)


class _FixedConvolution(torch.autograd.Function):
    """A convolution, or a `transposed` one, with a constant kernel: autograd's own would keep its input.

    The sides must be such that the one undoes the other's change of shape, as they are wherever it is used here.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int, transposed: bool) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.options = stride, padding, groups, transposed
        convolution = F.conv_transpose2d if transposed else F.conv2d
        return convolution(x, weight, stride=stride, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (weight,) = ctx.saved_tensors
        stride, padding, groups, transposed = ctx.options
        adjoint = _FixedConvolution.apply(gradient, weight, stride, padding, groups, not transposed)
        return adjoint, None, None, None, None, None


class _ClampedLeakyReLU(torch.autograd.Function):
    """Both steps in place and both gradients from the result: autograd's own would need a copy between them."""

    @staticmethod
    def forward(ctx, x: Tensor, clamp: float) -> Tensor:
        F.leaky_relu_(x, SLOPE).clamp_(-clamp, clamp)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        ctx.clamp = clamp
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors
        gradient = torch.ops.aten.hardtanh_backward(gradient, result, -ctx.clamp, ctx.clamp)
        return torch.ops.aten.leaky_relu_backward(gradient, result, SLOPE, True), None
