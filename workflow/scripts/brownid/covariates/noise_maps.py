"""Noise maps that are optimised beside the latent: their start, what keeps them noise, and their normalisation.

The generator's own noise explains hair and pores that no latent has to explain then (Karras et al., "Analyzing and
improving the image quality of StyleGAN", 2020, appendix D).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from brownid.randomness import normal

COARSEST = 8  # pixels a side; smaller maps are not averaged further


def random_maps(shapes: Mapping[str, tuple[int, ...]], seed: int, items: Sequence[int]) -> dict[str, Tensor]:
    """Standard normal maps `[B, r, r]`, each of its item's own numbers."""
    return {name: normal(seed, f"projection/noise map {name}", items, shape) for name, shape in shapes.items()}


def autocorrelation(maps: Mapping[str, Tensor]) -> Tensor:
    """The penalty `[B]` on what is no noise: Σ (mean n·roll(n, 1))², over maps, both directions and resolutions.

    Each map `[B, r, r]` counts at its own resolution and at every half of it, by averaging 2×2, down to 8 pixels. The
    paper multiplies the averages by 2 to keep their variance; the published program does not, and nor do we, as the
    published weight 1e5 belongs to it.
    """
    penalties = []
    for noise in maps.values():
        while True:
            penalties += [(noise * noise.roll(1, dims=dim)).mean(dim=(1, 2)).square() for dim in (1, 2)]
            if noise.shape[-1] <= COARSEST:
                break
            noise = F.avg_pool2d(noise, 2)
    return torch.stack(penalties).sum(dim=0)


def renormalised(noise: Tensor) -> Tensor:
    """Maps `[B, r, r]` moved and scaled to zero mean and unit variance, each by itself."""
    centred = noise - noise.mean(dim=(1, 2), keepdim=True)
    return centred * centred.square().mean(dim=(1, 2), keepdim=True).rsqrt()
