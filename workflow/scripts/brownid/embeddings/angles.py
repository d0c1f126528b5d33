"""The potential energies and their gradients in closed form.

Notation and equations: Geissbühler, Otroshi Shahreza, Marcel, "Synthetic Face Datasets Generation via Latent Space
Exploration from Brownian Identity Diffusion", ICML 2025. The angle between embeddings is d(a,b) = arccos(s·cos(a,b)) in
radians; the authors' s = 0.999999 keeps d and its gradient finite for equal embeddings (d is then 0.0014).

Angles enter a gradient through their cosine c = s·û_i·û_j (û = e/‖e‖):
    ∂d/∂e_i = −s/√(1−c²) · (û_j − (û_i·û_j) û_i) / ‖e_i‖.
"""

import math

import torch

from brownid.runtime.errors import BrownidError

COSINE_SCALE = 0.999999
# Rows and columns of a tile of the pair matrix: 1 MiB in float32, which stays in a CPU's cache; 64 MiB keep a GPU busy.
TILES = {"cpu": 512, "cuda": 4096}
_LATENT_PAIRS = 2**22  # pair distances of variations held at once


def tile_side(device: torch.device) -> int:
    """The side of a tile of the pair matrix that suits the device."""
    return TILES.get(device.type, TILES["cpu"])


