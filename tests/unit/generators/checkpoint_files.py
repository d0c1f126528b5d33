"""Writes files of generators in the published formats: NVIDIA's persistent-class pickles and rosinality's `.pt`."""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear, pad

BUFFERS = (
    *("w_avg", "noise_const", "resample_filter"),
    *("magnitude_ema", "transform", "freqs", "phases", "up_filter", "down_filter"),
)


class EasyDict(dict):
    """Pickled as NVIDIA's `dnnlib.util.EasyDict`."""

    __module__, __qualname__ = "dnnlib.util", "EasyDict"


def _reconstruct_persistent_obj(meta):
    """Pickled by name only: nobody calls it."""


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
_reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"


class Persistent:
    """Pickled as an instance of a class that NVIDIA's decorator `persistent_class` has made."""

    def __init__(self, class_name: str, source: str = "", version: int = 6, **state: object):
        self.meta = {
            "type": "class",
            "version": version,
            "module_src": source,
            "class_name": class_name,
            "state": state,
        }

    def __reduce__(self):
        return _reconstruct_persistent_obj, (self.meta,), None

    def __setitem__(self, name: str, value: object) -> None:
        self.meta["state"][name] = value


class Reduced:
    """Pickled as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments: object):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def network(
    state: Mapping[str, Tensor],
    class_name: str = "Generator",
    arguments: tuple = (),
    keywords: Mapping[str, object] | None = None,
    **attributes: object,
) -> Persistent:
    """A persistent module with nested ones for the dotted names of `state`."""
    parameters, buffers, modules = OrderedDict(), OrderedDict(), OrderedDict()
    for name, tensor in state.items():
        first, dot, _ = name.partition(".")
        if dot and first not in modules:
            inner = {key.removeprefix(f"{first}."): x for key, x in state.items() if key.startswith(f"{first}.")}
            modules[first] = network(inner, f"Class{first}", keywords={"size": np.array([4, 4])}, **attributes)
        elif not dot and name in BUFFERS:
            buffers[name] = tensor
        elif not dot:
            parameters[name] = nn.Parameter(tensor) if isinstance(tensor, Tensor) else tensor
    return Persistent(
        class_name,
        training=False,
        _parameters=parameters,
        _buffers=buffers,
        _non_persistent_buffers_set=set(),
        _modules=modules,
        _forward_hooks=OrderedDict(),
        weight_gain=1 / np.sqrt(512),
        _init_args=arguments,
        _init_kwargs=dict(keywords or {}),
        **attributes,
    )


def pickled(content: object, protocol: int = 4) -> bytes:
    """The pickle of `content`, with NVIDIA's modules in place while it is written."""
    persistence, util = ModuleType("torch_utils.persistence"), ModuleType("dnnlib.util")
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    util.EasyDict = EasyDict
    fakes = {
        "torch_utils": ModuleType("torch_utils"),
        "torch_utils.persistence": persistence,
        "dnnlib": ModuleType("dnnlib"),
        "dnnlib.util": util,
    }
    with patch.dict(sys.modules, fakes):
        return pickle.dumps(content, protocol=protocol)


def write_network_pickle(path: Path, generator: object, protocol: int = 4, **others: object) -> Path:
    """A snapshot with `G_ema`, two further networks, the data set's settings and an augmentation."""
    snapshot = {
        "G": network({"weight": torch.zeros(2)}),
        "D": network({"b4.weight": torch.zeros(2)}, "Discriminator", device=torch.device("cuda", 0)),
        "G_ema": generator,
        "training_set_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset", path="/data/ffhq.zip"),
        "augment_pipe": network({"p": torch.zeros([])}, "AugmentPipe", dtype=torch.float32, size=torch.Size([1])),
        **others,
    }
    path.write_bytes(pickled(snapshot, protocol))
    return path


