"""Dispersion: variations of each identity that stay near its embedding while they repel each other in latent space.

Algorithms "Dispersion" and "DisCo" of Geissbühler et al., ICML 2025; for the n variations a of one identity
    U = Σ_a k_e/4 · d(e_a,e_ref)² + Σ_{a<b} k_w/2 · max(0, r_w − ‖w_a−w_b‖)²
    w_a ← w_a + (Δt/μ) (−∂U/∂w_a + k_g (w̄ − w_a) + η₀ ξ)        (noise scales with Δt, not √Δt)
starting from w_a = w_ref + s0 ξ, and for DisCo from w_ref + s0 ξ + Σ_m u_m v_m with u_m ~ U(−½, ½).

Within-class variations start from w_ref + s0 ξ + s C_w^{1/2} ζ, ζ ~ N(0, I): C_w is the within-class covariance (of LDA
and PLDA) of the latents of projected photographs, in its leading directions.

Identities do not act on each other, and each has its own random numbers and its own automatic timestep: any part of
them gives the same result as all of them together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch

from brownid.dynamics.settings import DispersionSettings, WithinClassSettings
from brownid.dynamics.steps import advance, as_arrays, clip_forces, finite_norms, summary, timesteps
from brownid.embeddings.angles import angles_to, attraction_gradient, latent_repulsion
from brownid.embeddings.pairwise import angles_within
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.model import FaceModel
from brownid.jobs.distributed import SINGLE
from brownid.jobs.iteration import Tensors, iterate
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import check_matrix
from brownid.runtime.randomness import check_items, image_items, normal, normal_ahead, uniform
from brownid.samples.collection import variation_label

STATISTICS = (
    *("dist_min", "dist_avg", "dist_max", "refd_min", "refd_avg", "refd_max"),
    *("w2wd_min", "w2wd_avg", "w2wd_max", "wavg_avg"),
    *(f"{force}_{kind}" for force in ("intf", "rndf", "latf", "totf") for kind in ("min", "avg", "max")),
    *("energy", "timestep", "identities"),
)


@dataclass(frozen=True)
class DispersionResult:
    """Result of a run. `statistics[name][t]` describes iteration t before its update: the state it started from, the
    forces there, and the timestep it then took. `merge_statistics` joins those of several shards."""

    latents: torch.Tensor  # [N,n,D]
    embeddings: torch.Tensor  # [N,n,E], computed from these latents
    statistics: dict[str, np.ndarray]  # name -> [iterations], float64


def dispersion_start(
    references: torch.Tensor,
    settings: DispersionSettings,
    *,
    seed: int,
    items: Sequence[int] | None = None,
    covariates: torch.Tensor | None = None,
    within_class: torch.Tensor | None = None,
) -> torch.Tensor:
    """The start `[N,n,D]` around references `[N,D]`: w_ref + s0 ξ, for DisCo + Σ_m u_m v_m, or + s C_w^{1/2} ζ.

    `covariates` holds the M directions v_m `[M,D]`; u_m ~ U(−½, ½) is drawn for each variation. `within_class` holds
    the root of C_w `[r,D]`, its r leading eigenvectors times the square roots of their eigenvalues; ζ ~ N(0, I_r) is
    drawn for each variation, and the settings must be `WithinClassSettings`, which have the scale s.
    """
    items = check_items(items, len(references))
    _check_start(settings, covariates, within_class)
    count, dimension = settings.variations, references.shape[1]
    start = references[:, None] + settings.initial_noise * normal(
        seed, "dispersion/initial", items, (count, dimension)
    ).to(references)
    if covariates is not None:
        check_matrix("covariates", covariates, (None, dimension))
        amplitudes = uniform(seed, "dispersion/covariates", items, (count, len(covariates))) - 0.5
        start = start + amplitudes.to(references) @ covariates.to(references)
    if within_class is not None and isinstance(settings, WithinClassSettings):
        check_matrix("within_class", within_class, (None, dimension))
        deviations = normal(seed, "dispersion/within_class", items, (count, len(within_class))).to(references)
        start = start + settings.within_class_scale * deviations @ within_class.to(references)
    return start


def _check_start(
    settings: DispersionSettings, covariates: torch.Tensor | None, within_class: torch.Tensor | None
) -> None:
    if covariates is not None and within_class is not None:
        raise BrownidError("`covariates` are DisCo's start, `within_class` is another: give one of the two.")
    if isinstance(settings, WithinClassSettings) != (within_class is not None):
        raise BrownidError(
            "WithinClassSettings and `within_class`, the root of the within-class covariance, belong together: give "
            "both or neither."
        )


def _given_start(
    initial: torch.Tensor,
    references: torch.Tensor,
    settings: DispersionSettings,
    directions: Mapping[str, torch.Tensor | None],
) -> torch.Tensor:
    """A copy of the start `[N,n,D]` that was given; refused with `directions` of a random one."""
    if any(value is not None for value in directions.values()):
        raise BrownidError(
            "`covariates` and `within_class` shape the random start, which `initial` replaces: give one of the two."
        )
    check_matrix("initial", initial, (len(references), settings.variations, references.shape[1]))
    return initial.detach().to(references, copy=True)


def dispersion(
    model: FaceModel,
    references: torch.Tensor,
    reference_embeddings: torch.Tensor,
    settings: DispersionSettings,
    *,
    seed: int,
    items: Sequence[int] | None = None,
    initial: torch.Tensor | None = None,
    covariates: torch.Tensor | None = None,
    within_class: torch.Tensor | None = None,
    batch_size: int = 64,
    state: StateFile | None = None,
) -> DispersionResult:
    """Run Dispersion, DisCo (`covariates`) or within-class variations (`within_class`, with `WithinClassSettings`).

    The element type and device of the references are kept.

    Args:
        model: the face model; `embed` is called on at most `batch_size` latents at a time, on fewer where the memory
            runs out.
        references: w_ref `[N,D]`.
        reference_embeddings: e_ref `[N,E]`.
        seed: of start and noise, which are addressed by (seed, identity, iteration) and by nothing else.
        items: global identity numbers of the N rows, default 0 … N−1; a shard passes those of its identities.
        initial: start `[N,n,D]` instead of the random one.
        covariates: DisCo's directions v_m `[M,D]` for the random start.
        within_class: root of the within-class covariance `[r,D]` for the random start, `WithinClass.root(share)`.
        state: where to keep what an interrupted run goes on from.

    Returns:
        Latents, embeddings and statistics: `dist_*` angle (radians) and `w2wd_*` latent distance between two variations
        of one identity; `refd_*` angle to the reference; `wavg_avg` mean distance to the mean latent; norms over the
        latent dimension of the forces, grouped as the authors do: `intf` that of the embedding term, `latf` those of
        the latent repulsion and k_g(w̄−w) together, `rndf` η₀ξ, `totf` all of them, clipped where there is a clip;
        `energy` summed over identities; `timestep`, mean over identities; `identities`, their number.

    Raises:
        BrownidError: wrong shapes or values; an embedding or force that is not finite; a state of other settings.
    """
    batched = BatchedFaceModel(model, batch_size, seed)
    mean = model.latent_mean.to(references)
    check_matrix("references", references, (None, len(mean)))
    check_matrix("reference_embeddings", reference_embeddings, (len(references), None))
    targets = reference_embeddings.to(references)
    items = check_items(items, len(references))
    directions = {"covariates": covariates, "within_class": within_class}
    if initial is None:
        latents = dispersion_start(references, settings, seed=seed, items=items, **directions)
    else:
        latents = _given_start(initial, references, settings, directions)
    if state is not None:
        state = state.of_run(algorithm="dispersion", settings=asdict(settings), seed=seed, identities=items)
    count = settings.variations
    images = image_items(np.repeat(items, count), [variation_label(number) for number in range(count)] * len(items))
    run = _Run(batched, mean, targets, settings, seed, items, images)
    end, records = iterate(
        partial(_iterate, run),
        {"latents": latents},
        settings.iterations,
        STATISTICS,
        description="dispersion",
        given={"references": references, "reference embeddings": targets, "starting latents": latents},
        state=state,
        group=SINGLE,
    )
    latents = end["latents"]
    embeddings = batched.embed(latents.flatten(0, 1), images).unflatten(0, latents.shape[:2])
    finite_norms(embeddings, settings.iterations, items, what="embedding")
    return DispersionResult(latents, embeddings, as_arrays(records, STATISTICS))


@dataclass(frozen=True)
class _Run:
    """Constants of a run."""

    batched: BatchedFaceModel
    mean: torch.Tensor  # [D]
    targets: torch.Tensor  # e_ref [N,E]
    settings: DispersionSettings
    seed: int
    items: list[int]  # the identities' numbers
    images: list[int]  # the item numbers of their N·n images

    def attraction(self, latents: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embeddings `[N,n,E]`, their angles to the reference `[N,n]`, and ∂(Σ_a k_e/4 · d²)/∂w `[N,n,D]`.

        The energy of a variation depends on its own embedding alone, so one pass through the model serves both.
        """
        owners = torch.arange(len(latents), device=latents.device).repeat_interleave(latents.shape[1])

        def gradients_of(rows: slice, embeddings: torch.Tensor) -> torch.Tensor:
            return attraction_gradient(embeddings, self.targets[owners[rows]], self.settings.embedding_coefficient)

        embeddings, attraction = self.batched.embed_and_differentiate(
            latents.flatten(0, 1), gradients_of, self.images, iteration
        )
        angles = angles_to(embeddings, self.targets[owners])
        return embeddings.unflatten(0, latents.shape[:2]), angles.view(latents.shape[:2]), attraction.view_as(latents)


