"""VGG16 for perceptual features, from the files in which it is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from brownid.covariates.perceptual import CONVOLUTIONS, WIDTHS, PerceptualFeatures
from brownid.covariates.torchscript import is_torchscript, read_torchscript
from brownid.errors import BrownidError
from brownid.recognition.weights import read_weights
from brownid.statedict import listed


@dataclass(frozen=True)
class Layout:
    """How a publisher names the tensors."""

    name: str
    convolutions: tuple[str, ...]  # 13 modules, each with a weight and a bias
    linear: tuple[str, ...]  # five weights `[C]`, of any shape with so many numbers; () where they are another file
    unused: tuple[str, ...]  # beginnings of the names of what only classification needs


TORCHVISION = Layout(
    "torchvision",
    tuple(f"features.{number}" for number in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
    (),
    ("classifier.",),
)
NVIDIA = Layout(
    "NVIDIA",
    tuple(f"layers.conv{number}" for number in range(1, 14)),
    tuple(f"lpips{block}" for block in range(5)),
    ("layers.fc",),
)
LINEAR = tuple(f"lin{block}.model.1.weight" for block in range(5))  # of the `lpips` package


def load_perceptual_features(
    path: str | Path, linear: str | Path | None = None, device: str | torch.device = "cpu"
) -> PerceptualFeatures:
    """The features whose weights a file holds, on `device`; without gradients for the weights.

    `path` is torchvision's `vgg16-….pth` (a state dict with features.0.weight …), NVIDIA's `vgg16.pt` (a TorchScript
    archive, of which only the tensors layers.conv1.weight … and lpips0 … are read), or a state dict, also as
    safetensors, with either names. `linear` is the `lpips` package's file for VGG16 (lin0.model.1.weight …); without it
    NVIDIA's file uses its own, and with torchvision's all channels count alike. Raises `BrownidError` that says which
    tensors are missing, unknown, or of another shape.
    """
    if is_torchscript(path):
        tensors, layout = read_torchscript(path, _is_needed), NVIDIA
    else:
        tensors = read_weights(path, [f"{name}.weight" for name in TORCHVISION.convolutions + NVIDIA.convolutions])
        layout = NVIDIA if any(name.startswith("layers.") for name in tensors) else TORCHVISION
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs) in zip(layout.convolutions, CONVOLUTIONS, strict=True):
        shapes |= {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}
    own = layout.linear if linear is None else ()
    _check(tensors, shapes, own, (*layout.unused, *layout.linear), f"{path} (VGG16, {layout.name}'s names)")
    weights = [tensors[name] for name in own]
    if linear is not None:
        read = read_weights(linear, LINEAR)
        _check(read, {}, LINEAR, (), f"{linear} (LPIPS for VGG16)")
        weights = [read[name] for name in LINEAR]
    pairs = [(tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float()) for name in layout.convolutions]
    return PerceptualFeatures(pairs, [one.float().flatten() for one in weights] or None).eval().to(device)


def _is_needed(name: str) -> bool:
    return not name.startswith(NVIDIA.unused)


def _check(
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    linear: tuple[str, ...],
    unused: tuple[str, ...],
    source: str,
) -> None:
    """Every tensor is there with its shape, and no unknown one; linear weights are not negative."""
    found = {name: tuple(tensors[name].shape) for name in shapes if name in tensors}
    misshapen = [
        f"{name} {list(found[name])}, not {list(shapes[name])}" for name in found if found[name] != shapes[name]
    ]
    widths = dict(zip(linear, WIDTHS, strict=False))
    for name, width in widths.items():
        if name in tensors and tensors[name].numel() != width:
            misshapen.append(f"{name} {list(tensors[name].shape)}, not {width} numbers")
    missing = [name for name in (*shapes, *linear) if name not in tensors]
    known = {*shapes, *linear}
    unknown = [name for name in tensors if name not in known and not (unused and name.startswith(unused))]
    problems = [
        f"{len(names)} {what}: {listed(names)}"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise BrownidError(f"{source}: these are not the tensors that are needed; {'; '.join(problems)}.")
    for name in linear:
        if not bool((tensors[name] >= 0).all()):
            raise BrownidError(f"{source}: {name} has negative numbers, or none; weights of squares must not have any.")
