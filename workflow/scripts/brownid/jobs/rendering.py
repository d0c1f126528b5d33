"""From latents to the pixels that are stored."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from brownid.errors import BrownidError
from brownid.generators.protocol import ConditionalGenerator, Generator
from brownid.randomness import NoiseKey


@torch.inference_mode()
def render(
    generator: Generator | ConditionalGenerator,
    crop: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise_key: NoiseKey | None = None,
) -> np.ndarray:
    """Aligned images uint8 RGB `[n, S, S, 3]` of latents `[n, D]`; of embeddings `[n, E]` where the generator paints
    those.

    `noise_key` is for a generator whose noise maps are random.
    """
    if getattr(generator, "conditional", False):
        images = crop(generator.render_embeddings(latents, noise_key))
    elif getattr(generator, "needs_noise_key", False):
        images = crop(generator.render(latents, noise_key))
    else:
        images = crop(generator.render(latents))
    broken = (~images.isfinite().flatten(1).all(dim=1)).nonzero()
    if len(broken):
        raise BrownidError(
            f"{len(broken)} of {len(images)} images of a batch hold NaN or infinite numbers and would be black: look "
            "for bad numbers in the generator's files, or take precision float32."
        )
    levels = ((images.float() + 1) * 127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
