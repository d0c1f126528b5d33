"""Langevin dynamics of references: identities that repel each other in embedding space while they diffuse.

Algorithm "Langevin" of Geissbühler et al., ICML 2025: with U_i the repulsion from all other identities and from fixed
embeddings, others held still within an iteration,
    U_i = Σ_{j≠i} k/2 · max(0, d0 − d(e_i,e_j))² + Σ_{c∈C} k/2 · max(0, dC − d(e_i,e_c))²
    F_i = −∂U_i/∂w_i + k_l (w̄ − w_i)
    w_i ← w_i + (Δt/μ) F_i + (√Δt/μ) η₀ ξ.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from brownid.dynamics.checks import check_batch_size, check_items, check_matrix, check_number, check_timestep
from brownid.dynamics.integrator import advance, clip_forces, finite_norms, timesteps
from brownid.dynamics.passes import FaceModel, embed, embed_for_pull_back
from brownid.dynamics.potentials import fixed_repulsion, pair_repulsion
from brownid.dynamics.statistics import as_arrays, crowd_statistics, spread
from brownid.errors import BrownidError
from brownid.randomness import normal
from brownid.runtime import logger, progress

STATISTICS = (
    *("dist_min", "dist_avg", "dist_max", "prop_ict", "nn_mean", "w2wd_min", "w2wd_avg", "w2wd_max", "wavg_avg"),
    *(f"{force}_{kind}" for force in ("intf", "rndf", "latf", "totf") for kind in ("min", "avg", "max")),
    *("energy", "timestep"),
)


@dataclass(frozen=True)
class LangevinSettings:
    """Settings of Langevin; the defaults are those of the published 10k run. Angles are in radians."""

    iterations: int = 100
    repulsion_coefficient: float = 1.0  # k
    repulsion_radius: float = 1.4  # d0
    timestep: float = -0.3  # τ: positive Δt = τ; negative automatic
    viscous_coefficient: float = 1.0  # μ
    random_force: float = 0.01  # η₀
    latent_force: float = 0.1  # k_l
    fixed_distance: float = 0.6  # dC, used where there are fixed embeddings
    ict: float = 1.4  # inter-class threshold: enters the statistics only
    force_clip: float | None = None  # largest norm of F_i, None for no limit

    def __post_init__(self) -> None:
        check_number(self, "iterations", 0, whole=True)
        check_number(self, "repulsion_coefficient", 0.0)
        check_number(self, "repulsion_radius", 0.0, math.pi)
        check_timestep(self)
        check_number(self, "viscous_coefficient", 0.0, exclusive=True)
        check_number(self, "random_force", 0.0)
        check_number(self, "latent_force", 0.0)
        check_number(self, "fixed_distance", 0.0, math.pi)
        check_number(self, "ict", 0.0, math.pi)
        if self.force_clip is not None:
            check_number(self, "force_clip", 0.0, exclusive=True)


@dataclass(frozen=True)
class LangevinResult:
    """Where a run ended. `statistics[name][t]` describes iteration t before its update: the state it started from, the
    forces there, and the timestep it then took; `crowd_statistics` describes the end itself."""

    latents: torch.Tensor  # [N,D]
    embeddings: torch.Tensor  # [N,E], computed from these latents
    statistics: dict[str, np.ndarray]  # name -> [iterations], float64


def langevin(
    model: FaceModel,
    latents: torch.Tensor,
    settings: LangevinSettings,
    *,
    seed: int,
    fixed_embeddings: torch.Tensor | None = None,
    batch_size: int = 64,
    items: Sequence[int] | None = None,
) -> LangevinResult:
    """Run Langevin dynamics from `latents`; the element type and device of the latents are kept.

    Args:
        model: the face model; `embed` is called on at most `batch_size` latents at a time.
        latents: start, `[N,D]`; not changed.
        seed: of the noise, which is addressed by (seed, identity, iteration) and by nothing else.
        fixed_embeddings: C `[M,E]`, embeddings to stay `settings.fixed_distance` away from (leak guard).
        items: global identity numbers of the N rows, default 0 … N−1.

    Returns:
        Latents, embeddings and statistics. Names of the statistics as in `crowd_statistics`, and: norms over the latent
        dimension of −∂U/∂w (`intf`), η₀ξ (`rndf`), k_l(w̄−w) (`latf`) and F, after the clip and without noise (`totf`);
        `energy`, every pair counted once; `timestep`.

    Raises:
        BrownidError: wrong shapes or values; an embedding or force that is not finite.
    """
    check_batch_size(batch_size)
    mean = model.latent_mean.to(latents)
    check_matrix("latents", latents, (None, len(mean)))
    items = check_items(items, len(latents))
    fixed = None if fixed_embeddings is None else fixed_embeddings.to(latents)
    if fixed is not None:
        check_matrix("fixed_embeddings", fixed, (None, None))
    if settings.timestep < 0 and len(latents) < 2:
        raise BrownidError("The automatic timestep needs at least two identities; set a positive timestep for one.")
    latents = latents.detach().clone()
    records = []
    for iteration in progress(range(settings.iterations), "langevin"):
        latents, record = _iterate(model, latents, mean, fixed, settings, seed, items, batch_size, iteration)
        records.append(record)
    embeddings = embed(model, latents, batch_size)
    finite_norms(embeddings, settings.iterations, items, what="embedding")
    return LangevinResult(latents, embeddings, as_arrays(records, STATISTICS))


def _iterate(
    model: FaceModel,
    latents: torch.Tensor,
    mean: torch.Tensor,
    fixed: torch.Tensor | None,
    settings: LangevinSettings,
    seed: int,
    items: Sequence[int],
    batch_size: int,
    iteration: int,
) -> tuple[torch.Tensor, dict[str, float]]:
    """The latents after one iteration, and the statistics before it."""
    embeddings, pull_back = embed_for_pull_back(model, latents, batch_size)
    finite_norms(embeddings, iteration, items, what="embedding")
    energies, gradients = pair_repulsion(embeddings, settings.repulsion_coefficient, settings.repulsion_radius)
    energy = 0.5 * float(energies.sum())  # U_i and U_j both hold the pair (i,j)
    if fixed is not None:
        guard = fixed_repulsion(embeddings, fixed, settings.repulsion_coefficient, settings.fixed_distance)
        energy += float(guard[0].sum())
        gradients = gradients + guard[1]
    interaction = -pull_back(gradients)
    latent_force = settings.latent_force * (mean - latents)
    forces = interaction + latent_force
    norms = finite_norms(forces, iteration, items)
    forces, norms = clip_forces(forces, norms, settings.force_clip)
    noise = settings.random_force * normal(seed, "langevin/noise", items, (latents.shape[1],), iteration).to(latents)
    record = crowd_statistics(latents, embeddings, mean, settings.ict)
    timestep = timesteps(
        settings.timestep, settings.viscous_coefficient, norms.new_tensor(record["w2wd_min"]), norms.max()
    )
    if timestep == 0:
        logger.warning("Iteration %d moves nothing: two latents are equal, or no force acts.", iteration)
    record |= {"energy": energy, "timestep": float(timestep)}
    for name, force in (("intf", interaction), ("rndf", noise), ("latf", latent_force)):
        record |= spread(name, torch.linalg.vector_norm(force, dim=1))
    record |= spread("totf", norms)
    latents = advance(latents, forces, timestep.sqrt() * noise, timestep, settings.viscous_coefficient)
    return latents, record
