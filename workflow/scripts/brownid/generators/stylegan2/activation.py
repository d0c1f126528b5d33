"""What follows a convolution of StyleGAN2, with its gradients: scales, noise, bias, leaky ReLU, clamp, the next layer's
styles and the layer to RGB.

The one tensor of activations that is kept for the gradient is y, the activated one. Leaky ReLU is homogeneous,
a(p) = a'(p) p, hence Σ ∂p · p = Σ ∂y · y: the gradient of the scales needs no activations before it.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.runtime.fusing import chain

SLOPE = 0.2  # of the leaky ReLU below zero
GAIN = math.sqrt(2)  # that keeps the variance of activations through it


def per_channel(values: Tensor, dtype: torch.dtype) -> Tensor:
    """`[B, C]` or `[C]` as a factor `[B or 1, C, 1, 1]` of activations."""
    return values.to(dtype).view(-1, values.shape[-1], 1, 1)


def activated(
    x: Tensor,
    scales: Tensor,
    bias: Tensor,
    noise: Tensor | None,
    clamp: float | None,
    styles: Tensor | None,
    colours: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:
    """Activations y = clamp(leaky ReLU(scales · x + noise + bias)), scaled by `styles`, and the image `colours` · y.

    `x` is `[B, C, H, W]`, `scales` and `styles` `[B, C]`, `bias` `[C]`, `noise` `[B or 1, 1, H, W]`, `colours`
    `[B, 3, C]`. Without `styles` there are no scaled activations, without `colours` no image. Differentiable in all but
    the bias, and once only.
    """
    return _Activation.apply(x, scales, bias, noise, clamp, styles, colours)


@chain
def _forward(
    x: Tensor, scales: Tensor, bias: Tensor, noise: Tensor | None, clamp: float | None, styles: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """y, and y scaled by the styles."""
    y = torch.addcmul(bias, x, scales)
    if noise is not None:
        y.add_(noise)
    F.leaky_relu_(y, SLOPE)
    if clamp is not None:
        y.clamp_(-clamp, clamp)
    return y, None if styles is None else y * styles


@chain
def _backward(
    gradient: Tensor | None,
    of_image: Tensor | None,
    y: Tensor,
    scales: Tensor,
    noise: Tensor | None,
    clamp: float | None,
    styles: Tensor | None,
    colours: Tensor | None,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None, Tensor | None]:
    """∂x, and sums over places: Σ ∂z · y, Σ ∂p, Σ ∂p · noise, and with a clamp Σ ∂y · y where it does not cut.

    p is what is activated, z the activations scaled by the styles. None stands for a sum without its term.
    """
    through = along_styles = along_noise = inner = None
    if gradient is not None and styles is not None:
        along_styles = (gradient * y).sum((2, 3))
        through = gradient * styles
    if of_image is not None and colours is not None:
        for channel in range(3):
            part, weights = of_image[:, channel, None], colours[:, channel, :, None, None]
            through = part * weights if through is None else torch.addcmul(through, part, weights)
    assert through is not None  # one of the two has a gradient
    if clamp is not None:
        through = torch.ops.aten.hardtanh_backward(through, y, -clamp, clamp)
        inner = (through * y).sum((2, 3))
    through = torch.ops.aten.leaky_relu_backward(through, y, SLOPE, True)
    along_bias = through.sum((2, 3))
    if noise is not None:
        along_noise = (through * noise).sum((2, 3))
    return through * scales, along_styles, along_bias, along_noise, inner


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scales: Tensor,
        bias: Tensor,
        noise: Tensor | None,
        clamp: float | None,
        styles: Tensor | None,
        colours: Tensor | None,
    ) -> tuple[Tensor | None, Tensor | None]:
        ctx.set_materialize_grads(False)
        ctx.clamp = clamp
        factors = per_channel(scales, x.dtype)
        next_factors = None if styles is None else per_channel(styles, x.dtype)
        noise = None if noise is None else noise.to(x.dtype)
        weights = None if colours is None else colours.to(x.dtype)
        y, scaled = _forward(x, factors, per_channel(bias, x.dtype), noise, clamp, next_factors)
        image = None if weights is None else torch.bmm(weights, y.flatten(2)).unflatten(2, y.shape[2:])
        ctx.save_for_backward(y, factors, bias, noise, next_factors, weights)
        return scaled, image

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_image: Tensor | None) -> tuple[Tensor | None, ...]:
        y, factors, bias, noise, next_factors, weights = ctx.saved_tensors
        if gradient is None and of_image is None:
            return (None,) * 7
        along_x, along_styles, along_bias, along_noise, inner = _backward(
            gradient, of_image, y, factors, noise, ctx.clamp, next_factors, weights
        )
        along_map = along_colours = None
        if of_image is not None:
            along_colours = torch.bmm(of_image.flatten(2), y.flatten(2).transpose(1, 2))
        wide = torch.promote_types(y.dtype, torch.float32)
        along_scales = -bias.to(wide) * along_bias
        if inner is not None:
            along_scales = along_scales + inner
        else:  # nothing is cut: Σ ∂y · y by its two parts
            if along_styles is not None:
                along_scales = along_scales + next_factors.flatten(1).to(wide) * along_styles
            if along_colours is not None:
                along_scales = along_scales + (weights.to(wide) * along_colours).sum(1)
        if along_noise is not None:
            along_scales = along_scales - along_noise
        along_scales = along_scales / factors.flatten(1).to(wide)
        if noise is not None and ctx.needs_input_grad[3]:
            along_map = (along_x / factors).sum(1, keepdim=True).sum_to_size(noise.shape)
        return along_x, along_scales, None, along_map, None, along_styles, along_colours
