"""One step of Brownian motion (automatic timestep, force check, update), and the statistics of each iteration."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from brownid.embeddings.pairwise import AngleStatistics, DistanceStatistics, angle_statistics, latent_statistics
from brownid.runtime.errors import BrownidError


def timesteps(
    timestep: float, viscous_coefficient: float, smallest_distance: torch.Tensor, largest_force: torch.Tensor
) -> torch.Tensor:
    """Δt: `timestep` itself, or for a negative one Δt = |τ| · μ · min ‖w_i − w_j‖ / max ‖F_i‖ (noise not in the max).

    Then no force alone carries a latent farther than |τ| times the smallest distance between two. Where no force acts,
    or where two latents are equal, Δt is 0. Takes and returns tensors of one common shape, one value a system.
    """
    if timestep > 0:
        return torch.full_like(largest_force, timestep)
    automatic = -timestep * viscous_coefficient * smallest_distance / largest_force
    return torch.where(largest_force > 0, automatic, 0.0)


def finite_norms(forces: torch.Tensor, iteration: int, items: Sequence[int], *, what: str = "force") -> torch.Tensor:
    """The norms of `forces` (or of `what` they are) `[N,D]` or `[N,n,D]` over the last dimension.

    Raises BrownidError where one is not finite, with iteration, identity (`items` numbers the N) and norm; where there
    are variations, with the variation.
    """
    norms = torch.linalg.vector_norm(forces, dim=-1)
    wrong = (~torch.isfinite(norms)).nonzero()
    if len(wrong):
        place = wrong[0].tolist()
        variation = f", variation {place[1]}" if len(place) > 1 else ""
        raise BrownidError(
            f"The {what} on identity {items[place[0]]}{variation} is not finite in iteration {iteration}: its norm is "
            f"{float(norms[tuple(place)])}. Take a smaller timestep or set force_clip; if it happens in iteration 0, "
            "look for bad weights in the generator or the face-recognition network."
        )
    return norms


def clip_forces(forces: torch.Tensor, norms: torch.Tensor, clip: float | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Forces shortened to the norm `clip` where they are longer (None: never), and their norms."""
    if clip is None:
        return forces, norms
    return forces * (clip / norms.clamp_min(clip))[..., None], norms.clamp_max(clip)


def advance(
    latents: torch.Tensor, forces: torch.Tensor, kicks: torch.Tensor, timestep: torch.Tensor, viscous: float
) -> torch.Tensor:
    """w + (Δt/μ) F + kick/μ, with Δt broadcast over forces; the caller scales the kick with √Δt or Δt."""
    return latents + (timestep * forces + kicks) / viscous


def summary(name: str, values: torch.Tensor) -> dict[str, float]:
    """`name_min`, `name_avg` and `name_max` of all values; NaN where there is none. The mean is taken in float64."""
    if not values.numel():
        return {f"{name}_{kind}": float("nan") for kind in ("min", "avg", "max")}
    return {
        f"{name}_min": float(values.min()),
        f"{name}_avg": float(values.mean(dtype=torch.float64)),
        f"{name}_max": float(values.max()),
    }


def pairwise_statistics(
    latents: torch.Tensor, embeddings: torch.Tensor, latent_mean: torch.Tensor, ict: float
) -> dict[str, float]:
    """Statistics of references `[N,D]`, `[N,E]` at one iteration, over all pairs.

    `dist_*`: angles of pairs (radians); `prop_ict`: share of pairs farther apart than `ict`; `nn_mean`: mean angle to
    the nearest neighbour; `w2wd_*`: distances of pairs of latents; `wavg_avg`: mean distance to the mean latent.
    """
    return pairwise_record(angle_statistics(embeddings, ict), latent_statistics(latents), latents, latent_mean)


def pairwise_record(
    angles: AngleStatistics, distances: DistanceStatistics, latents: torch.Tensor, latent_mean: torch.Tensor
) -> dict[str, float]:
    """`pairwise_statistics` where angles and distances are known already."""
    return {
        "dist_min": angles.minimum,
        "dist_avg": angles.mean,
        "dist_max": angles.maximum,
        "prop_ict": angles.share_above,
        "nn_mean": float(angles.nearest.mean(dtype=torch.float64)) if len(latents) > 1 else float("nan"),
        "w2wd_min": distances.minimum,
        "w2wd_avg": distances.mean,
        "w2wd_max": distances.maximum,
        "wavg_avg": summary("wavg", torch.linalg.vector_norm(latents - latent_mean, dim=1))["wavg_avg"],
    }


def as_arrays(records: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, np.ndarray]:
    """name -> float64 array `[iterations]`, in the order of `names`."""
    return {name: np.array([record[name] for record in records], dtype=np.float64) for name in names}
