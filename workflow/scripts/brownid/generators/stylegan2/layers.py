"""The layers of StyleGAN2, with the parameter names of NVIDIA's files.

Stored weights are standard normal at the start of training and scaled when used (equalised learning rate, Karras et
al. 2018). Parameters begin as zeros: they are to be loaded or drawn.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.generators.stylegan2 import operations


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
        self.register_buffer("resample_filter", operations.resample_filter())
        self.affine = Linear(w_dim, inputs)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, 3, 3))
        if use_noise:
            self.register_buffer("noise_const", torch.zeros(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, latents: Tensor, noise: Tensor | None) -> Tensor:
        """`x` `[B, I, H, W]`, `latents` `[B, D]`, `noise` broadcasting to `[B, 1, R, R]`, to `[B, O, R, R]`."""
        styles = self.affine(latents)
        x = self.convolve(x, styles, operations.GAIN * operations.demodulation(self.weight, styles))
        if noise is not None:
            x.add_((operations.GAIN * self.noise_strength * noise).to(x.dtype))
        return operations.activate(x, self.clamp)

    def convolve(self, x: Tensor, styles: Tensor, scales: Tensor) -> Tensor:
        """`x` modulated by `styles` `[B, I]`, convolved, scaled by `scales` `[B, O]`, with the bias.

        The activation's gain is in the scales and in the bias, as leaky ReLU is homogeneous: one pass less over the
        activations.
        """
        x = operations.convolve(x, self.weight, styles, self.resample_filter if self.up else None)
        bias = operations.per_channel(operations.GAIN * self.bias, x.dtype)
        return torch.addcmul(bias, x, operations.per_channel(scales, x.dtype))


class ToRGB(nn.Module):
    """A modulated 1×1 convolution to three channels, not demodulated and without activation."""

    def __init__(self, inputs: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = Linear(w_dim, inputs)
        self.weight = nn.Parameter(torch.zeros(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """`x` `[B, I, R, R]`, `latents` `[B, D]`, to `[B, 3, R, R]` in the number format of the parameters."""
        styles = self.weight_gain * self.affine(latents)
        rgb = operations.convolve(x, self.weight, styles).to(self.bias.dtype) + self.bias.view(1, -1, 1, 1)
        return rgb if self.clamp is None else rgb.clamp(-self.clamp, self.clamp)


class Mapping(nn.Module):
    """Normal vectors, and labels where the generator takes them, to latents."""

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
        x = operations.normalise(z)
        if labels is not None:
            x = torch.cat([x, operations.normalise(self.embed(labels))], dim=1)
        for number in range(self.layers):
            x = F.leaky_relu(self.get_submodule(f"fc{number}")(x), operations.SLOPE) * operations.GAIN
        return x
