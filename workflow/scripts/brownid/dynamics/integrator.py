"""One step of Brownian motion: the automatic timestep, the force check and clip, and the update itself."""

from collections.abc import Sequence

import torch

from brownid.errors import BrownidError


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
