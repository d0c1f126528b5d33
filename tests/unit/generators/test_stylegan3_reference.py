"""StyleGAN3 against a slow network written from the definitions: explicit zeros, filters in two dimensions."""

import math
from functools import partial

import pytest
import torch
from torch.nn import functional as F

from brownid.generators.stylegan3 import resampling
from brownid.generators.stylegan3.generator import StyleGAN3, random_stylegan3
from brownid.generators.stylegan3.resampling import (
    downsample,
    downsample_transposed,
    filtered_leaky_relu,
    upsample,
    upsample_transposed,
)
from brownid.generators.stylegan3.settings import StyleGAN3Settings

TINY = partial(StyleGAN3Settings, z_dim=6, w_dim=8, num_layers=4, num_critical=1, margin_size=3, channel_base=64)
TRANSLATING = TINY(img_resolution=16, channel_max=8, filter_size=4)
ROTATING = TINY(img_resolution=32, channel_max=6, conv_kernel=1, use_radial_filters=True, conv_clamp=0.7)


def slow_upfirdn(x, taps, up, down, before, after):
    """Insert zeros, pad or cut, convolve with the filter in two dimensions, keep every `down`-th sample."""
    batch, channels, height, width = x.shape
    stuffed = x.new_zeros(batch, channels, height * up, width * up)
    stuffed[:, :, ::up, ::up] = x
    stuffed = F.pad(stuffed, (before, after, before, after))
    kernel = (torch.outer(taps, taps) if taps.ndim == 1 else taps).flip(0, 1)  # convolution, not correlation
    rows, columns = (size - len(taps) + 1 for size in stuffed.shape[2:])
    filtered = sum(
        kernel[i, j] * stuffed[:, :, i : i + rows, j : j + columns] for i in range(len(taps)) for j in range(len(taps))
    )
    return filtered[:, :, ::down, ::down]


def slow_nonlinearity(x, up_taps, down_taps, up, down, padding, limit):
    x = up**2 * slow_upfirdn(x, up_taps, up, 1, *padding)
    x = (math.sqrt(2) * torch.where(x < 0, 0.2 * x, x)).clamp(-limit, limit)
    return slow_upfirdn(x, down_taps, 1, down, 0, 0)


def slow_modulated_convolution(x, weight, styles, magnitude, demodulate):
    """Weights of its own for every sample, normalised as published: the styles over the whole batch."""
    if demodulate:
        weight = weight / weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        styles = styles / styles.square().mean().sqrt()
    outputs = []
    for sample, style in zip(x, styles, strict=True):
        own = weight * style[None, :, None, None]
        if demodulate:
            own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        outputs.append(F.conv2d(sample[None], own / magnitude.sqrt(), padding=weight.shape[-1] - 1))
    return torch.cat(outputs)


