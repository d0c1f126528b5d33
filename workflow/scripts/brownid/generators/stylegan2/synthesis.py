"""StyleGAN2's synthesis network: modulated convolutions, and blocks of doubling resolution with summed RGB outputs."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.generators.stylegan2.activation import GAIN, SLOPE, activated, per_channel
from brownid.generators.stylegan2.lowpass import low_passed
from brownid.generators.stylegan2.settings import SMALLEST, StyleGAN2Settings

FILTER = (1.0, 3.0, 3.0, 1.0)  # taps of the low-pass filter, before they are normalised


def resample_filter() -> Tensor:
    """The two-dimensional low-pass filter `[4, 4]`, sum 1."""
    taps = torch.tensor(FILTER)
    return torch.outer(taps, taps) / taps.sum() ** 2


def normalise(x: Tensor) -> Tensor:
    """Rows of `x` `[B, D]` with a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """Factor that restores unit variance of each output channel, `[B, O]`: equation 3's 1 / √(Σ (s·w)² + ε).

    `weight` is `[O, I, k, k]`, `styles` `[B, I]`. The sum over I is a product of squares, so that the scaled weights of
    every picture are never formed.
    """
    power = weight.square().sum(dim=(2, 3))  # [O, I]
    return (styles.square() @ power.T + 1e-8).rsqrt()


def convolve(x: Tensor, weight: Tensor, low_pass: Tensor | None = None) -> Tensor:
    """The scaled activations `x` convolved with `weight` `[O, I, 3, 3]`.

    With a `low_pass` filter `[4, 4]` the result has twice the side: the picture is filled up with zeros, filtered, and
    convolved with the kernel read backwards, as NVIDIA's upsampling layers are trained.
    """
    weight = weight.to(x.dtype)
    if low_pass is None:
        return _FixedConvolution.apply(x, weight, 1, 1, 1, False)
    # The kernel first, by a transposed convolution that skips the zeros, then the filter: [B, O, 2H + 1, 2W + 1] there.
    x = _FixedConvolution.apply(x, weight.transpose(0, 1), 2, 0, 1, True)
    return low_passed(x, 4 * low_pass.flip((0, 1)), padding=1)  # the gain of upsampling by 2 is 4


def upsample(x: Tensor, low_pass: Tensor) -> Tensor:
    """`x` at twice the side: filled up with zeros, then filtered with gain 4."""
    kernel = (4 * low_pass).to(x.dtype).expand(x.shape[1], 1, -1, -1)
    return _FixedConvolution.apply(x, kernel, 2, 1, x.shape[1], True)


class _FixedConvolution(torch.autograd.Function):
    """A convolution, or a `transposed` one, with a constant kernel: autograd's own would keep its input.

    The sides must be such that the one undoes the other's change of shape, as they are wherever it is used here.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, groups: int, transposed: bool
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.options = stride, padding, groups, transposed
        convolution = F.conv_transpose2d if transposed else F.conv2d
        return convolution(x, weight, stride=stride, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (weight,) = ctx.saved_tensors
        stride, padding, groups, transposed = ctx.options
        adjoint = _FixedConvolution.apply(gradient, weight, stride, padding, groups, not transposed)
        return adjoint, None, None, None, None, None


class Linear(nn.Module):
    """A fully connected layer, `[B, inputs]` to `[B, outputs]`; `rate` is the factor on its stored weight and bias."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_gain, self.bias_gain = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight.T, beta=self.bias_gain, alpha=self.weight_gain)


