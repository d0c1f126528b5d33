"""FR networks as they steer: batch-norms folded into the convolutions, exact up to rounding.

In the residual unit BN-Conv-BN-PReLU-Conv-BN the scales of all three go into the kernels. The shift of the first goes
through the convolution, whose zero padding it does not reach: what it adds is a map per channel that differs along the
borders, computed once. What is left are two convolutions, PReLU of a sum, and the sum with the shortcut.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.recognition.backbones import FaceNetwork, ResidualUnit
from brownid.runtime.fusing import chain


def folded(network: FaceNetwork, dtype: torch.dtype | None = None) -> FaceNetwork:
    """The frozen `network` in evaluation mode with its convolutions in `dtype` (None: its own); itself where it is of
    another kind.

    The slim networks are left as they are: their results are those of earlier versions to the last digit.
    """
    units = network.residual_units() if isinstance(network, FaceNetwork) else ()
    return Folded(network, units, dtype or next(network.parameters()).dtype) if units else network


class Folded(FaceNetwork):
    """A network of residual units without batch-norms between its convolutions."""

    def __init__(self, network: FaceNetwork, units: Sequence[ResidualUnit], dtype: torch.dtype) -> None:
        super().__init__()
        self.description, self.colour_order = network.description, network.colour_order
        if hasattr(network, "input_range"):
            self.input_range = network.input_range
        self._network = (network,)  # in a tuple, so that its parameters are not this module's
        conv, bn, prelu = network.stem()
        scale, shift = _affine(bn)
        self.register_buffer("weight", _scaled(conv, scale, dtype), persistent=False)
        self.register_buffer("shift", shift.view(1, -1, 1, 1).to(dtype), persistent=False)
        self.register_buffer("slope", prelu.weight.detach().view(1, -1, 1, 1).to(dtype), persistent=False)
        side, made = network.description.image_size, []
        for parts in units:
            made.append(FoldedUnit(parts, side, dtype))
            side = (side - 1) // int(parts.conv2.stride[0]) + 1
        self.units = nn.Sequential(*made)

    def forward(self, images: Tensor) -> Any:
        weight, shift, slope = (self.get_buffer(name) for name in ("weight", "shift", "slope"))
        x = F.conv2d(images.to(weight.dtype), weight, padding=1)
        x = self.units(_ShiftedPReLU.apply(x, shift, slope))
        return self._network[0].head(x)


class FoldedUnit(nn.Module):
    """PReLU(conv(x) + shift), convolved, plus the shortcut and a bias."""

    def __init__(self, parts: ResidualUnit, side: int, dtype: torch.dtype) -> None:
        super().__init__()
        (scale1, shift1), (scale2, shift2), (scale3, bias) = (_affine(bn) for bn in (parts.bn1, parts.bn2, parts.bn3))
        kernel = parts.conv1.weight.detach()
        inside = shift1.view(1, -1, 1, 1).expand(1, -1, side, side)
        shift = scale2.view(1, -1, 1, 1) * F.conv2d(inside, kernel, padding=1) + shift2.view(1, -1, 1, 1)
        self.register_buffer("weight1", _scaled(parts.conv1, scale2, dtype, scale1), persistent=False)
        self.register_buffer("shift", shift.to(dtype), persistent=False)
        self.register_buffer("slope", parts.prelu.weight.detach().view(1, -1, 1, 1).to(dtype), persistent=False)
        self.register_buffer("weight2", _scaled(parts.conv2, scale3, dtype), persistent=False)
        self.stride = int(parts.conv2.stride[0])
        self.convolves = isinstance(parts.shortcut, nn.Sequential)
        if isinstance(parts.shortcut, nn.Sequential):
            conv, bn = cast(tuple[nn.Conv2d, nn.BatchNorm2d], tuple(parts.shortcut))
            scale, more = _affine(bn)
            self.register_buffer("weight3", _scaled(conv, scale, dtype), persistent=False)
            bias = bias + more
        self.register_buffer("bias", bias.view(1, -1, 1, 1).to(dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.conv2d(x, self.get_buffer("weight1"), padding=1)
        inner = _ShiftedPReLU.apply(inner, self.get_buffer("shift"), self.get_buffer("slope"))
        inner = F.conv2d(inner, self.get_buffer("weight2"), stride=self.stride, padding=1)
        if self.convolves:
            x = F.conv2d(x, self.get_buffer("weight3"), stride=self.stride)
        elif self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return _Sum.apply(inner, x, self.get_buffer("bias"))


@chain
def _shifted_prelu(x: Tensor, shift: Tensor, slope: Tensor) -> Tensor:
    return torch.ops.aten._prelu_kernel(x + shift, slope)


@chain
def _shifted_prelu_backward(gradient: Tensor, x: Tensor, shift: Tensor, slope: Tensor) -> Tensor:
    return torch.ops.aten._prelu_kernel_backward(gradient, x + shift, slope)[0]


@chain
def _sum(x: Tensor, shortcut: Tensor, bias: Tensor) -> Tensor:
    return x + bias + shortcut


class _ShiftedPReLU(torch.autograd.Function):
    """PReLU of x + shift, with constant shift and slope, from x alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shift: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, shift, slope)
        return _shifted_prelu(x, shift, slope)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _shifted_prelu_backward(gradient, *ctx.saved_tensors), None, None


class _Sum(torch.autograd.Function):
    """x + shortcut + bias, with a constant bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shortcut: Tensor, bias: Tensor) -> Tensor:
        return _sum(x, shortcut, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        return gradient, gradient, None


def _affine(bn: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift `[C]` of a batch-norm in evaluation mode."""
    bn = cast(nn.BatchNorm2d, bn)
    mean, variance = cast(Tensor, bn.running_mean), cast(Tensor, bn.running_var)
    scale = bn.weight.detach() * (variance + bn.eps).rsqrt()
    return scale, bn.bias.detach() - mean * scale


def _scaled(conv: nn.Conv2d, after: Tensor, dtype: torch.dtype, before: Tensor | None = None) -> Tensor:
    """The kernel with the scales `[O]` behind it, and those `[I]` before it."""
    kernel = conv.weight.detach() * after.view(-1, 1, 1, 1)
    return (kernel if before is None else kernel * before.view(1, -1, 1, 1)).to(dtype)
