"""Langevin dynamics of references: identities that repel each other in embedding space while they diffuse.

Algorithm "Langevin" of Geissbühler et al., ICML 2025: with U_i the repulsion from all other identities and from fixed
embeddings, others held still within an iteration,
    U_i = Σ_{j≠i} k/2 · max(0, d0 − d(e_i,e_j))² + Σ_{c∈C} k/2 · max(0, dC − d(e_i,e_c))²
    F_i = −∂U_i/∂w_i + k_l (w̄ − w_i)
    w_i ← w_i + (Δt/μ) F_i + (√Δt/μ) η₀ ξ.

With nuisance directions V (ours; nuisance attribute projection) the start, −∂U_i/∂w_i, k_l (w̄ − w_i) and ξ are
projected by P = I − VᵀV, so that the identities part only outside the span of V.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from brownid.dynamics.settings import LangevinSettings
from brownid.dynamics.steps import (
    NuisanceProjection,
    advance,
    as_arrays,
    clip_forces,
    finite_norms,
    pairwise_record,
    summary,
    timesteps,
)
from brownid.embeddings.angles import fixed_repulsion, neighbour_repulsion, unit_and_norms
from brownid.embeddings.pairwise import AngleStatistics, latent_statistics, pairwise_energies, pairwise_forces
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.model import FaceModel
from brownid.jobs.distributed import SINGLE, ProcessGroup, gather, own_rows
from brownid.jobs.iteration import Tensors, iterate
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import check_matrix
from brownid.runtime.process import logger
from brownid.runtime.randomness import check_items, normal_ahead

STATISTICS = (
    *("dist_min", "dist_avg", "dist_max", "prop_ict", "nn_mean", "w2wd_min", "w2wd_avg", "w2wd_max", "wavg_avg"),
    *(f"{force}_{kind}" for force in ("intf", "rndf", "latf", "totf") for kind in ("min", "avg", "max")),
    *("energy", "timestep"),
)


@dataclass(frozen=True)
class LangevinResult:
    """Result of a run. `statistics[name][t]` describes iteration t before its update: the state it started from, the
    forces there, and the timestep it then took; `pairwise_statistics` describes the end itself."""

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
    nuisance_directions: torch.Tensor | None = None,
    batch_size: int = 64,
    items: Sequence[int] | None = None,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE,
) -> LangevinResult:
    """Run Langevin dynamics from `latents`; the element type and device of the latents are kept.

    Args:
        model: the face model; `embed` is called on at most `batch_size` latents at a time, on fewer where the memory
            runs out.
        latents: start, `[N,D]`; not changed.
        seed: of the noise, which is addressed by (seed, identity, iteration) and by nothing else.
        fixed_embeddings: C `[M,E]`, embeddings to stay `settings.fixed_distance` away from (leak guard).
        nuisance_directions: V `[R,D]`, orthonormal: the component of w − w̄ along these is 0 from the start to the end.
        items: global identity numbers of the N rows, default 0 … N−1.
        state: where to keep what an interrupted run goes on from.
        group: the processes that share the work; all call this with the same arguments and get the same result.

    Returns:
        Latents, embeddings and statistics. Names of the statistics as in `pairwise_statistics`, and: norms over the
        latent dimension of −∂U/∂w (`intf`), η₀ξ (`rndf`), k_l(w̄−w) (`latf`) and F, after the clip and without noise
        (`totf`), all of them projected where there are nuisance directions; `energy`, every pair counted once;
        `timestep`.

    Raises:
        BrownidError: wrong shapes or values; an embedding or force that is not finite; a state of other settings.
    """
    batched = BatchedFaceModel(model, batch_size, seed)
    mean = model.latent_mean.to(latents)
    check_matrix("latents", latents, (None, len(mean)))
    projection = NuisanceProjection(nuisance_directions, mean)
    items = check_items(items, len(latents))
    fixed = None if fixed_embeddings is None else fixed_embeddings.to(latents)
    if fixed is not None:
        check_matrix("fixed_embeddings", fixed, (None, None))
    guard = None if fixed is None else unit_and_norms(fixed)[0]
    if settings.timestep < 0 and len(latents) < 2:
        raise BrownidError("The automatic timestep needs at least two identities; set a positive timestep for one.")
    if group.size > len(latents):
        raise BrownidError(f"{group.size} processes cannot share {len(latents)} identities; take fewer processes.")
    if state is not None:
        state = state.of_run(
            algorithm="langevin",
            settings=asdict(settings),
            seed=seed,
            identities=items,
            **projection.state_key(),
        )
    run = _Run(batched, mean, guard, projection, settings, seed, items, group)
    start = {"latents": projection.latents(latents.detach().clone())}
    if settings.neighbours == "previous":
        start["embeddings"] = run.embed(start["latents"], 0)
    end, records = iterate(
        partial(_iterate, run),
        start,
        settings.iterations,
        STATISTICS,
        description="langevin",
        given={"starting latents": latents} | ({} if fixed is None else {"fixed embeddings": fixed}),
        state=state,
        group=group,
    )
    embeddings = run.embed(end["latents"], None)
    return LangevinResult(end["latents"], embeddings, as_arrays(records, STATISTICS))


@dataclass(frozen=True)
class _Run:
    """Constants of a run."""

    batched: BatchedFaceModel
    mean: torch.Tensor  # [D]
    fixed: torch.Tensor | None  # [M,E], unit norm
    projection: NuisanceProjection
    settings: LangevinSettings
    seed: int
    items: list[int]
    group: ProcessGroup

    @property
    def own(self) -> slice:
        """The rows that this process differentiates and moves."""
        return own_rows(self.group, len(self.items))

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of all processes."""
        return gather(self.group, rows, len(self.items))

    def embed(self, latents: torch.Tensor, iteration: int | None) -> torch.Tensor:
        """Embeddings `[N,E]` of latents `[N,D]`, finite, each process embedding its own rows."""
        own = self.own
        return self.checked(self.batched.embed(latents[own], self.items[own], iteration), iteration)

    def checked(self, own_embeddings: torch.Tensor, iteration: int | None) -> torch.Tensor:
        """The embeddings of all from those of the own rows; only here are they checked, so that all processes stop."""
        embeddings = self.gather(own_embeddings)
        finite_norms(
            embeddings, self.settings.iterations if iteration is None else iteration, self.items, what="embedding"
        )
        return embeddings

    def guard(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Energies and gradients of the repulsion from the fixed embeddings; nothing where there are none."""
        if self.fixed is None:
            return embeddings.new_zeros(len(embeddings), dtype=torch.float64), 0.0
        return fixed_repulsion(
            *(embeddings, self.fixed, self.settings.repulsion_coefficient, self.settings.fixed_distance), unit=True
        )

    def energy(self, pairs: torch.Tensor, guard: torch.Tensor) -> float:
        """The energy of all, from those of all identities' pairs `[N]` and of the own rows' guard."""
        # U_i and U_j both hold the pair (i,j)
        return float(0.5 * pairs.sum() + self.group.sum(guard.sum()))


def _iterate(run: _Run, tensors: Tensors, iteration: int) -> tuple[Tensors, dict[str, float]]:
    """The tensors after one iteration, and the statistics before it."""
    settings, group, own = run.settings, run.group, run.own
    latents = tensors["latents"]
    moving, items = latents[own], run.items[own]
    random_force = normal_ahead(moving, run.seed, "langevin/noise", items, latents.shape[1:], iteration)
    if settings.neighbours == "current":
        embeddings, energy, angles, gradients = _gradients_among_current(run, moving, items, iteration)
    else:
        embeddings, energy, angles, gradients = _gradients_among_previous(
            run, moving, items, iteration, tensors["embeddings"]
        )
    interaction = run.projection.steps(-gradients)
    latent_force = run.projection.steps(settings.latent_force * (run.mean - moving))
    forces = interaction + latent_force
    norms = finite_norms(run.gather(torch.linalg.vector_norm(forces, dim=1))[:, None], iteration, run.items)
    forces, _ = clip_forces(forces, norms[own], settings.force_clip)
    norms = norms if settings.force_clip is None else norms.clamp_max(settings.force_clip)
    noise = run.projection.steps(settings.random_force * random_force())
    distances = latent_statistics(latents, group=group)
    record = pairwise_record(angles, distances, latents, run.mean)
    timestep = timesteps(
        settings.timestep, settings.viscous_coefficient, norms.new_tensor(distances.minimum), norms.max()
    )
    if timestep == 0:
        logger.warning("Iteration %d moves nothing: two latents are equal, or no force acts.", iteration)
    record |= {"energy": energy, "timestep": float(timestep)}
    parts = {"intf": interaction, "rndf": noise, "latf": latent_force}
    lengths = run.gather(torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts.values()], dim=1))
    for name, column in zip(parts, lengths.unbind(1), strict=True):
        record |= summary(name, column)
    record |= summary("totf", norms)
    moved = advance(moving, forces, timestep.sqrt() * noise, timestep, settings.viscous_coefficient)
    after = {"latents": run.gather(moved)}
    if settings.neighbours == "previous":
        after["embeddings"] = embeddings
    return after, record


def _gradients_among_current(
    run: _Run, moving: torch.Tensor, items: list[int], iteration: int
) -> tuple[torch.Tensor, float, AngleStatistics, torch.Tensor]:
    """Embeddings of all, energy, angles, and ∂U/∂w of the own rows; the others are where they are in this iteration."""
    embeddings, vjp = run.batched.embed_with_vjp(moving, items, iteration)
    embeddings = run.checked(embeddings, iteration)
    settings = run.settings
    pairs = pairwise_forces(
        embeddings, settings.repulsion_coefficient, settings.repulsion_radius, settings.ict, group=run.group
    )
    guard, guard_gradients = run.guard(embeddings[run.own])
    energy = run.energy(pairs.energies, guard)
    return embeddings, energy, pairs.angles, vjp(pairs.gradients[run.own] + guard_gradients)


def _gradients_among_previous(
    run: _Run, moving: torch.Tensor, items: list[int], iteration: int, previous: torch.Tensor
) -> tuple[torch.Tensor, float, AngleStatistics, torch.Tensor]:
    """The same with the others where they were one pass before, which is known: one pass serves everything."""
    settings, own = run.settings, run.own
    others, _ = unit_and_norms(previous)
    guard: dict[int, torch.Tensor] = {}  # energies of each batch, by its first row: a batch may be tried again, smaller

    def gradients_of(rows: slice, embeddings: torch.Tensor) -> torch.Tensor:
        _, gradients = neighbour_repulsion(
            *(embeddings, others, own.start + rows.start, settings.repulsion_coefficient, settings.repulsion_radius),
            unit=True,
        )
        guard[rows.start], guard_gradients = run.guard(embeddings)
        return gradients + guard_gradients

    embeddings, gradients = run.batched.embed_and_differentiate(moving, gradients_of, items, iteration)
    embeddings = run.checked(embeddings, iteration)
    pairs, angles = pairwise_energies(
        embeddings, settings.repulsion_coefficient, settings.repulsion_radius, settings.ict, group=run.group
    )
    return embeddings, run.energy(pairs, torch.cat(list(guard.values()))), angles, gradients
