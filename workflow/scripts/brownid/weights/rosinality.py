"""rosinality's `.pt` of StyleGAN2 under NVIDIA's names.

Both programs compute the same function of the same numbers:

- Dense layers (mapping, and the affine maps from latent to style) multiply weights by `lr_mul / sqrt(inputs)` and
  biases by `lr_mul`, 0.01 in the mapping and 1 elsewhere, in both; the style's bias starts at 1 in both.
- Up-convolutions: the original TensorFlow weights are mirrored in both spatial directions by rosinality's converter and
  by NVIDIA's alike, and both hand the result unmirrored to a transposed convolution of stride 2, followed by the blur
  [1, 3, 3, 1] with gain 4 and one pixel of padding. So the numbers agree as they are, without a flip.
- rosinality multiplies modulated weights by `1 / sqrt(fan-in)` before the demodulation, which takes the factor out
  again but for its 1e-8 under the root, below float32's rounding; to RGB, without demodulation, NVIDIA puts the factor
  into the style.
- The noise map of layer i is `noise_i`: 0 is 4x4's, then two for each resolution.
"""

import logging
import math
from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, linear

from brownid.runtime.errors import listed
from brownid.runtime.randomness import normal
from brownid.weights.pickled_tensors import PlainValue
from brownid.weights.unpickler import RefusedError, check_needed

_LR_MULTIPLIER = 0.01  # of the mapping: rosinality's default; the file does not tell
_MEAN_OF = 16_384  # mapped latents, where the file has no mean; rosinality's own programs take 4 096
_MOST_LAYERS = 50  # published networks have 8 of mapping and 8 blocks

logger = logging.getLogger(__name__)


def is_rosinality(content: object) -> TypeGuard[Mapping[str, object]]:
    """Does a torch file hold a generator of rosinality's?"""
    return isinstance(content, Mapping) and "style.1.weight" in _weights(content)


def nvidia_form(content: Mapping[str, object], path: object) -> tuple[dict[str, PlainValue], dict[str, Tensor]]:
    """Constructor arguments and named tensors (float32), in NVIDIA's terms, of what `load_torch` found at `path`.

    Training checkpoints lack the mean latent, and a file may lack the noise maps, which rosinality's own programs do
    without: the mean is then computed, the maps are drawn, the same every time, and a warning says so.
    Raises `RefusedError` where weights are missing, unexpected, or of another architecture.
    """
    found = {name: value for name, value in _weights(content).items() if isinstance(name, str)}
    layers = sum(1 for name in found if name.startswith("style.") and name.endswith(".weight"))
    blocks = sum(1 for name in found if name.startswith("to_rgbs.") and name.endswith(".conv.weight"))
    if max(layers, blocks) > _MOST_LAYERS:
        raise RefusedError(f"it has {layers} layers of mapping and {blocks} blocks, unlike rosinality's StyleGAN2")
    sources = _sources(layers, blocks)
    check_needed([content.get("latent_avg"), *(found.get(name) for name in sources)])
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    _check_blurs({name: weights.pop(name) for name in list(weights) if name.endswith(".kernel")})
    missing = [name for name in sources if name not in weights and not name.startswith("noises.")]
    unexpected = [name for name in weights if name not in sources]
    for what, names in (("lacks", missing), ("has, beyond rosinality's StyleGAN2,", unexpected)):
        if names:
            raise RefusedError(f"it {what} {listed(names)}")
    tensors = {}
    for source, target in sources.items():
        if source in weights:
            tensors[target] = _reshaped(source, target, weights[source].to(torch.float32))
    resolution = 4 * 2**blocks
    constructor = {
        "z_dim": tensors["mapping.fc0.weight"].shape[1],
        "c_dim": 0,
        "w_dim": tensors[f"mapping.fc{layers - 1}.weight"].shape[0],
        "img_resolution": resolution,
        "img_channels": tensors["synthesis.b4.torgb.weight"].shape[0],
        "mapping_kwargs": {"num_layers": layers, "lr_multiplier": _LR_MULTIPLIER},
        "synthesis_kwargs": {**_channels(tensors, resolution), "num_fp16_res": 0, "conv_clamp": None},
    }
    _add_filters_and_noise(tensors, resolution, path)
    tensors["mapping.w_avg"] = _mean_latent(content, tensors, layers, path)
    return constructor, tensors


def _weights(content: Mapping[str, object]) -> Mapping[str, object]:
    """The averaged generator of a checkpoint, or a plain state dict itself."""
    averaged = content.get("g_ema")
    return averaged if isinstance(averaged, Mapping) else content


def _sources(layers: int, blocks: int) -> dict[str, str]:
    """rosinality's name of every tensor, and NVIDIA's."""
    names = {"input.input": "synthesis.b4.const"}
    for layer in range(layers):  # style.0 normalises and has no weights
        for kind in ("weight", "bias"):
            names[f"style.{layer + 1}.{kind}"] = f"mapping.fc{layer}.{kind}"
    names |= _convolution("conv1", "synthesis.b4.conv1", 0) | _to_rgb("to_rgb1", "synthesis.b4.torgb")
    for block in range(blocks):
        target = f"synthesis.b{8 * 2**block}"
        names |= _convolution(f"convs.{2 * block}", f"{target}.conv0", 2 * block + 1)
        names |= _convolution(f"convs.{2 * block + 1}", f"{target}.conv1", 2 * block + 2)
        names |= _to_rgb(f"to_rgbs.{block}", f"{target}.torgb")
    return names


