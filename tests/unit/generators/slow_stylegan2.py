"""A slow StyleGAN2, each operation straight from its definition, computed from a state dict alone."""

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]


def upfirdn(x: Tensor, taps: Tensor, up: int, before: int, after: int, gain: float) -> Tensor:
    """Zeros inserted behind each pixel, zeros around, true convolution with `taps`, no output beyond the borders."""
    batch, channels, height, width = x.shape
    spread = x.new_zeros(batch, channels, height * up, width * up)
    spread[:, :, ::up, ::up] = x
    padded = F.pad(spread, (before, after, before, after))
    rows, columns = padded.shape[2] - taps.shape[0] + 1, padded.shape[3] - taps.shape[1] + 1
    flipped = taps.flip((0, 1))
    result = x.new_zeros(batch, channels, rows, columns)
    for i in range(taps.shape[0]):
        for j in range(taps.shape[1]):
            result = result + gain * flipped[i, j] * padded[:, :, i : i + rows, j : j + columns]
    return result


def modulated_convolution(
    x: Tensor, weight: Tensor, styles: Tensor, demodulate: bool, taps: Tensor | None = None
) -> Tensor:
    """A kernel for each picture of the batch; with `taps`, upsampled by 2 and the kernel read as a convolution's."""
    pictures = []
    for picture, style in zip(x, styles, strict=True):
        kernel = weight * style[None, :, None, None]
        if demodulate:
            kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        side = kernel.shape[-1]
        if taps is None:
            pictures.append(F.conv2d(picture[None], kernel, padding=side // 2))
        else:
            # the padding of the kernel (1, 1) and that of the filter (2, 1), all of it before anything is convolved
            filtered = upfirdn(picture[None], taps, up=2, before=3, after=2, gain=4.0)
            pictures.append(F.conv2d(filtered, kernel.flip((2, 3))))
    return torch.cat(pictures)


def linear(state: State, name: str, x: Tensor, rate: float = 1.0) -> Tensor:
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return x @ (weight * rate / weight.shape[1] ** 0.5).T + bias * rate


def leaky(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.2 * x, x) * 2**0.5


def second_moment(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def mapped(state: State, z: Tensor, layers: int, labels: Tensor | None = None) -> Tensor:
    x = second_moment(z)
    if labels is not None:
        x = torch.cat([x, second_moment(linear(state, "mapping.embed", labels))], dim=1)
    for number in range(layers):
        x = leaky(linear(state, f"mapping.fc{number}", x, rate=0.01))
    return x


def layer(state: State, name: str, x: Tensor, w: Tensor, noise: bool, clamp: float | None) -> Tensor:
    styles = linear(state, f"{name}.affine", w)
    taps = state[f"{name}.resample_filter"] if name.endswith("conv0") else None
    x = modulated_convolution(x, state[f"{name}.weight"], styles, True, taps)
    if noise:
        x = x + state[f"{name}.noise_const"] * state[f"{name}.noise_strength"]
    x = leaky(x + state[f"{name}.bias"][None, :, None, None])
    return x if clamp is None else x.clamp(-clamp, clamp)


def to_rgb(state: State, name: str, x: Tensor, w: Tensor, clamp: float | None) -> Tensor:
    styles = linear(state, f"{name}.affine", w) / x.shape[1] ** 0.5
    rgb = modulated_convolution(x, state[f"{name}.weight"], styles, False) + state[f"{name}.bias"][None, :, None, None]
    return rgb if clamp is None else rgb.clamp(-clamp, clamp)


def synthesised(
    state: State, w_plus: Tensor, resolution: int, noise: bool = False, clamp: float | None = None
) -> Tensor:
    """Latents `[B, L, D]` to images."""
    x = state["synthesis.b4.const"].expand(len(w_plus), -1, -1, -1)
    x = layer(state, "synthesis.b4.conv1", x, w_plus[:, 0], noise, clamp)
    image = to_rgb(state, "synthesis.b4.torgb", x, w_plus[:, 1], clamp)
    side, first = 8, 1
    while side <= resolution:
        block = f"synthesis.b{side}"
        x = layer(state, f"{block}.conv0", x, w_plus[:, first], noise, clamp)
        x = layer(state, f"{block}.conv1", x, w_plus[:, first + 1], noise, clamp)
        image = upfirdn(image, state[f"{block}.resample_filter"], up=2, before=2, after=1, gain=4.0)
        image = image + to_rgb(state, f"{block}.torgb", x, w_plus[:, first + 2], clamp)
        side, first = 2 * side, first + 2
    return image
