"""Perceptual features of images: unit-normalised activations of VGG16 (LPIPS; Zhang et al., "The unreasonable
effectiveness of deep features as a perceptual metric", 2018)."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.errors import BrownidError

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

    def __init__(self, convolutions: Sequence[tuple[Tensor, Tensor]], linear: Sequence[Tensor] | None = None) -> None:
        """Weight `[O, I, 3, 3]` and bias `[O]` of 13 convolutions, and w `[C]` of the five blocks (1 if None)."""
        super().__init__()
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
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
                number += 1
            rows.append(self._row(x, self.get_buffer(f"scale{block}")))
        return torch.cat(rows, dim=1)

    def _row(self, x: Tensor, scale: Tensor) -> Tensor:
        norms = x.square().sum(dim=1, keepdim=True).clamp_min(SMALLEST_NORM**2).sqrt()  # has a gradient at zero
        places = x.shape[2] * x.shape[3]
        return (x / norms * (scale / places**0.5)).flatten(1)
