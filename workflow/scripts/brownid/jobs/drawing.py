"""Random latents of a generator, such as references start from."""

from collections.abc import Sequence

import torch

from brownid.generators.protocol import Generator
from brownid.randomness import normal

SPREAD_SAMPLES = 1000  # random latents that the spread is measured on


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


def generator_spread(generator: Generator, seed: int) -> float:
    """How far a generator's latents lie from their mean: the unit of noise and weights that latents are given."""
    return latent_spread(random_latents(generator, range(SPREAD_SAMPLES), 1.0, seed))


def latent_spread(latents: torch.Tensor) -> float:
    """The "std(w)" of the StyleGAN2 projector: root mean square distance of latents `[n, D]` from their mean."""
    return float((latents - latents.mean(dim=0)).square().flatten(1).sum(dim=1).mean().sqrt())
