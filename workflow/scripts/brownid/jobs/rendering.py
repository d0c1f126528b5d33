"""From latents to the pixels that are stored."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from brownid.generators.protocol import Generator


@torch.inference_mode()
def render(generator: Generator, crop: Callable[[Tensor], Tensor], latents: Tensor) -> np.ndarray:
    """Aligned images of latents `[n, D]`, uint8 RGB `[n, S, S, 3]`."""
    images = crop(generator.render(latents))  # [n, 3, S, S] in [-1, 1]
    levels = ((images.float() + 1) * 127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
