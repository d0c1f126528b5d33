"""The genuine world's camera: exposure, blur, sensor noise and eight bits, so that its pictures differ from renders."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from brownid.errors import BrownidError
from brownid.randomness import normal, stream, uniform


@dataclass(frozen=True)
class Camera:
    """How a photograph differs from a render; all zero makes it a plain 8-bit copy."""

    noise: float = 0.02  # largest standard deviation of the sensor noise, of the full range
    blur: float = 0.9  # largest standard deviation of the blur, in pixels of a 112 image
    exposure: float = 0.12  # standard deviation of the brightness, as a share

    def __post_init__(self) -> None:
        for name in ("noise", "blur", "exposure"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and np.isfinite(value) and value >= 0):
                raise BrownidError(f"The camera's {name} is {value!r}: it must be a finite number of at least 0.")

    def photograph(self, images: Tensor, seed: int, items: list[int]) -> np.ndarray:
        """Images `[n, 3, H, W]` in [-1, 1] to photographs uint8 `[n, H, W, 3]`; row i belongs to items[i] alone."""
        images = 0.5 * (images.detach().cpu().float() + 1.0)
        side = images.shape[-1]
        share = uniform(seed, "camera/shares", items, (2,))
        if self.blur:
            images = _blur(images, self.blur * share[:, 0] * side / 112)
        if self.exposure:
            gain = torch.exp(self.exposure * normal(seed, "camera/exposure", items, (1,)))
            images = 1.0 - (1.0 - images).clamp_min(0.0) ** gain[:, :, None, None]
        if self.noise and items:
            grain = [stream(seed, "camera/noise", item).standard_normal(images.shape[1:], np.float32) for item in items]
            images = images + (self.noise * share[:, 1])[:, None, None, None] * torch.from_numpy(np.stack(grain))
        levels = (images * 255.0).round().clamp(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().numpy()


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """A Gaussian blur of `sigma` pixels `[n]` an image, as two matrix products."""
    place = torch.arange(images.shape[-1], dtype=torch.float32)
    distance = (place[:, None] - place[None]) ** 2
    kernel = torch.exp(-distance / (2.0 * sigma[:, None, None].clamp_min(1e-2) ** 2))
    kernel = (kernel / kernel.sum(2, keepdim=True))[:, None]
    return kernel @ images @ kernel.transpose(2, 3)
