"""Baselines for references: drawn at random, drawn until far enough from all others, and the latter with a push.

Those of Geissbühler et al., ICML 2025. Candidates are numbered 0, 1, 2, … and `draw(numbers)` returns their latents,
each from its own number alone. Accepted are the first that qualify in this order, whatever the batch size.
With nuisance directions, candidates and their moves are projected on the complement of these, as in Langevin.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from brownid.dynamics.settings import RejectSettings, RepulseSettings
from brownid.dynamics.steps import NuisanceProjection, as_arrays, finite_norms, pairwise_statistics
from brownid.embeddings.angles import angles_to, fixed_repulsion, scaled_cosines
from brownid.embeddings.neighbours import nearest
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.model import FaceModel
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import check_matrix
from brownid.runtime.process import progress

Draw = Callable[[Sequence[int]], torch.Tensor]


@dataclass(frozen=True)
class BaselineResult:
    """References with the statistics of `pairwise_statistics`, as arrays of one value."""

    latents: torch.Tensor  # [N,D]
    embeddings: torch.Tensor  # [N,E], computed from these latents
    statistics: dict[str, np.ndarray]  # name -> [1]; `candidates` = how many were looked at
    candidates: list[int]  # [N], the candidate number of each reference


def random_references(
    model: FaceModel,
    draw: Draw,
    count: int,
    *,
    ict: float = 1.4,
    nuisance_directions: torch.Tensor | None = None,
    batch_size: int = 64,
    seed: int | None = None,
) -> BaselineResult:
    """The first `count` candidates; `ict` only enters the statistics, `seed` only a generator's random noise maps."""
    batched = _batched(model, count, batch_size, seed)
    projection = NuisanceProjection(nuisance_directions, model.latent_mean)
    batches = [range(first, min(first + batch_size, count)) for first in range(0, count, batch_size)]
    latents = [_checked_draw(model, draw, batch, projection) for batch in batches]
    pairs = zip(latents, batches, strict=True)
    embeddings = [batched.embed(batch, list(items)) for batch, items in progress(pairs, "random", total=len(batches))]
    return _result(model, list(range(count)), torch.cat(latents), torch.cat(embeddings), ict, count)


def reject_references(
    model: FaceModel,
    draw: Draw,
    count: int,
    settings: RejectSettings,
    *,
    fixed_embeddings: torch.Tensor | None = None,
    nuisance_directions: torch.Tensor | None = None,
    batch_size: int = 64,
) -> BaselineResult:
    """The first `count` candidates that are farther than the ICT from all accepted before them.

    Raises BrownidError where too few qualify within `settings.candidates_per_reference` × `count` candidates.
    """
    still = RepulseSettings(**vars(settings), steps=0)
    projection = NuisanceProjection(nuisance_directions, model.latent_mean)
    return _collect(_batched(model, count, batch_size), draw, count, still, fixed_embeddings, projection, "reject")


def repulse_references(
    model: FaceModel,
    draw: Draw,
    count: int,
    settings: RepulseSettings,
    *,
    fixed_embeddings: torch.Tensor | None = None,
    nuisance_directions: torch.Tensor | None = None,
    batch_size: int = 64,
) -> BaselineResult:
    """Like `reject_references`, but a candidate too close first moves by −∂U/∂w, up to `settings.steps` times.

    U is Langevin's repulsion from the accepted references and the fixed embeddings; a candidate stops as soon as it is
    far enough from all of them.
    """
    projection = NuisanceProjection(nuisance_directions, model.latent_mean)
    return _collect(_batched(model, count, batch_size), draw, count, settings, fixed_embeddings, projection, "repulse")


class _Reference(NamedTuple):
    candidate: int
    latent: torch.Tensor  # [D]
    embedding: torch.Tensor  # [E]


class _Trial(NamedTuple):
    """Candidates after their moves among the references accepted so far."""

    latents: torch.Tensor  # [B,D]
    embeddings: torch.Tensor  # [B,E]
    free: torch.Tensor  # [B], whether far enough from all in the end
    moves: torch.Tensor  # [B], number of moves made
    path: list[tuple[torch.Tensor, torch.Tensor]]  # for each move: who moved [m], and from which embeddings [m,E]


def _collect(
    batched: BatchedFaceModel,
    draw: Draw,
    count: int,
    settings: RepulseSettings,
    fixed_embeddings: torch.Tensor | None,
    projection: NuisanceProjection,
    name: str,
) -> BaselineResult:
    limit = count * settings.candidates_per_reference
    accepted = _accepted(batched, draw, limit, settings, fixed_embeddings, projection)
    found = list(progress(islice(accepted, count), name, total=count))
    if len(found) < count:
        raise BrownidError(
            f"`{name}` found only {len(found)} of {count} references farther than {settings.ict:g} rad from each other "
            f"among {limit} candidates; lower ict or the number of references, "
            "or raise candidates_per_reference."
        )
    candidates, latents, embeddings = zip(*found, strict=True)
    return _result(
        batched.model, list(candidates), torch.stack(latents), torch.stack(embeddings), settings.ict, candidates[-1] + 1
    )


