"""Statistics over all pairs, tile by tile: angles between embeddings, distances between latents.

Every pair i<j counts once and none is left out; sums are taken in float64; memory grows as N, not as N².
"""

import math
from dataclasses import dataclass

import torch

from brownid.dynamics.potentials import TILE, check_widths, scaled_cosines, unit_rows


@dataclass(frozen=True)
class AngleStatistics:
    """Angles d(e_i,e_j) in radians over all pairs; NaN where there is no pair."""

    minimum: float
    mean: float
    maximum: float
    share_below: float  # share of all pairs (not of identities) closer than the threshold
    nearest: torch.Tensor  # [N], each identity's angle to its nearest neighbour; infinite for a lone identity


@dataclass(frozen=True)
class DistanceStatistics:
    """Distances ‖w_i − w_j‖ over all pairs; NaN where there is no pair."""

    minimum: float
    mean: float
    maximum: float


def angle_statistics(embeddings: torch.Tensor, threshold: float, *, tile: int = TILE) -> AngleStatistics:
    """Smallest, mean and largest angle over all pairs of embeddings `[N,E]`, and the share below `threshold`."""
    unit, _ = unit_rows(embeddings)
    count = len(unit)
    nearest = unit.new_full((count,), math.inf)
    total = torch.zeros((), dtype=torch.float64, device=unit.device)
    below = torch.zeros((), dtype=torch.int64, device=unit.device)
    maximum = unit.new_tensor(-math.inf)
    for row, column, upper in _upper_tiles(count, tile, unit.device):
        angles = torch.acos(scaled_cosines(unit[row : row + tile] @ unit[column : column + tile].T))
        values = angles if upper is None else angles[upper]
        total += values.sum(dtype=torch.float64)
        below += (values < threshold).sum()
        if values.numel():
            maximum = torch.maximum(maximum, values.max())
        if upper is not None:
            angles.fill_diagonal_(math.inf)
        rows, columns = nearest[row : row + tile], nearest[column : column + tile]
        torch.minimum(rows, angles.amin(dim=1), out=rows)
        torch.minimum(columns, angles.amin(dim=0), out=columns)
    pairs = count * (count - 1) // 2
    if pairs == 0:
        return AngleStatistics(math.nan, math.nan, math.nan, math.nan, nearest)
    return AngleStatistics(float(nearest.min()), float(total) / pairs, float(maximum), int(below) / pairs, nearest)


def nearest_neighbours(
    embeddings: torch.Tensor, others: torch.Tensor | None = None, *, tile: int = TILE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Angle to the nearest of `others` `[M,E]` for embeddings `[N,E]`, and that one's row; without `others`, among
    themselves.

    Returns angles `[N]` (radians, infinite where there is no other) and rows `[N]` int64 (−1 where there is none).
    """
    unit, _ = unit_rows(embeddings)
    targets = unit
    if others is not None:
        check_widths(embeddings, others)
        targets, _ = unit_rows(others)
    best = unit.new_full((len(unit),), -math.inf)
    index = torch.full((len(unit),), -1, dtype=torch.int64, device=unit.device)
    for row in range(0, len(unit), tile):
        for column in range(0, len(targets), tile):
            cosines = unit[row : row + tile] @ targets[column : column + tile].T
            if others is None and row == column:
                cosines.fill_diagonal_(-math.inf)
            values, places = cosines.max(dim=1)
            closer = values > best[row : row + tile]
            best[row : row + tile] = torch.where(closer, values, best[row : row + tile])
            index[row : row + tile] = torch.where(closer, places + column, index[row : row + tile])
    angles = torch.acos(scaled_cosines(best.clone()))
    return torch.where(index >= 0, angles, math.inf), index


def latent_statistics(latents: torch.Tensor, *, tile: int = TILE) -> DistanceStatistics:
    """Smallest, mean and largest distance over all pairs of latents `[N,D]`.

    Distances come from matrix products, as ‖a‖² + ‖b‖² − 2a·b of the centred latents. That loses digits where two
    latents almost agree, so the closest partner of each latent in each tile is measured again from the difference:
    equal latents have the distance 0.
    """
    centred = latents - latents.mean(dim=0)
    squares = centred.square().sum(dim=1)
    total = torch.zeros((), dtype=torch.float64, device=latents.device)
    minimum = latents.new_tensor(math.inf)
    maximum = latents.new_tensor(-math.inf)
    for row, column, upper in _upper_tiles(len(latents), tile, latents.device):
        own, theirs = latents[row : row + tile], latents[column : column + tile]
        products = centred[row : row + tile] @ centred[column : column + tile].T
        distances = products.mul_(-2.0).add_(squares[row : row + tile, None]).add_(squares[column : column + tile])
        distances.clamp_(min=0.0).sqrt_()
        values = distances if upper is None else distances[upper]
        if not values.numel():
            continue
        total += values.sum(dtype=torch.float64)
        maximum = torch.maximum(maximum, values.max())
        if upper is not None:
            distances.masked_fill_(~upper, math.inf)
            own = own[:-1]  # the last row of a diagonal tile has no later partner in it
        partners = distances[: len(own)].argmin(dim=1)
        minimum = torch.minimum(minimum, torch.linalg.vector_norm(own - theirs[partners], dim=1).min())
    pairs = len(latents) * (len(latents) - 1) // 2
    if pairs == 0:
        return DistanceStatistics(math.nan, math.nan, math.nan)
    return DistanceStatistics(float(minimum), float(total) / pairs, float(maximum))


def _upper_tiles(count, tile, device):
    """(first row, first column, mask) of the tiles that hold all pairs i<j; the mask marks them in a diagonal tile."""
    for row in range(0, count, tile):
        side = min(tile, count - row)
        yield row, row, torch.ones(side, side, dtype=torch.bool, device=device).triu_(1)
        for column in range(row + tile, count, tile):
            yield row, column, None
