"""Features for the projection loss: pixels, embeddings, or perceptual features of VGG16.

LPIPS is that of Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.facemodel.model import GeneratorFaceModel
from brownid.runtime.errors import BrownidError, listed
from brownid.runtime.precision import autocast, resolve_precision
from brownid.weights.state_dict import read_weights
from brownid.weights.torch_files import is_torchscript, read_torchscript

Features = Callable[[Tensor], Tensor]


def pixel_pyramid(levels: int = 4) -> Features:
    """The image at `levels` resolutions, each half the one before, scaled for squared distances.

    The squared distance of two rows is the mean over the levels of the mean squared pixel difference; coarse levels
    give a gradient where fine structure does not overlap yet.
    """
    if levels < 1:
        raise BrownidError(f"A pixel pyramid cannot have {levels} levels: give at least 1.")

    def features(images: Tensor) -> Tensor:
        parts = []
        for level in range(levels):
            if level:
                images = F.avg_pool2d(images, 2)
            parts.append(images.flatten(1) / math.sqrt(levels * images[0].numel()))
        return torch.cat(parts, dim=1)

    return features


def weighted_features(parts: Sequence[tuple[float, Features]]) -> Features:
    """Several features side by side; each part's squared distance counts `weight` times."""
    for weight, _ in parts:
        if weight < 0:
            raise BrownidError(f"A feature weight of {weight} would pull images apart: give zero or more.")
    kept = [(math.sqrt(weight), features) for weight, features in parts if weight > 0]
    if not kept:
        raise BrownidError("All feature weights are zero, so images cannot be compared: give one a positive weight.")
    return lambda images: torch.cat([scale * features(images) for scale, features in kept], dim=1)


def pixels_and_embedding(model: GeneratorFaceModel, pyramid_weight: float, embedding_weight: float) -> Features:
    """The pixel pyramid and the embedding of images in the frame of a face model."""
    return weighted_features([(pyramid_weight, pixel_pyramid()), (embedding_weight, model.embed_images)])


WIDTHS = (64, 128, 256, 512, 512)  # channels of the five blocks
DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each block
CONVOLUTIONS = [  # (output, input channels) of each 3×3 convolution
    (WIDTHS[block], WIDTHS[block] if number else (3, *WIDTHS)[block])
    for block, depth in enumerate(DEPTHS)
    for number in range(depth)
]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB images in [0, 1]
LARGEST_SIDE = 256  # pixels; VGG16 was trained on 224
SMALLEST_SIDE = 16  # pixels; one is left after four times halving
SMALLEST_NORM = 1e-10


class PerceptualFeatures(nn.Module):
    """RGB images `[B, 3, S, S]` in [-1, 1] to rows `[B, F]` whose squared distance is that of LPIPS.

    d(x, y) = Σ_l mean over the places of Σ_c w_lc (x̂_lc − ŷ_lc)², where x̂ are the activations behind the last
    convolution of block l, divided at each place by their norm. Images larger than 256 pixels are averaged down to 256
    ("area"), as NVIDIA's projectors do and the `lpips` package does not. `lpips` takes [-1, 1] and NVIDIA's file takes
    0 to 255, but both then normalise by ImageNet's mean and deviation, and so do we: to the same numbers.
    """

    mean: Tensor  # [1, 3, 1, 1]
    deviation: Tensor  # [1, 3, 1, 1]

    def __init__(
        self,
        convolutions: Sequence[tuple[Tensor, Tensor]],
        linear: Sequence[Tensor] | None = None,
        precision: str = "float32",
    ) -> None:
        """Weight `[O, I, 3, 3]` and bias `[O]` of 13 convolutions, and w `[C]` of the five blocks (1 if None).

        `precision` ("float32", "bfloat16" or "auto") is that of the convolutions; norms and rows are float32.
        """
        super().__init__()
        self.precision = precision
        for number, (weight, bias) in enumerate(convolutions):
            self.register_buffer(f"weight{number}", weight)
            self.register_buffer(f"bias{number}", bias)
        for block, last in enumerate(accumulate(DEPTHS)):
            weights = torch.ones_like(convolutions[last - 1][1]) if linear is None else linear[block]
            self.register_buffer(f"scale{block}", weights.sqrt().view(1, -1, 1, 1))
        self.register_buffer("mean", 2 * torch.tensor(MEAN).view(1, 3, 1, 1) - 1)
        self.register_buffer("deviation", 2 * torch.tensor(DEVIATION).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        side = min(images.shape[2:])
        if side < SMALLEST_SIDE:
            raise BrownidError(
                f"VGG16 features need images of at least {SMALLEST_SIDE} pixels a side, and these have {side}: compare "
                "larger pictures, or take other features."
            )
        if max(images.shape[2:]) > LARGEST_SIDE:
            images = F.interpolate(images, size=(LARGEST_SIDE, LARGEST_SIDE), mode="area")
        x = (images.to(self.mean) - self.mean) / self.deviation
        rows, number = [], 0
        for block, depth in enumerate(DEPTHS):
            if block:
                x = F.max_pool2d(x, 2)
            for _ in range(depth):
                weight, bias = self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}")
                with autocast(resolve_precision(self.precision, x.device), x.device):
                    x = F.relu(F.conv2d(x, weight, bias, padding=1))
                number += 1
            rows.append(self._row(x.to(self.mean), self.get_buffer(f"scale{block}")))
        return torch.cat(rows, dim=1)

    def _row(self, x: Tensor, scale: Tensor) -> Tensor:
        norms = x.square().sum(dim=1, keepdim=True).clamp_min(SMALLEST_NORM**2).sqrt()  # has a gradient at zero
        places = x.shape[2] * x.shape[3]
        return (x / norms * (scale / places**0.5)).flatten(1)


@dataclass(frozen=True)
class Layout:
    """Tensor names of a published file."""

    name: str
    convolutions: tuple[str, ...]  # 13 modules, each with a weight and a bias
    linear: tuple[str, ...]  # five weights `[C]`, of any shape with C numbers; () where they are another file
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
    path: str | Path,
    linear: str | Path | None = None,
    device: str | torch.device = "cpu",
    precision: str = "float32",
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
    scales = [one.float().flatten() for one in weights] or None
    return PerceptualFeatures(pairs, scales, precision).eval().to(device)


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