def _iterate(run: _Run, tensors: Tensors, iteration: int) -> tuple[Tensors, dict[str, float]]:
    """The latents after one iteration, and the statistics before it."""
    settings, items, latents = run.settings, run.items, tensors["latents"]
    random_force = normal_ahead(latents, run.seed, "dispersion/noise", items, latents.shape[1:], iteration)
    embeddings, angles, attraction = run.attraction(latents, iteration)
    energies, gradients, distances = latent_repulsion(latents, settings.latent_coefficient, settings.latent_radius)
    energy = float(energies.sum()) + settings.embedding_coefficient / 4 * float(angles.double().square().sum())
    interaction = -attraction - gradients
    latent_force = settings.latent_global_coefficient * (run.mean - latents)
    forces = interaction + latent_force
    norms = finite_norms(forces, iteration, items)
    forces, norms = clip_forces(forces, norms, settings.force_clip)
    noise = settings.random_force * random_force()
    closest = distances.amin(dim=1) if settings.variations > 1 else norms.new_full((len(norms),), torch.nan)
    timestep = timesteps(settings.timestep, settings.viscous_coefficient, closest, norms.amax(dim=1))
    record = {
        **summary("dist", angles_within(embeddings)),
        **summary("refd", angles),
        **summary("w2wd", distances),
        **summary("wavg", torch.linalg.vector_norm(latents - run.mean, dim=2)),
        **summary("intf", torch.linalg.vector_norm(attraction, dim=2)),
        **summary("rndf", torch.linalg.vector_norm(noise, dim=2)),
        **summary("latf", torch.linalg.vector_norm(latent_force - gradients, dim=2)),
        **summary("totf", torch.linalg.vector_norm(forces + noise, dim=2)),
        "energy": energy,
        "timestep": summary("timestep", timestep)["timestep_avg"],
        "identities": float(len(latents)),
    }
    step = timestep[:, None, None]
    return {"latents": advance(latents, forces, step * noise, step, settings.viscous_coefficient)}, record
