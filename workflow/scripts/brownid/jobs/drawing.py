"""Random latents of a generator, such as references start from."""

from collections.abc import Sequence

import torch

from brownid.generators.protocol import Generator
from brownid.randomness import normal


@torch.no_grad()
def random_latents(
    generator: Generator,
    items: Sequence[int],
    truncation: float,
    seed: int,
    *,
    purpose: str = "references/start",
    count: int = 1,
) -> torch.Tensor:
    """Random latents `[n · count, D]`, `count` of each item: z ~ N(0, I) of the item's own address, mapped with
    truncation.

    More of an item only add to those before; the purpose "references/start" is that of the start of identities.
    """
    z = normal(seed, purpose, items, (count, generator.latent_dim)).flatten(0, 1)
    return generator.map(z.to(generator.latent_mean), truncation)
