"""Sums, minima and forces over all pairs, tile by tile: angles between embeddings, distances between latents.

No loop over tiles waits for a GPU: what it finds there is read when all tiles are done.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from brownid.embeddings.angles import (
    COSINE_SCALE,
    overlap_weights,
    scaled_cosines,
    tangential,
    tile_side,
    unit_and_norms,
)
from brownid.jobs.distributed import SINGLE, ProcessGroup, own_parts

_SUSPECTS = 4096  # pairs of latents measured at once


@dataclass(frozen=True)
class AngleStatistics:
    """Angles d(e_i,e_j) in radians over all pairs; NaN where there is no pair."""

    minimum: float
    mean: float
    maximum: float
    share_above: float  # share of all pairs (not of identities) farther apart than the threshold
    nearest: torch.Tensor  # [N], each identity's angle to its nearest neighbour; infinite for a lone identity


@dataclass(frozen=True)
class DistanceStatistics:
    """Distances ‖w_i − w_j‖ over all pairs; NaN where there is no pair."""

    minimum: float
    mean: float
    maximum: float


@dataclass(frozen=True)
class Tile:
    """A rectangle of the matrix of pairs (i,j): above the diagonal, or square upon it."""

    rows: slice
    columns: slice
    unwanted: torch.Tensor | None  # mask of what is no pair i<j; None where every entry is one

    def discard(self, values: torch.Tensor, replacement: float) -> None:
        """Replace what is no pair i<j in `values` `[rows, columns]`, in place."""
        if self.unwanted is not None:
            values.masked_fill_(self.unwanted, replacement)


def upper_tiles(count: int, tile: int | None, device: torch.device, group: ProcessGroup = SINGLE) -> Iterator[Tile]:
    """This process's share of the tiles (None: of the side that suits the device) that hold each pair i<j of `count`
    identities once."""
    tile = tile or tile_side(device)
    corners = ((row, column) for row in range(0, count, tile) for column in range(row, count, tile))
    for row, column in own_parts(corners, group):
        rows, columns = slice(row, min(row + tile, count)), slice(column, min(column + tile, count))
        unwanted = None
        if row == column:
            side = rows.stop - rows.start
            unwanted = torch.ones(side, side, dtype=torch.bool, device=device).tril_()
        yield Tile(rows, columns, unwanted)


class AngleTally:
    """Angle statistics in the making: tiles of angles go in, in any order."""

    def __init__(self, unit: torch.Tensor, threshold: float) -> None:
        self._threshold = threshold
        self._nearest = unit.new_full((len(unit),), math.inf)
        self._maximum = unit.new_full((1,), -math.inf)
        self._sums = torch.zeros(2, dtype=torch.float64, device=unit.device)  # angles; pairs above the threshold

    def add(self, tile: Tile, angles: torch.Tensor) -> torch.Tensor:
        """Count the `angles` `[rows, columns]` of a tile; those that are no pair i<j become infinite.

        Returns the smallest angle of each row.
        """
        torch.maximum(self._maximum, angles.amax(), out=self._maximum)  # the unwanted angles are no larger
        tile.discard(angles, 0.0)
        self._sums[0] += angles.sum(dtype=torch.float64)
        self._sums[1] += torch.count_nonzero(angles > self._threshold)  # the unwanted angles are 0 here
        tile.discard(angles, math.inf)
        of_rows = angles.amin(dim=1)
        for identities, smallest in ((tile.rows, of_rows), (tile.columns, angles.amin(dim=0))):
            torch.minimum(self._nearest[identities], smallest, out=self._nearest[identities])
        return of_rows

    def finish(self, group: ProcessGroup) -> AngleStatistics:
        """The statistics of the tiles of all processes."""
        nearest, maximum = group.minimum(self._nearest), group.maximum(self._maximum)
        total, above = group.sum(self._sums).tolist()
        pairs = len(nearest) * (len(nearest) - 1) // 2
        if pairs == 0:
            return AngleStatistics(math.nan, math.nan, math.nan, math.nan, nearest)
        return AngleStatistics(float(nearest.min()), total / pairs, float(maximum), above / pairs, nearest)


def angle_statistics(
    embeddings: torch.Tensor, threshold: float, *, tile: int | None = None, group: ProcessGroup = SINGLE
) -> AngleStatistics:
    """Smallest, mean and largest angle over all pairs of embeddings `[N,E]`, and the share above `threshold`."""
    unit, _ = unit_and_norms(embeddings)
    tally = AngleTally(unit, threshold)
    for part in upper_tiles(len(unit), tile, unit.device, group):
        tally.add(part, torch.acos(scaled_cosines(unit[part.rows] @ unit[part.columns].T)))
    return tally.finish(group)


def angles_within(embeddings: torch.Tensor) -> torch.Tensor:
    """The angles (radians) between the n embeddings of each of N groups `[N,n,E]`: `[N, n(n−1)/2]`."""
    groups, members, width = embeddings.shape
    unit = unit_and_norms(embeddings.reshape(-1, width))[0].view(groups, members, width)
    first, second = torch.triu_indices(members, members, offset=1, device=embeddings.device)
    parts = unit.split(max(1, tile_side(unit.device) ** 2 // members**2))
    return torch.cat([torch.acos(scaled_cosines((part @ part.mT)[:, first, second])) for part in parts])


def latent_statistics(
    latents: torch.Tensor, *, tile: int | None = None, group: ProcessGroup = SINGLE
) -> DistanceStatistics:
    """Smallest, mean and largest distance over all pairs of latents `[N,D]`.

    Distances come from matrix products, as ‖a‖² + ‖b‖² − 2a·b of the centred latents. That loses digits where two
    latents almost agree, so every pair that may be the closest is measured again from the difference: equal latents
    have the distance 0.
    """
    pairs = len(latents) * (len(latents) - 1) // 2
    if pairs == 0:
        return DistanceStatistics(math.nan, math.nan, math.nan)
    tiles = _LatentTiles(latents, tile, group)
    closest, total, maximum = tiles.sweep()
    minimum, maximum, total = group.minimum(tiles.minimum(closest)), group.maximum(maximum), group.sum(total)
    return DistanceStatistics(float(minimum), float(total) / pairs, math.sqrt(float(maximum)))


class _LatentTiles:
    """This process's tiles of the matrix of squared distances between latents `[N,D]`."""

    def __init__(self, latents: torch.Tensor, tile: int | None, group: ProcessGroup) -> None:
        self.latents, self.tile, self.group = latents, tile, group
        self.centred = latents - latents.mean(dim=0)
        self.squares = self.centred.square().sum(dim=1)
        # Four inner products make a squared distance; each is wrong by at most D roundings of the largest.
        roundings = 4 * (latents.shape[1] + 4) * torch.finfo(latents.dtype).eps
        self.error = roundings * self.squares.max()

    def parts(self) -> Iterator[Tile]:
        return upper_tiles(len(self.latents), self.tile, self.latents.device, self.group)

    def squared(self, part: Tile) -> torch.Tensor:
        """The squared distances `[rows, columns]` of a tile, each wrong by at most `error`."""
        products = self.centred[part.rows] @ self.centred[part.columns].T
        return products.mul_(-2.0).add_(self.squares[part.rows, None]).add_(self.squares[part.columns])

    def sweep(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The smallest squared distance of each tile `[tiles]`, the sum of the distances, the largest one squared."""
        side = self.tile or tile_side(self.latents.device)
        count = -(-len(self.latents) // side)
        closest = self.latents.new_full((count * (count + 1) // 2,), math.inf)
        total = torch.zeros(1, dtype=torch.float64, device=self.latents.device)
        maximum = self.latents.new_full((1,), 0.0)
        for number, part in enumerate(self.parts()):
            found = self.squared(part)
            torch.maximum(maximum, found.amax(), out=maximum)
            part.discard(found, math.inf)
            closest[number] = found.amin()
            part.discard(found, 0.0)
            total += found.clamp_(min=0.0).sqrt_().sum(dtype=torch.float64)
        return closest, total, maximum

    def minimum(self, closest: torch.Tensor) -> torch.Tensor:
        """The smallest distance `[1]`, from the differences of all pairs that may be the closest: their tiles are few,
        and calculated a second time."""
        minimum = closest.new_full((1,), math.inf)
        suspected = (~(closest > closest.min() + 2 * self.error)).tolist()  # all, where a latent is not a number
        for part, suspect in zip(self.parts(), suspected, strict=False):
            if suspect:
                found = self.squared(part)
                part.discard(found, math.inf)
                own, theirs = self.latents[part.rows], self.latents[part.columns]
                minimum = _closer(minimum, own, theirs, found, self.error)
        return minimum


def _closer(
    minimum: torch.Tensor, own: torch.Tensor, theirs: torch.Tensor, squares: torch.Tensor, error: torch.Tensor
) -> torch.Tensor:
    """The smallest of `minimum` and of the distances between rows of `own` and `theirs`, from their differences.

    `squares` are these distances squared, each wrong by at most `error`: they say which pairs need to be looked at.
    """
    if minimum == 0 or squares.amin() >= minimum.square() + error:
        return minimum
    row, column = divmod(int(squares.argmin()), squares.shape[1])  # leaves few others to look at
    minimum = torch.minimum(minimum, torch.linalg.vector_norm(own[row] - theirs[column]))
    rows, columns = (squares < minimum.square() + error).nonzero(as_tuple=True)
    if not len(rows):  # the pair itself had the distance 0, and no other may be closer
        return minimum
    for some, partners in zip(rows.split(_SUSPECTS), columns.split(_SUSPECTS), strict=True):
        minimum = torch.minimum(minimum, torch.linalg.vector_norm(own[some] - theirs[partners], dim=1).min())
    return minimum


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
    tile: int | None = None,
    group: ProcessGroup = SINGLE,
) -> PairwiseForces:
    """U_i = Σ_{j≠i} k/2 · max(0, d0 − d(e_i,e_j))², its gradient by e_i, and the statistics of all angles.

    Args:
        embeddings: all identities' `[N,E]`, of any norm but 0; the same on every process.
        coefficient, radius: k and d0 (radians).
        threshold: angle (radians) of `angles.share_above`.
        tile: side of the tiles; None: what suits the device.
        group: which of several processes this is; they share the tiles, and each gets the whole result.
    """
    unit, norms = unit_and_norms(embeddings)
    weighted = torch.zeros_like(unit)  # Σ_j weight_ij û_j
    energies, angles = _pair_energies(unit, weighted, radius, threshold, tile, group)
    weighted = group.sum(weighted).mul_(coefficient * COSINE_SCALE)
    return PairwiseForces(energies.mul_(0.5 * coefficient), tangential(weighted, unit, norms), angles)


def pairwise_energies(
    embeddings: torch.Tensor,
    coefficient: float,
    radius: float,
    threshold: float,
    *,
    tile: int | None = None,
    group: ProcessGroup = SINGLE,
) -> tuple[torch.Tensor, AngleStatistics]:
    """Energies and statistics of `pairwise_forces`, with a third of its products."""
    unit, _ = unit_and_norms(embeddings)
    energies, angles = _pair_energies(unit, None, radius, threshold, tile, group)
    return energies.mul_(0.5 * coefficient), angles


def _pair_energies(
    unit: torch.Tensor,
    weighted: torch.Tensor | None,
    radius: float,
    threshold: float,
    tile: int | None,
    group: ProcessGroup,
) -> tuple[torch.Tensor, AngleStatistics]:
    """Σ_{j≠i} max(0, d0 − d(e_i,e_j))² and the statistics of all angles; adds the own tiles' Σ_j weight_ij û_j to
    `weighted`."""
    tally = AngleTally(unit, threshold)
    energies = torch.zeros(len(unit), dtype=torch.float64, device=unit.device)
    for part in upper_tiles(len(unit), tile, unit.device, group):
        own, theirs = unit[part.rows], unit[part.columns]
        cosines = scaled_cosines(own @ theirs.T)
        angles = torch.acos(cosines)
        nearest = tally.add(part, angles)
        if angles.device.type == "cpu" and nearest.min() >= radius:
            continue  # nothing acts in this tile; a GPU is not asked, since each answer would be waited for
        overlaps = angles.neg_().add_(radius).clamp_(min=0.0)  # 0 for what is no pair, whose angle is infinite
        squares = overlaps.square()
        energies[part.rows] += squares.sum(dim=1, dtype=torch.float64)
        energies[part.columns] += squares.sum(dim=0, dtype=torch.float64)
        if weighted is not None:
            weights = overlap_weights(overlaps, cosines)
            weighted[part.rows].addmm_(weights, theirs)
            weighted[part.columns].addmm_(weights.T, own)
    return group.sum(energies), tally.finish(group)
