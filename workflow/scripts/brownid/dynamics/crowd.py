"""Pairwise energies, forces and angle statistics of all identities in one tiled pass.

Half of the matrix of pairs is enough: the cosines of a tile serve the identities of its rows and of its columns. The
matrix products decide the time: three of a tile's size and the embeddings' length, of which two fall away where no pair
is within the radius. Memory is a few tiles and a few arrays like the embeddings.
"""

from dataclasses import dataclass

import torch

from brownid.dynamics.pairs import AngleStatistics, AngleTally, upper_tiles
from brownid.dynamics.potentials import COSINE_SCALE, TILE, overlap_weights, scaled_cosines, tangential, unit_rows
from brownid.dynamics.share import SINGLE, ProcessGroup


@dataclass(frozen=True)
class PairwiseForces:
    """Energies and forces between N identities, and the statistics of their angles."""

    energies: torch.Tensor  # U_i, float64 [N]; adding them up counts every pair twice
    gradients: torch.Tensor  # ∂U_i/∂e_i with all other e_j held fixed, [N,E]
    angles: AngleStatistics


def pairwise_forces(
    embeddings: torch.Tensor,
    coefficient: float,
    radius: float,
    threshold: float,
    *,
    tile: int = TILE,
    group: ProcessGroup = SINGLE,
) -> PairwiseForces:
    """U_i = Σ_{j≠i} k/2 · max(0, d0 − d(e_i,e_j))², its gradient by e_i, and the statistics of all angles.

    Args:
        embeddings: all identities' `[N,E]`, of any norm but 0; the same on every process.
        coefficient, radius: k and d0 (radians).
        threshold: angle (radians) of `angles.share_above`.
        tile: side of the tiles.
        group: which of several processes this is; they share the tiles, and each gets the whole result.
    """
    unit, norms = unit_rows(embeddings)
    tally = AngleTally(unit, threshold)
    energies = torch.zeros(len(unit), dtype=torch.float64, device=unit.device)
    pulls = torch.zeros_like(unit)  # Σ_j weight_ij û_j
    for part in upper_tiles(len(unit), tile, unit.device, group):
        own, theirs = unit[part.rows], unit[part.columns]
        cosines = scaled_cosines(own @ theirs.T)
        angles = torch.acos(cosines)
        if tally.add(part, angles).min() >= radius:
            continue
        overlaps = angles.neg_().add_(radius).clamp_(min=0.0)  # 0 for what is no pair, whose angle is infinite
        squares = overlaps.square()
        energies[part.rows] += squares.sum(dim=1, dtype=torch.float64)
        energies[part.columns] += squares.sum(dim=0, dtype=torch.float64)
        weights = overlap_weights(overlaps, cosines)
        pulls[part.rows].addmm_(weights, theirs)
        pulls[part.columns].addmm_(weights.T, own)
    energies = group.sum(energies).mul_(0.5 * coefficient)
    pulls = group.sum(pulls).mul_(coefficient * COSINE_SCALE)
    return PairwiseForces(energies, tangential(pulls, unit, norms), tally.finish(group))