class SynthesisLayer(nn.Module):
    """A modulated 3×3 convolution with noise, bias and activation; `up` doubles the side."""

    resample_filter: Tensor  # [4, 4]
    noise_const: Tensor  # [R, R], where there is noise

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        up: bool,
        clamp: float | None,
        use_noise: bool,
    ) -> None:
        super().__init__()
        self.up, self.clamp = up, clamp
        self.register_buffer("resample_filter", resample_filter())
        self.affine = Linear(w_dim, inputs)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, 3, 3))
        if use_noise:
            self.register_buffer("noise_const", torch.zeros(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self,
        x: Tensor,
        styles: Tensor,
        noise: Tensor | None,
        following: Tensor | None = None,
        colours: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Activations `[B, O, R, R]` scaled by the styles `following` `[B, O]`, and the image `[B, 3, R, R]` that
        `colours` `[B, 3, O]` make of those not scaled; each where it is asked for.

        `x` `[B, I, H, W]` is scaled by this layer's `styles` `[B, I]` already; `noise` broadcasts to `[B, 1, R, R]`.
        The activation's gain is in scales, bias and noise, as leaky ReLU is homogeneous.
        """
        x = convolve(x, self.weight, self.resample_filter if self.up else None)
        scales = GAIN * demodulation(self.weight, styles)
        if noise is not None:
            noise = (GAIN * self.noise_strength * noise).view(-1, 1, *x.shape[2:])
        return activated(x, scales, GAIN * self.bias, noise, self.clamp, following, colours)


class ToRGB(nn.Module):
    """A modulated 1×1 convolution to three channels, not demodulated and without activation."""

    def __init__(self, inputs: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = Linear(w_dim, inputs)
        self.weight = nn.Parameter(torch.zeros(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1 / math.sqrt(inputs)

    def colours(self, latents: Tensor) -> Tensor:
        """Weights `[B, 3, I]` of the colours for `latents` `[B, D]`."""
        styles = self.weight_gain * self.affine(latents)
        return self.weight.flatten(1) * styles.unsqueeze(1)

    def finish(self, rgb: Tensor) -> Tensor:
        """The image `[B, 3, R, R]` with the bias, in the number format of the parameters."""
        rgb = rgb.to(self.bias.dtype) + self.bias.view(1, -1, 1, 1)
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)


class MappingNetwork(nn.Module):
    """Normal vectors, and labels where the generator takes them, to latents."""

    w_avg: Tensor  # [D]

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        layers: int,
        width: int,
        label_width: int,
        rate: float,
    ) -> None:
        super().__init__()
        if c_dim:
            self.embed = Linear(c_dim, label_width)
        widths = [z_dim + (label_width if c_dim else 0), *[width] * (layers - 1), w_dim]
        for number in range(layers):
            self.add_module(f"fc{number}", Linear(widths[number], widths[number + 1], rate))
        self.layers = layers
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """`z` `[B, Z]` and `labels` `[B, C]` to latents `[B, D]`."""
        x = normalise(z)
        if labels is not None:
            x = torch.cat([x, normalise(self.embed(labels))], dim=1)
        for number in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{number}")(x), SLOPE) * GAIN
        return x


class SynthesisBlock(nn.Module):
    """Two convolutions (one in the smallest block, which starts from a learned constant) and a layer to RGB."""

    resample_filter: Tensor  # [4, 4]

    def __init__(self, settings: StyleGAN2Settings, resolution: int) -> None:
        super().__init__()
        channels, w_dim = settings.channels(resolution), settings.w_dim
        layer = partial(
            SynthesisLayer,
            outputs=channels,
            w_dim=w_dim,
            resolution=resolution,
            clamp=settings.conv_clamp,
            use_noise=settings.use_noise,
        )
        self.first = resolution == SMALLEST
        self.register_buffer("resample_filter", resample_filter())
        if self.first:
            self.const = nn.Parameter(torch.zeros(channels, resolution, resolution))
        else:
            self.conv0 = layer(settings.channels(resolution // 2), up=True)
        self.conv1 = layer(channels, up=False)
        self.torgb = ToRGB(channels, w_dim, settings.conv_clamp)

    def layers(self) -> list[SynthesisLayer]:
        """The convolutions in their order."""
        return [self.conv1] if self.first else [self.conv0, self.conv1]


class Synthesis(nn.Module):
    """Latents `[B, L, D]` to images `[B, 3, R, R]`."""

    def __init__(self, settings: StyleGAN2Settings) -> None:
        super().__init__()
        self.resolutions = settings.resolutions
        for resolution in self.resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(settings, resolution))

    def blocks(self) -> Iterator[tuple[str, SynthesisBlock]]:
        """Name and block, from the smallest on."""
        for resolution in self.resolutions:
            yield f"b{resolution}", cast(SynthesisBlock, self.get_submodule(f"b{resolution}"))

    def noisy_layers(self) -> dict[str, SynthesisLayer]:
        """The layers that have a noise map, by the name of the map ("b8.conv0")."""
        named = self.named_modules()
        return {name: m for name, m in named if isinstance(m, SynthesisLayer) and hasattr(m, "noise_const")}

    def forward(
        self,
        latents: Tensor,
        noise: Mapping[str, Tensor],
        dtype: torch.dtype,
        memory_format: torch.memory_format,
    ) -> Tensor:
        """Images in the number format of the parameters, their activations in `dtype`.

        `noise` holds maps that broadcast to `[B, 1, r, r]`, by layer; a layer without one gets none. In W+, the layer
        to RGB of a block shares its latent with the first convolution of the next.
        """
        image: Tensor | None = None
        layers = [(name, block, layer) for name, block in self.blocks() for layer in block.layers()]
        styles = [layer.affine(latents[:, number]) for number, (_, _, layer) in enumerate(layers)]
        x = layers[0][1].const.to(dtype) * per_channel(styles[0], dtype)
        x = x.contiguous(memory_format=memory_format)
        for number, (name, block, layer) in enumerate(layers):
            following = styles[number + 1] if number + 1 < len(layers) else None
            if layer is block.conv1:
                colours = block.torgb.colours(latents[:, number + 1])
                x, rgb = layer(x, styles[number], noise.get(f"{name}.conv1"), following, colours)
                rgb = block.torgb.finish(rgb)
                image = rgb if image is None else upsample(image, block.resample_filter) + rgb
            else:
                x, _ = layer(x, styles[number], noise.get(f"{name}.conv0"), following)
        assert image is not None  # the smallest block has made one
        return image
