"""The fixed crop between a generator and a face-recognition network, differentiable and antialiased."""

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from brownid.alignment.warp import low_pass_kernel, similarity_from_points
from brownid.runtime.errors import BrownidError

IDENTITY_TOLERANCE = 1e-4  # pixels: what no eye sees and what rounding of landmark positions makes


class FixedCrop(nn.Module):
    """Turn, scale and cut every image in the same way, so that `source` points come to lie on `target` points.

    Points are the same two or more landmarks in both, (x, y) in pixels, (0, 0) the centre of the upper left pixel; more
    than two are matched by least squares. A generator puts all its frontal faces in nearly the same place, so no
    landmark detector is needed. Where the crop shrinks, a separable low-pass comes first; where it reaches beyond the
    image, the result is black (-1).
    """

    kernel: Tensor  # [taps], of the low-pass filter
    grid: Tensor  # [1, T, T, 2], where the crop's pixels lie in the image

    def __init__(
        self,
        source: ArrayLike,
        target: ArrayLike,
        source_side: int,
        target_side: int,
    ) -> None:
        super().__init__()
        self.source_side, self.target_side = source_side, target_side
        self.matrix = similarity_from_points(np.asarray(source), np.asarray(target))  # source to target
        inverse = cv2.invertAffineTransform(self.matrix)  # as `warp_image` moves photographs
        self.is_identity = source_side == target_side and _largest_shift(self.matrix, source_side) < IDENTITY_TOLERANCE
        kernel = low_pass_kernel(np.hypot(inverse[0, 0], inverse[1, 0]))
        self.register_buffer("kernel", torch.from_numpy(kernel).float(), persistent=False)
        self.register_buffer("grid", _sampling_grid(inverse, source_side, target_side), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, 3, S, S]` in [-1, 1] to `[B, 3, T, T]`, float32 or wider.

        Where the transform is the identity, the result is the input itself.
        """
        if images.shape[-2:] != (self.source_side, self.source_side):
            raise BrownidError(
                f"The crop was made for images of {self.source_side} x {self.source_side} pixels, "
                f"but got {images.shape[-1]} x {images.shape[-2]}: generator and crop do not belong together."
            )
        if self.is_identity:
            return images
        dtype = torch.promote_types(images.dtype, torch.float32)  # 8 bits of bfloat16 cannot address a pixel
        with torch.autocast(images.device.type, enabled=False):
            images = _low_pass(images.to(dtype), self.kernel.to(dtype))
            grid = self.grid.to(dtype).expand(len(images), -1, -1, -1)
            # grid_sample pads with 0; shifted by one, 0 is black
            return F.grid_sample(images + 1, grid, mode="bilinear", padding_mode="zeros", align_corners=False) - 1


def _low_pass(images: Tensor, kernel: Tensor) -> Tensor:
    """Images convolved with `kernel` along both axes, the edge pixels repeated outwards; same shape."""
    if len(kernel) == 1:
        return images
    channels, reach = images.shape[1], len(kernel) // 2
    if torch.compiler.is_compiling():  # the compiler cannot take the backward pass of the padding
        pixels = torch.arange(-reach, images.shape[-1] + reach, device=images.device).clamp(0, images.shape[-1] - 1)
        images = images[:, :, pixels[:, None], pixels]
    else:  # the same to the last bit, in half the time
        images = F.pad(images, (reach, reach, reach, reach), mode="replicate")
    images = F.conv2d(images, kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(images, kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)


def _sampling_grid(target_to_source: np.ndarray, source_side: int, target_side: int) -> Tensor:
    """Sampling positions of the target pixels `[1, T, T, 2]` in grid_sample's units: -1, 1 are the outer edges."""
    x, y = np.meshgrid(np.arange(target_side), np.arange(target_side))
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1) @ target_to_source.T  # [T, T, 2]
    return torch.from_numpy((2 * pixels + 1) / source_side - 1).float().unsqueeze(0)


def _largest_shift(matrix: np.ndarray, side: int) -> float:
    """Largest displacement of an image corner by the transform, in pixels."""
    corners = np.array([(x, y, 1.0) for x in (0, side - 1) for y in (0, side - 1)])
    return float(np.abs(corners @ matrix.T - corners[:, :2]).max())