def slow_input(state, w, size, rate, bandwidth):
    def moved(cosine, sine, x, y):
        rotation = w.new_tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        translation = w.new_tensor([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
        return rotation @ translation @ state["transform"]

    images = []
    for pose in w @ state["affine.weight"].T / math.sqrt(w.shape[1]) + state["affine.bias"]:
        matrix = moved(*(pose / math.hypot(pose[0], pose[1])))
        field = w.new_empty(len(state["freqs"]), size, size)
        for channel, (frequency, phase) in enumerate(zip(state["freqs"], state["phases"], strict=True)):
            turned = frequency @ matrix[:2, :2]
            fading = 1 - (turned.norm() - bandwidth) / (rate / 2 - bandwidth)
            for row in range(size):
                for column in range(size):
                    place = w.new_tensor([(column + 0.5 - size / 2) / rate, (row + 0.5 - size / 2) / rate, 1])
                    turns = frequency @ (matrix @ place)[:2] + phase
                    field[channel, row, column] = fading.clamp(0, 1) * torch.sin(2 * math.pi * turns)
        images.append(torch.einsum("oc,chw->ohw", state["weight"] / math.sqrt(len(field)), field))
    return torch.stack(images)


def slow_network(generator: StyleGAN3, latents):
    """The image, from the state and the settings alone."""
    settings = generator.settings
    state = generator.state_dict()
    part = lambda prefix: {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}  # noqa: E731
    layers, half = settings.num_layers, settings.img_resolution / 2
    sizes, rates, cutoffs = [], [], []
    for index in range(layers + 1):
        progress = min(index / (layers - settings.num_critical), 1)
        cutoffs.append(2 * (half / 2) ** progress)
        stopband = 2**2.1 * (half * 2**0.3 / 2**2.1) ** progress
        rates.append(2 ** math.ceil(math.log2(min(2 * stopband, 2 * half))))
        sizes.append(int(2 * half) if index >= layers - 1 else rates[-1] + 2 * settings.margin_size)
    x = slow_input(part("synthesis.input."), latents[:, 0], sizes[0], rates[0], cutoffs[0])
    for index, name in enumerate(generator.synthesis.layer_names):
        layer, last = part(f"synthesis.{name}."), index == layers
        styles = latents[:, index + 1] @ layer["affine.weight"].T / math.sqrt(settings.w_dim) + layer["affine.bias"]
        kernel = layer["weight"].shape[-1]
        if last:
            styles = styles / math.sqrt(layer["weight"].shape[1])
        x = slow_modulated_convolution(x, layer["weight"], styles, layer["magnitude_ema"], demodulate=not last)
        x = x + layer["bias"][:, None, None]
        limit = settings.conv_clamp
        if last:
            x = x.clamp(-limit, limit)
            break
        before = max(index - 1, 0)
        inner = 2 * max(rates[before], rates[index])
        up, down = inner // rates[before], inner // rates[index]
        total = (sizes[index] - 1) * down + 1 - (sizes[before] + kernel - 1) * up
        total += len(layer["up_filter"]) + len(layer["down_filter"]) - 2
        first = (total + up) // 2
        x = slow_nonlinearity(x, layer["up_filter"], layer["down_filter"], up, down, (first, total - first), limit)
        assert x.shape[-1] == sizes[index]
    return x * settings.output_scale


def lively(settings):
    """A random generator, float64, in which no number is one or zero by default."""
    generator = random_stylegan3(settings, seed=3).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in generator.state_dict().items():
            if name.endswith("bias") or name.endswith("transform"):
                value.add_(0.1 * torch.randn_like(value))
            if name.endswith("magnitude_ema"):
                value.add_(torch.rand_like(value))
        generator.synthesis.input.transform[2] = torch.tensor([0, 0, 1])
    return generator


@pytest.mark.parametrize("settings", [TRANSLATING, ROTATING], ids=["config T", "config R"])
def test_images_equal_those_of_the_slow_network(settings):
    generator = lively(settings)
    latents = torch.randn(2, settings.num_ws, settings.w_dim, dtype=torch.float64)
    expected = slow_network(generator, latents)
    assert expected.std() > 0.02
    torch.testing.assert_close(generator.render(latents), expected, rtol=0, atol=1e-8)
    single = generator.float().render(latents.float())
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("settings", [TRANSLATING, ROTATING], ids=["config T", "config R"])
def test_gradients_in_the_latents_agree_with_finite_differences(settings):
    generator = lively(settings)
    latents = torch.randn(2, settings.num_ws, settings.w_dim, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, settings.img_resolution, settings.img_resolution, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((generator.render(latents) * weights).sum(), latents)
    step = 1e-6 * torch.randn_like(latents)
    with torch.no_grad():
        change = (generator.render(latents + step) - generator.render(latents - step)) * weights
    torch.testing.assert_close(2 * (gradient * step).flatten(1).sum(1), change.flatten(1).sum(1), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("up", "down"), [(2, 2), (4, 2), (2, 4)])
@pytest.mark.parametrize("padding", [(9, 8), (-6, -9), (14, 3), (1, 30)])
def test_the_filtered_leaky_relu_equals_its_definition_and_so_does_its_gradient(up, down, padding):
    torch.manual_seed(1)
    up_taps, down_taps = torch.randn(6 * up).double(), torch.randn(3 * down, 3 * down).double()  # no symmetry
    for taps, limit in ((down_taps, 1e9), (down_taps[0], 1e9), (down_taps[0], 0.5)):
        x = torch.randn(1, 1, 20, 20, dtype=torch.float64, requires_grad=True)
        fast = filtered_leaky_relu(2**0.5 * x, up_taps, taps, up, down, padding, limit)
        slow = slow_nonlinearity(x, up_taps, taps, up, down, padding, limit)
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)
        weights = torch.randn_like(slow)
        gradients = (torch.autograd.grad(y, x, weights)[0] for y in (fast, slow))
        torch.testing.assert_close(*gradients, rtol=0, atol=1e-8)


@pytest.mark.parametrize("limit", [0.5, 1e9])
def test_on_a_gpu_the_nonlinearity_clamps_without_asking_whether_it_must(monkeypatch, limit):
    torch.manual_seed(1)
    taps, x = torch.randn(12), torch.randn(2, 3, 20, 20, requires_grad=True)

    def clamped(x):
        result = filtered_leaky_relu(x, taps, taps[:6], 2, 2, (9, 8), limit)
        return result, *torch.autograd.grad(result.square().sum(), x)

    asked = clamped(x)
    assert all(found.is_meta for found in clamped(x.to("meta")))  # where reading a number is an error
    monkeypatch.setattr(resampling, "_may_exceed", lambda x, limit: True)
    assert all(torch.equal(*both) for both in zip(asked, clamped(x), strict=True))


@pytest.mark.parametrize("padding", [(5, 4), (-3, -6), (20, 1)])
def test_the_transposes_are_transposes(padding):
    torch.manual_seed(2)
    x = torch.randn(1, 1, 13, 13, dtype=torch.float64)
    taps = torch.randn(8, dtype=torch.float64)
    up = upsample(x, taps, 4, padding)
    y = torch.randn_like(up)
    back = upsample_transposed(y, taps, 4, padding)
    assert back.shape == x.shape
    torch.testing.assert_close((up * y).sum(), (x * back).sum())
    for each in (taps, torch.outer(taps, taps.flip(0))):
        down = downsample(x, each, 2)
        y = torch.randn_like(down)
        back = downsample_transposed(y, each, 2, 13)
        assert back.shape == x.shape
        torch.testing.assert_close((down * y).sum(), (x * back).sum())