def _convolution(source: str, target: str, noise: int) -> dict[str, str]:
    return _modulated(source, target) | {
        f"{source}.noise.weight": f"{target}.noise_strength",
        f"{source}.activate.bias": f"{target}.bias",
        f"noises.noise_{noise}": f"{target}.noise_const",
    }


def _to_rgb(source: str, target: str) -> dict[str, str]:
    return _modulated(source, target) | {f"{source}.bias": f"{target}.bias"}


def _modulated(source: str, target: str) -> dict[str, str]:
    return {
        f"{source}.conv.weight": f"{target}.weight",
        f"{source}.conv.modulation.weight": f"{target}.affine.weight",
        f"{source}.conv.modulation.bias": f"{target}.affine.bias",
    }


# How a name of NVIDIA's ends, and how many dimensions rosinality's tensor and NVIDIA's have; the first that fits.
_DIMENSIONS = (
    (".torgb.bias", 4, 1),
    (".bias", 1, 1),
    (".noise_strength", 1, 0),
    (".noise_const", 4, 2),
    (".const", 4, 3),
    (".torgb.weight", 5, 4),
    (".conv0.weight", 5, 4),
    (".conv1.weight", 5, 4),
    (".weight", 2, 2),
)


def _reshaped(source: str, target: str, tensor: Tensor) -> Tensor:
    """A tensor without rosinality's dimensions of size 1."""
    given, wanted = next(numbers for ending, *numbers in _DIMENSIONS if target.endswith(ending))
    shape = (tensor.numel(),) if wanted == 1 else tensor.shape[given - wanted :]
    if tensor.ndim != given or math.prod(shape) != tensor.numel():
        raise RefusedError(f"its {source} has the shape {list(tensor.shape)}, unlike rosinality's StyleGAN2")
    return tensor.reshape(shape)


def _channels(tensors: Mapping[str, Tensor], resolution: int) -> dict[str, PlainValue]:
    """`channel_base` and `channel_max`: a block of r pixels has min(base // r, max) channels."""
    found = {side: tensors[f"synthesis.b{side}.conv1.weight"].shape[0] for side in _sides(resolution)}
    most, base = found[4], max(side * channels for side, channels in found.items())
    if any(channels != min(base // side, most) for side, channels in found.items()):
        raise RefusedError(f"its numbers of channels by resolution are not those of a StyleGAN2: {found}")
    return {"channel_base": base, "channel_max": most}


def _check_blurs(kernels: Mapping[str, Tensor]) -> None:
    for name, kernel in kernels.items():
        if kernel.shape != (4, 4) or not torch.allclose(kernel.float(), 4 * _resample_filter(), atol=1e-6):
            raise RefusedError(f"its {name} is another filter than [1, 3, 3, 1]")


def _resample_filter() -> Tensor:
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(line, line) / line.sum() ** 2


def _sides(resolution: int) -> list[int]:
    return [4 * 2**block for block in range(resolution.bit_length() - 2)]


def _add_filters_and_noise(tensors: dict[str, Tensor], resolution: int, path: object) -> None:
    """The buffers of NVIDIA's modules that the file has not: filters everywhere, and noise maps in early files."""
    drawn = 0
    for side in _sides(resolution):
        block = f"synthesis.b{side}"
        tensors[f"{block}.resample_filter"] = _resample_filter()
        for layer in ("conv0", "conv1") if side > 4 else ("conv1",):
            tensors[f"{block}.{layer}.resample_filter"] = _resample_filter()
            name = f"{block}.{layer}.noise_const"
            if name not in tensors:
                tensors[name] = normal(0, f"checkpoints/{name}", [0], (side, side))[0]
                drawn += 1
    if drawn:
        logger.warning("%s: the file has no map for the noise of %d layers; maps were drawn for them", path, drawn)


def _mean_latent(content: Mapping[str, object], tensors: Mapping[str, Tensor], layers: int, path: object) -> Tensor:
    """`[w_dim]`: the file's, or the mean over latents mapped as both programs map them."""
    mean = content.get("latent_avg")
    if isinstance(mean, Tensor):
        if mean.numel() != len(tensors[f"mapping.fc{layers - 1}.bias"]):
            raise RefusedError(f"its latent_avg has the shape {list(mean.shape)}, unlike its latents")
        return mean.to(torch.float32).reshape(-1)
    logger.warning("%s: the file has no mean latent; it was computed from %d random latents", path, _MEAN_OF)
    width = tensors["mapping.fc0.weight"].shape[1]
    latents = normal(0, "checkpoints/mean latent", [0], (_MEAN_OF, width))[0]
    latents = latents * torch.rsqrt(latents.square().mean(1, keepdim=True) + 1e-8)
    for layer in range(layers):
        weight, bias = (tensors[f"mapping.fc{layer}.{kind}"] for kind in ("weight", "bias"))
        latents = linear(latents, weight * (_LR_MULTIPLIER / math.sqrt(weight.shape[1])), bias * _LR_MULTIPLIER)
        latents = math.sqrt(2) * leaky_relu(latents, 0.2)
    return latents.mean(0, dtype=torch.float64).to(torch.float32)
