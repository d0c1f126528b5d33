"""From latents to the pixels that are stored."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from brownid.errors import BrownidError
from brownid.generators.protocol import ConditionalGenerator, Generator
from brownid.randomness import Address


@torch.inference_mode()
def render(
    generator: Generator | ConditionalGenerator,
    crop: Callable[[Tensor], Tensor],
    latents: Tensor,
    address: Address | None = None,
) -> np.ndarray:
    """Aligned images uint8 RGB `[n, S, S, 3]` of latents `[n, D]`; of embeddings `[n, E]` where the generator paints
    those.

    `address` is that of the images' noise maps, for a generator that has some of each item's own.
    """
    if getattr(generator, "conditional", False):
        images = crop(generator.render_embeddings(latents, address))
    elif getattr(generator, "takes_address", False):
        images = crop(generator.render(latents, address))
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