def _accepted(
    batched: BatchedFaceModel,
    draw: Draw,
    limit: int,
    settings: RepulseSettings,
    fixed_embeddings: torch.Tensor | None,
    projection: NuisanceProjection,
) -> Iterator[_Reference]:
    """The references in the order in which trying one candidate after the other accepts them.

    A batch of candidates moves among the references accepted before it. That is what each would have done in its turn,
    unless one accepted earlier in the same batch would have pushed or stopped it; from the first such candidate on, the
    batch is tried again. The batch shrinks while this happens often.
    """
    accepted: list[torch.Tensor] = []
    first, width = 0, batched.batching.size
    while first < limit:
        numbers = range(first, min(first + width, limit))
        drawn = _checked_draw(batched.model, draw, numbers, projection)
        trial = _try(batched, drawn, accepted, fixed_embeddings, settings, projection, first)
        pushed = torch.zeros_like(trial.free)
        near = torch.zeros_like(trial.free)
        free, fast = torch.stack([trial.free, trial.moves < settings.steps]).tolist()  # a GPU is waited for
        pushes, nears = [False] * len(numbers), [False] * len(numbers)
        decided = len(numbers)
        for place, number in enumerate(numbers):
            if pushes[place] or (free[place] and nears[place] and fast[place]):
                decided = place
                break
            if not free[place] or nears[place]:
                continue
            embedding = trial.embeddings[place]
            accepted.append(embedding)
            yield _Reference(number, trial.latents[place], embedding)
            near |= _angles(trial.embeddings, embedding) <= settings.ict
            for movers, embeddings in trial.path:
                pushed[movers] |= _angles(embeddings, embedding) < settings.repulsion_radius
            pushes, nears = torch.stack([pushed, near]).tolist()
        first += decided
        width = min(batched.batching.size, 2 * decided)


def _try(
    batched: BatchedFaceModel,
    latents: torch.Tensor,
    accepted: list[torch.Tensor],
    fixed_embeddings: torch.Tensor | None,
    settings: RepulseSettings,
    projection: NuisanceProjection,
    first: int,
) -> _Trial:
    """Move candidates `[B,D]`, each by itself, until far enough from those accepted and the fixed embeddings."""
    latents = latents.clone()
    others = torch.stack(accepted) if accepted else None
    fixed = None if fixed_embeddings is None else fixed_embeddings.to(latents)
    numbers = range(first, first + len(latents))
    moves = torch.zeros(len(latents), dtype=torch.int64, device=latents.device)
    path = []
    embeddings = batched.embed(latents)
    finite_norms(embeddings, 0, numbers, what="embedding")
    free = _far(embeddings, others, fixed, settings)
    for step in range(settings.steps):
        movers = (~free).nonzero()[:, 0]
        if not len(movers):
            break
        path.append((movers, embeddings[movers]))
        forces = projection.steps(-_gradient(batched, latents[movers], others, fixed, settings))
        finite_norms(forces, step, [numbers[mover] for mover in movers.tolist()])
        latents[movers] += forces
        moves[movers] += 1
        embeddings[movers] = batched.embed(latents[movers])
        free[movers] = _far(embeddings[movers], others, fixed, settings)
    return _Trial(latents, embeddings, free, moves, path)


def _gradient(
    batched: BatchedFaceModel,
    latents: torch.Tensor,
    others: torch.Tensor | None,
    fixed: torch.Tensor | None,
    settings: RepulseSettings,
) -> torch.Tensor:
    """∂U/∂w `[B,D]` of candidates `[B,D]`."""
    embeddings, vjp = batched.embed_with_vjp(latents)
    gradients = torch.zeros_like(embeddings)
    for targets, radius in ((others, settings.repulsion_radius), (fixed, settings.fixed_distance)):
        if targets is not None:
            gradients += fixed_repulsion(embeddings, targets, settings.repulsion_coefficient, radius)[1]
    return vjp(gradients)


def _far(
    embeddings: torch.Tensor, others: torch.Tensor | None, fixed: torch.Tensor | None, settings: RejectSettings
) -> torch.Tensor:
    """Mask `[B]` of embeddings that keep the required distances."""
    far = torch.ones(len(embeddings), dtype=torch.bool, device=embeddings.device)
    for targets, distance in ((others, settings.ict), (fixed, settings.fixed_distance)):
        if targets is not None:
            far &= torch.acos(scaled_cosines(nearest(embeddings, targets).cosines[:, 0])) > distance
    return far


def _angles(embeddings: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """Angles `[B]` of embeddings `[B,E]` to one `[E]`."""
    return angles_to(embeddings, embedding.expand_as(embeddings))


def _batched(model: FaceModel, count: int, batch_size: int, seed: int | None = None) -> BatchedFaceModel:
    if count < 1:
        raise BrownidError(f"{count} references are wanted, but it must be at least 1.")
    return BatchedFaceModel(model, batch_size, seed)


def _checked_draw(model: FaceModel, draw: Draw, numbers: range, projection: NuisanceProjection) -> torch.Tensor:
    latents = draw(numbers)
    check_matrix("the drawn latents", latents, (len(numbers), len(model.latent_mean)))
    return projection.latents(latents.detach())


def _result(
    model: FaceModel,
    candidates: list[int],
    latents: torch.Tensor,
    embeddings: torch.Tensor,
    ict: float,
    drawn: int,
) -> BaselineResult:
    record = pairwise_statistics(latents, embeddings, model.latent_mean.to(latents), ict) | {"candidates": float(drawn)}
    return BaselineResult(latents, embeddings, as_arrays([record], list(record)), candidates)