def unit_and_norms(embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows `[N,E]` of unit norm, and the norms `[N,1]` they had."""
    norms = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True).clamp_min(torch.finfo(embeddings.dtype).tiny)
    return embeddings / norms, norms


def check_widths(embeddings: torch.Tensor, others: torch.Tensor) -> None:
    """Refuse to compare embeddings of different lengths: they come from different networks."""
    if embeddings.shape[1] != others.shape[1]:
        raise BrownidError(
            f"Embeddings of {embeddings.shape[1]} numbers cannot be compared with embeddings of {others.shape[1]}: "
            "make both with the same face-recognition network."
        )


def scaled_cosines(dots: torch.Tensor) -> torch.Tensor:
    """s·cos, of the same shape, for dot products of unit vectors; in place. Rounding may not carry them beyond ±s."""
    return dots.clamp_(-1.0, 1.0).mul_(COSINE_SCALE)


def fixed_repulsion(
    embeddings: torch.Tensor,
    fixed: torch.Tensor,
    coefficient: float,
    radius: float,
    *,
    tile: int | None = None,
    unit: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ_{c∈C} k/2 · max(0, dC − d(e_i,e_c))² and its gradient by e_i: the leak guard.

    Takes embeddings `[N,E]`, fixed embeddings `[M,E]`, k and dC (radians), the side of the tiles, None for what suits
    the device, and whether the fixed embeddings have unit norm; returns energies `[N]` in float64 and gradients
    `[N,E]`.
    """
    return _repulsion(embeddings, fixed, None, coefficient, radius, tile, unit)


def neighbour_repulsion(
    embeddings: torch.Tensor,
    others: torch.Tensor,
    first: int,
    coefficient: float,
    radius: float,
    *,
    tile: int | None = None,
    unit: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """U_i = Σ_{j≠i} k/2 · max(0, d0 − d(e_i,e_j))² and ∂U_i/∂e_i for some of N identities, others held fixed.

    Args:
        embeddings: e_i of the identities first … first+B−1, `[B,E]`.
        others: e_j of all identities, `[N,E]`, perhaps older ones; the row of the identity i itself is left out.
        coefficient, radius: k and d0 (radians).
        tile: side of the tiles, None for what suits the device; memory is a few of them in addition to the result.
        unit: whether the others have unit norm, as for many batches against the same others.

    Returns:
        Energies `[B]` in float64 and gradients `[B,E]`.

    Raises:
        BrownidError: embeddings of different lengths, or identities that are not among all.
    """
    if not 0 <= first <= len(others) - len(embeddings):
        raise BrownidError(
            f"The identities {first} to {first + len(embeddings) - 1} are not all among the {len(others)} "
            "others; give the embeddings of all identities, in the same order."
        )
    return _repulsion(embeddings, others, first, coefficient, radius, tile, unit)


def overlap_weights(overlaps: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
    """The weight of û_j in the gradient, without k·s: max(0, d0 − d)/√(1−c²) from the overlaps max(0, d0 − d) and the
    scaled cosines c, all of the same shape; both are overwritten."""
    return overlaps.mul_(cosines.square_().neg_().add_(1.0).rsqrt_())


def angles_to(embeddings: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """The angles d(e_a, e_ref) `[N]`, radians, of embeddings `[N,E]` to the reference in the same row `[N,E]`."""
    check_widths(embeddings, references)
    return torch.acos(scaled_cosines((unit_and_norms(embeddings)[0] * unit_and_norms(references)[0]).sum(dim=1)))


def attraction_gradient(embeddings: torch.Tensor, references: torch.Tensor, coefficient: float) -> torch.Tensor:
    """The gradient `[N,E]` of k_e/4 · d(e_a,e_ref)² by e_a `[N,E]`, with the reference in the same row `[N,E]`."""
    check_widths(embeddings, references)
    unit, norms = unit_and_norms(embeddings)
    targets, _ = unit_and_norms(references)
    cosines = scaled_cosines((unit * targets).sum(dim=1))
    weights = -0.5 * coefficient * COSINE_SCALE * torch.acos(cosines) / (1.0 - cosines.square()).sqrt()
    return tangential(weights[:, None] * targets, unit, norms)


def latent_repulsion(
    latents: torch.Tensor, coefficient: float, radius: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U = Σ_{a<b} k_w/2 · max(0, r_w − ‖w_a−w_b‖)² within each identity, and its gradient by every w_a.

    Equal latents do not push each other: the direction is not defined there, and the gradient is taken as zero.

    Args:
        latents: `[N,n,D]`, n variations of N identities.
        coefficient, radius: k_w and r_w (latent units).

    Returns:
        Energies `[N]` in float64, gradients `[N,n,D]`, and the distances of all pairs `[N, n(n−1)/2]`.
    """
    variations = latents.shape[1]
    first, second = torch.triu_indices(variations, variations, offset=1, device=latents.device)
    energies, gradients, distances = [], [], []
    for group in latents.split(max(1, _LATENT_PAIRS // variations**2)):
        group = group - group.mean(dim=1, keepdim=True)  # differences are the same, and lose fewer digits below
        # Differences, not a matrix product: the product loses all digits where two latents almost agree.
        matrix = torch.cdist(group, group, compute_mode="donot_use_mm_for_euclid_dist")
        overlaps = (radius - matrix).clamp_min(0.0)
        weights = torch.where(matrix > 0, coefficient * overlaps / matrix, 0.0)
        gradients.append(weights @ group - weights.sum(dim=2, keepdim=True) * group)
        energies.append(0.5 * coefficient * overlaps[:, first, second].square().sum(dim=1, dtype=torch.float64))
        distances.append(matrix[:, first, second])
    return torch.cat(energies), torch.cat(gradients), torch.cat(distances)


def tangential(gradients: torch.Tensor, unit: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """Gradients by e of a function of û = e/‖e‖, from its gradients by û: the part across û, divided by ‖e‖."""
    return (gradients - (gradients * unit).sum(dim=1, keepdim=True) * unit) / norms


def _repulsion(
    embeddings: torch.Tensor,
    others: torch.Tensor,
    first: int | None,
    coefficient: float,
    radius: float,
    tile: int | None,
    others_are_unit: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Repulsion of embeddings from others; where `first` is given, row i is the same identity as row first+i there."""
    check_widths(embeddings, others)
    unit, norms = unit_and_norms(embeddings)
    energies = torch.zeros(len(unit), dtype=torch.float64, device=unit.device)
    weighted = torch.zeros_like(unit)  # Σ_j weight_ij û_j
    touching = math.cos(radius)
    tile = tile or tile_side(unit.device)
    # On a GPU the tiles of a small batch are as large as those of many rows, but wide: each is a dozen kernels.
    width = tile * max(1, tile // len(unit)) if others_are_unit and unit.device.type != "cpu" else tile
    for row in range(0, len(unit), tile):
        own = unit[row : row + tile]
        for column in range(0, len(others), width):
            theirs = others[column : column + width]
            if not others_are_unit:
                theirs, _ = unit_and_norms(theirs)  # in the cache, and without a copy of all
            cosines = scaled_cosines(own @ theirs.T)
            if first is not None:
                _fill_diagonal(cosines, first + row - column, -COSINE_SCALE)
            # No pair within the radius: usual for a leak guard, whose radius is small. A GPU is not asked, since each
            # answer would be waited for.
            if cosines.device.type == "cpu" and cosines.max() <= touching:
                continue
            overlaps = torch.acos(cosines).neg_().add_(radius).clamp_(min=0.0)
            if first is not None:
                _fill_diagonal(overlaps, first + row - column, 0.0)
            energies[row : row + tile] += 0.5 * coefficient * overlaps.square().sum(dim=1, dtype=torch.float64)
            weighted[row : row + tile].addmm_(overlap_weights(overlaps, cosines), theirs)
    return energies, tangential(weighted.mul_(coefficient * COSINE_SCALE), unit, norms)


def _fill_diagonal(tile: torch.Tensor, offset: int, value: float) -> None:
    """Fill the entries (i, offset+i) of a tile, in place, as far as it has them."""
    if -len(tile) < offset < tile.shape[1]:
        tile.diagonal(offset).fill_(value)
