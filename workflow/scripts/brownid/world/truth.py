"""Ground truth of datasets of the embedded world: nuisance within identities, and drift of the identity."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from brownid.world.anatomy import NUISANCE_GROUPS, NUISANCE_NAMES

CHUNK = 4096  # latents at a time


class TruthfulGenerator(Protocol):
    """Protocol of a generator with known ground truth, as the procedural one."""

    def identity_of(self, latents: Tensor) -> Tensor:
        """The true raw identity `[B, I]` of latents `[B, D]`; the population's standard deviation is 1."""

    def nuisance_of(self, latents: Tensor) -> Tensor:
        """The true raw nuisance `[B, N]` of latents `[B, D]`; that of genuine photographs has standard deviation 1."""

    def reset_nuisance(self, latents: Tensor) -> Tensor:
        """The latents with neutral nuisance and the same identity."""

    def attribute_direction(self, name: str) -> Tensor:
        """The true edit direction of an attribute, unit `[D]`."""


@torch.no_grad()
def nuisance_and_drift(
    generator: TruthfulGenerator, references: Tensor, variations: Tensor, owners: Sequence[int]
) -> tuple[dict[str, float], float]:
    """The within-identity standard deviation of the true nuisance by group, and the drift of the true identity.

    `references` `[n, D]`, `variations` `[m, D]`, and `owners` `[m]`, the row of each one's reference. A standard
    deviation is that of a raw parameter about its mean over the variations of an identity, pooled over identities
    (m - n degrees of freedom), and the mean of it over the parameters of a group of `NUISANCE_GROUPS`, or over `all`;
    genuine photographs have 1.0. Drift is the root mean square difference of a raw identity parameter of a variation
    from that of its reference; the population's standard deviation is 1.0. Where no identity has two variations, no
    group is returned.
    """
    owner = torch.as_tensor(owners, device=references.device)
    counts = torch.bincount(owner, minlength=len(references)).double()[:, None]
    freedom = len(owner) - int((counts > 0).sum())
    identity = generator.identity_of(references).double()
    sums = torch.zeros(len(references), len(NUISANCE_NAMES), dtype=torch.float64, device=references.device)
    total, drift = torch.zeros_like(sums[0]), 0.0
    for part in torch.arange(len(owner), device=references.device).split(CHUNK):
        nuisance, own = generator.nuisance_of(variations[part]).double(), owner[part]
        sums.index_add_(0, own, nuisance)
        total += nuisance.square().sum(0)
        drift += (generator.identity_of(variations[part]).double() - identity[own]).square().mean(1).sum().item()
    drift = (drift / len(owner)) ** 0.5
    if not freedom:
        return {}, drift
    within = total - (sums.square() / counts.clamp_min(1.0)).sum(0)  # Σx² - n x̄², per parameter over identities
    stds = dict(zip(NUISANCE_NAMES, (within.clamp_min(0.0) / freedom).sqrt().tolist(), strict=True))
    groups = {"all": NUISANCE_NAMES, **NUISANCE_GROUPS}
    means = {group: sum(stds[name] for name in names) / len(names) for group, names in groups.items()}
    return means, drift
