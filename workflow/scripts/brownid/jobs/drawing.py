"""The random latents that references start from."""

from collections.abc import Sequence

import torch

from brownid.generators.protocol import Generator
from brownid.randomness import normal


@torch.no_grad()
def random_latents(generator: Generator, items: Sequence[int], truncation: float, seed: int) -> torch.Tensor:
    """The random start `[n, D]` of identities: z ~ N(0, I) of the identity's own address, mapped with truncation."""
    z = normal(seed, "references/start", items, (generator.latent_dim,))
    return generator.map(z.to(generator.latent_mean), truncation)
