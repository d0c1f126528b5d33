"""From latents, or embeddings, to the pixels that are stored."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from brownid.batching import Batching
from brownid.errors import BrownidError
from brownid.generators.protocol import EmbeddingConditionedGenerator, Generator
from brownid.randomness import NoiseKey
from brownid.recognition.embedding import as_bytes

BATCH_SIZE = 64


def render_in_batches(
    generator: Generator | EmbeddingConditionedGenerator,
    crop: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise_key: NoiseKey,
) -> Iterator[np.ndarray]:
    """What `render` makes of latents `[n, D]` or embeddings `[n, E]`, batch by batch, smaller where memory runs out."""
    return Batching(BATCH_SIZE).each(
        len(latents), lambda rows: render(generator, crop, latents[rows], noise_key.rows(rows))
    )


@torch.inference_mode()
def render(
    generator: Generator | EmbeddingConditionedGenerator,
    crop: Callable[[Tensor], Tensor],
    latents: Tensor,
    noise_key: NoiseKey | None = None,
) -> np.ndarray:
    """Aligned images uint8 RGB `[n, S, S, 3]` of latents `[n, D]`, or of embeddings `[n, E]` where the generator is
    conditioned on those.

    `noise_key` is for a generator whose noise maps are random.
    """
    if generator.embedding_conditioned:
        images = crop(generator.render_embeddings(latents, noise_key))
    elif generator.needs_noise_key:
        images = crop(generator.render(latents, noise_key))
    else:
        images = crop(generator.render(latents))
    broken = (~images.isfinite().flatten(1).all(dim=1)).nonzero()
    if len(broken):
        raise BrownidError(
            f"{len(broken)} of {len(images)} images of a batch hold NaN or infinite numbers and would be black: look "
            "for bad numbers in the generator's files, or take precision float32."
        )
    return as_bytes(images)
