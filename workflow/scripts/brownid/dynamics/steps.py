"""One step of Brownian motion (automatic timestep, force check, update), and the statistics of each iteration."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from brownid.embeddings.pairwise import AngleStatistics, DistanceStatistics, angle_statistics, latent_statistics
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import check_matrix
from brownid.weights.state_dict import checksum

ORTHONORMAL = 1e-4  # tolerance of the products of nuisance directions


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


class NuisanceProjection:
    """Projection on the complement of nuisance directions V `[R, D]`, about the mean latent: P = I − VᵀV.

    Nuisance attribute projection (Solomonoff, Campbell and Boardman, "Advances in channel compensation for SVM speaker
    recognition", ICASSP 2005), here of the dynamics: latents that begin with no component of w − w̄ along V and move by
    projected steps never get one. Without directions (None, or an R of 0) everything is returned as it is.
    """

    def __init__(self, directions: torch.Tensor | None, mean: torch.Tensor) -> None:
        """`mean` is w̄ `[D]`; raises BrownidError unless the rows of V are orthonormal and fewer than D."""
        self.mean = mean
        self.directions = None if directions is None or not len(directions) else directions.to(mean)
        if self.directions is None:
            return
        check_matrix("nuisance_directions", self.directions, (None, len(mean)))
        count = len(self.directions)
        if count >= len(mean):
            raise BrownidError(
                f"{count} nuisance directions leave no other among the {len(mean)} of the latents: give fewer."
            )
        products = self.directions @ self.directions.T
        if not torch.allclose(products, torch.eye(count).to(products), atol=ORTHONORMAL):
            raise BrownidError("The rows of nuisance_directions must be orthonormal: unit vectors at right angles.")

    def steps(self, vectors: torch.Tensor) -> torch.Tensor:
        """P v of forces or noise v `[..., D]`."""
        return vectors if self.directions is None else vectors - vectors @ self.directions.T @ self.directions

    def latents(self, latents: torch.Tensor) -> torch.Tensor:
        """w̄ + P (w − w̄) of latents w `[..., D]`."""
        if self.directions is None:
            return latents
        return latents - (latents - self.mean) @ self.directions.T @ self.directions

    def state_key(self) -> dict[str, str]:
        """What the state of a run belongs to besides its settings: a checksum of V, or nothing without directions."""
        return {} if self.directions is None else {"nuisance_directions": checksum({"V": self.directions})}


def summary(name: str, values: torch.Tensor) -> dict[str, float]:
    """`name_min`, `name_avg` and `name_max` of all values; NaN where there is none. The mean is taken in float64."""
    found = [float("nan")] * 3
    if values.numel():  # read at once: a GPU is waited for
        found = torch.stack([values.min().double(), values.mean(dtype=torch.float64), values.max().double()]).tolist()
    return {f"{name}_{kind}": value for kind, value in zip(("min", "avg", "max"), found, strict=True)}


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