def rosinality_weights(resolution: int, latent_dim: int = 6, layers: int = 2, most: int = 5, seed: int = 0) -> dict:
    """The state dict of a tiny generator of rosinality's, all numbers random; `most` channels, half at the end."""
    draw = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(line, line) / 16
    weights = {}

    def modulated(name: str, inputs: int, outputs: int, side: int) -> None:
        weights[f"{name}.conv.weight"] = random(1, outputs, inputs, side, side)
        weights[f"{name}.conv.modulation.weight"] = random(inputs, latent_dim)
        weights[f"{name}.conv.modulation.bias"] = random(inputs)

    def convolution(name: str, inputs: int, outputs: int) -> None:
        modulated(name, inputs, outputs, 3)
        weights[f"{name}.noise.weight"] = random(1)
        weights[f"{name}.activate.bias"] = random(outputs)

    def to_rgb(name: str, inputs: int) -> None:
        modulated(name, inputs, 3, 1)
        weights[f"{name}.bias"] = random(1, 3, 1, 1)

    for layer in range(1, layers + 1):
        weights[f"style.{layer}.weight"] = 100 * random(latent_dim, latent_dim)
        weights[f"style.{layer}.bias"] = random(latent_dim)
    weights["input.input"] = random(1, most, 4, 4)
    convolution("conv1", most, most)
    to_rgb("to_rgb1", most)
    weights["noises.noise_0"] = random(1, 1, 4, 4)
    for block in range((resolution // 4).bit_length() - 1):
        side = 8 * 2**block
        inputs, outputs = (most, most // 2 if side == resolution else most)
        convolution(f"convs.{2 * block}", inputs, outputs)
        convolution(f"convs.{2 * block + 1}", outputs, outputs)
        to_rgb(f"to_rgbs.{block}", outputs)
        weights[f"convs.{2 * block}.conv.blur.kernel"] = kernel
        weights[f"to_rgbs.{block}.upsample.kernel"] = kernel
        for number in (2 * block + 1, 2 * block + 2):
            weights[f"noises.noise_{number}"] = random(1, 1, side, side)
    return weights


def rosinality_image(weights: Mapping[str, Tensor], z: Tensor) -> Tensor:
    """What rosinality's program computes of `weights` for `z`, with the stored noise maps; `[B, 3, R, R]`."""
    w = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
    for layer in range(1, 1 + sum(name.startswith("style.") for name in weights) // 2):
        weight = weights[f"style.{layer}.weight"]
        w = linear(w, weight * 0.01 / weight.shape[1] ** 0.5) + 0.01 * weights[f"style.{layer}.bias"]
        w = leaky_relu(w, 0.2) * 2**0.5

    def modulated(x: Tensor, name: str, up: bool = False, demodulate: bool = True) -> Tensor:
        style = linear(w, weights[f"{name}.conv.modulation.weight"] / w.shape[1] ** 0.5)
        style = style + weights[f"{name}.conv.modulation.bias"]
        images = []
        for image, scale in zip(x, style, strict=True):
            weight = weights[f"{name}.conv.weight"][0]
            weight = weight / weight[0].numel() ** 0.5 * scale[None, :, None, None]
            if demodulate:
                weight = weight * torch.rsqrt(weight.square().sum([1, 2, 3], keepdim=True) + 1e-8)
            if up:
                image = blurred(conv_transpose2d(image[None], weight.transpose(0, 1), stride=2), 1, 1)
            else:
                image = conv2d(image[None], weight, padding=weight.shape[-1] // 2)
            images.append(image)
        return torch.cat(images)

    def blurred(x: Tensor, before: int, after: int) -> Tensor:
        kernel = weights["to_rgbs.0.upsample.kernel"][None, None].expand(x.shape[1], 1, 4, 4)
        return conv2d(pad(x, (before, after, before, after)), kernel, groups=x.shape[1])

    def convolution(x: Tensor, name: str, number: int, up: bool = False) -> Tensor:
        x = modulated(x, name, up) + weights[f"{name}.noise.weight"] * weights[f"noises.noise_{number}"]
        return leaky_relu(x + weights[f"{name}.activate.bias"][:, None, None], 0.2) * 2**0.5

    def to_rgb(x: Tensor, name: str) -> Tensor:
        return modulated(x, name, demodulate=False) + weights[f"{name}.bias"]

    x = convolution(weights["input.input"].expand(len(z), -1, -1, -1), "conv1", 0)
    image = to_rgb(x, "to_rgb1")
    for block in range(sum(name.startswith("to_rgbs.") and name.endswith(".bias") for name in weights) // 2):
        x = convolution(x, f"convs.{2 * block}", 2 * block + 1, up=True)
        x = convolution(x, f"convs.{2 * block + 1}", 2 * block + 2)
        spread = image.new_zeros(len(image), 3, 2 * image.shape[2], 2 * image.shape[3])
        spread[:, :, ::2, ::2] = image
        image = blurred(spread, 2, 1) + to_rgb(x, f"to_rgbs.{block}")
    return image
