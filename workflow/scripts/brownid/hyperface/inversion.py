"""Latents of a generator whose faces have given embeddings, by gradient descent, and where it starts."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brownid.dynamics.steps import as_arrays, summary
from brownid.embeddings.angles import angles_to, attraction_gradient, check_widths, unit_and_norms
from brownid.embeddings.neighbours import nearest
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import generator_latent_std, random_latents
from brownid.facemodel.model import FaceModel, GeneratorFaceModel
from brownid.hyperface.settings import InversionSettings, LatentOptimizationSettings
from brownid.jobs.distributed import SINGLE, ProcessGroup, gather, own_rows
from brownid.jobs.iteration import Tensors, iterate
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import adam, fit_ridge
from brownid.runtime.precision import check_matrix
from brownid.runtime.process import logger, progress
from brownid.samples.collection import SampleCollection

STATISTICS = (
    *("angle_min", "angle_avg", "angle_max", "wavg_min", "wavg_avg", "wavg_max"),
    *("loss_avg", "learning_rate", "identities"),
)


@dataclass(frozen=True)
class Inversion:
    """Result of an inversion. `statistics[name][t]` describes iteration t before its update, over all attempts."""

    latents: Tensor  # [n, D], of the best attempt of each identity
    embeddings: Tensor  # [n, E], computed from these latents
    angles: Tensor  # [n], radians between the embedding reached and the target
    attempts: Tensor  # [n], int64: which attempt it was
    statistics: dict[str, np.ndarray]  # name -> [iterations], float64


def invert(
    model: FaceModel,
    targets: Tensor,
    starts: Tensor,
    settings: LatentOptimizationSettings,
    *,
    seed: int,
    items: Sequence[int] | None = None,
    latent_std: float | None = None,
    batch_size: int = 64,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE,
) -> Inversion:
    """The latents whose embeddings point at `targets`; the element type and device of the starts are kept.

    Every row has its own loss and its own Adam statistics, so that its result depends neither on the other rows and
    their order nor on batch size and processes. The result is what the last update leaves, embedded again.

    Args:
        model: the face model; `embed` is called on at most `batch_size` latents at a time, on fewer where the memory
            runs out.
        targets: x `[n,E]`, of any length but zero.
        starts: `[n,D]`, or several attempts of each identity `[n,attempts,D]`.
        seed: of the generator's own noise maps, if it has any, which the items address.
        items: item numbers of the n rows (identities, or `randomness.image_items`), default 0 … n−1.
        latent_std: root mean square distance of the generator's latents from their mean, the unit of the latent
            term; needed where `settings.latent_weight` is not 0.
        state: where to keep what an interrupted run goes on from.
        group: the processes that share the work; all call this with the same arguments and get the same result.

    Returns:
        Latents, embeddings, angles, and statistics: `angle_*` to the target (radians), `wavg_*` distance to the mean
        latent, `loss_avg`, `learning_rate`, and `identities`, the number of rows: attempts of all identities.

    Raises:
        BrownidError: wrong shapes or values; an embedding or gradient that is not finite; a state of other settings.
    """
    mean = model.latent_mean.to(starts)
    attempts = starts[:, None] if starts.dim() == 2 else starts
    check_matrix("starts", attempts, (None, None, len(mean)))
    count, tries = attempts.shape[:2]
    items = list(range(count)) if items is None else [int(item) for item in items]
    _check(targets, count, items, settings.latent_weight, latent_std)
    if group.size > count * tries:
        raise BrownidError(f"{group.size} processes cannot share {count * tries} latents; take fewer processes.")
    if state is not None:
        # which identities are left out at the end does not change the optimization
        state = state.of_run(
            algorithm="inversion",
            settings=asdict(replace(settings, maximum_angle=None)),
            latent_std=latent_std,
            seed=seed,
            items=items,
        )
    owners = torch.arange(count, device=starts.device).repeat_interleave(tries)
    latent_coefficient = 2 * settings.latent_weight / latent_std**2 if settings.latent_weight and latent_std else 0.0
    rows = own_rows(group, len(owners))
    run = _Run(
        *(
            BatchedFaceModel(model, batch_size, seed),
            settings,
            group,
            mean,
            latent_coefficient,
            targets.to(starts)[owners],
            rows,
        ),
        items=[item for item in items for _ in range(tries)],
    )
    first = attempts.detach().flatten(0, 1).clone(memory_format=torch.contiguous_format)
    end, records = iterate(
        partial(_iterate, run),
        {"latents": first, "first moments": torch.zeros_like(first), "second moments": torch.zeros_like(first)},
        settings.iterations,
        STATISTICS,
        description="inversion",
        given={"targets": targets, "starting latents": first},
        state=state,
        group=group,
    )
    own = run.batched.embed(end["latents"][rows], run.items[rows])
    embeddings = run.checked(own, "embedding", settings.iterations)
    angles, best = angles_to(embeddings, run.targets).view(count, tries).min(dim=1)
    kept = best + tries * torch.arange(count, device=best.device)
    return Inversion(end["latents"][kept], embeddings[kept], angles, best, as_arrays(records, STATISTICS))


def _check(targets: Tensor, count: int, items: Sequence[int], latent_weight: float, latent_std: float | None) -> None:
    """Refuse what does not fit `count` starts, and a latent term without its unit."""
    check_targets(targets)
    if len(targets) != count:
        raise BrownidError(f"{len(targets)} targets cannot be reached from {count} starts: give a start for each.")
    if len(items) != count:
        raise BrownidError(f"There are {len(items)} item numbers for {count} targets; give one for each.")
    if latent_weight and not (latent_std is not None and 0 < latent_std < math.inf):
        raise BrownidError(
            f"latent_weight is {latent_weight}, but latent_std, its unit, is {latent_std}; give a positive number."
        )


def check_targets(targets: Tensor) -> None:
    """Refuse target embeddings `[n,E]` that give no direction: not finite, or zero."""
    check_matrix("targets", targets, (None, None))
    zero = (torch.linalg.vector_norm(targets, dim=1) == 0).nonzero()
    if len(zero):
        raise BrownidError(
            f"The target embedding in row {int(zero[0])} is zero, which is no direction; correct or leave out that row."
        )


def reached(angles: Tensor, settings: LatentOptimizationSettings, items: Sequence[object]) -> list[int]:
    """The rows whose angle to the target is at most `settings.maximum_angle`; a warning counts the others and names the
    worst of the `items`, which are numbers or names of the rows.

    Raises BrownidError where there is none.
    """
    limit = math.inf if settings.maximum_angle is None else settings.maximum_angle
    rows = (angles <= limit).nonzero()[:, 0].tolist()
    if not rows:
        raise BrownidError(
            f"None of {len(angles)} embeddings was reached within maximum_angle {limit:.3f}: the smallest angle is "
            f"{float(angles.min()):.3f} radians. Raise maximum_angle or iterations, change learning_rate, or lower "
            "latent_weight."
        )
    if len(rows) < len(angles):
        worst = int(angles.argmax())
        logger.warning(
            "%d of %d embeddings, not reached within %.3f radians, are left out; the worst is that of %s with %.3f",
            *(len(angles) - len(rows), len(angles), limit, items[worst], float(angles[worst])),
        )
    return rows


@dataclass(frozen=True)
class _Run:
    """Constants of a run; a row is an attempt of an identity."""

    batched: BatchedFaceModel
    settings: LatentOptimizationSettings
    group: ProcessGroup
    mean: Tensor  # [D]
    latent_coefficient: float  # the latent term's gradient is this times (w − w̄)
    targets: Tensor  # [rows, E]
    own: slice  # the rows that this process moves
    items: list[int]  # [rows]

    def checked(self, own_rows: Tensor, what: str, iteration: int) -> Tensor:
        """The rows of all processes; only here are they checked, so that all stop together."""
        rows = gather(self.group, own_rows, len(self.items))
        wrong = (~rows.isfinite().all(dim=1)).nonzero()
        if len(wrong):
            raise BrownidError(
                f"The {what} of item {self.items[int(wrong[0])]} is not finite in iteration {iteration} of the "
                "inversion. Take a smaller learning_rate; if it happens in iteration 0, look for bad weights in the "
                "generator or the face-recognition network."
            )
        return rows


def _iterate(run: _Run, tensors: Tensors, iteration: int) -> tuple[Tensors, dict[str, float]]:
    """The tensors after one iteration, and the statistics before it."""
    settings, own = run.settings, run.own
    latents, first, second = (tensors[name][own] for name in ("latents", "first moments", "second moments"))
    targets = run.targets[own]

    def gradients_of(rows: slice, embeddings: Tensor) -> Tensor:
        return attraction_gradient(embeddings, targets[rows], 4.0)  # its energy is a quarter of this times d²

    embeddings, gradients = run.batched.embed_and_differentiate(latents, gradients_of, run.items[own], iteration)
    offsets = latents - run.mean
    rate = settings.rate_at(iteration)
    moved = adam(latents, gradients + run.latent_coefficient * offsets, (first, second), iteration, rate)
    lengths = torch.linalg.vector_norm(offsets, dim=1)
    sizes = torch.stack([angles_to(embeddings, targets), lengths, torch.linalg.vector_norm(gradients, dim=1)], dim=1)
    angles, lengths, _ = run.checked(sizes, "embedding or its gradient", iteration).unbind(1)
    losses = angles.double().square() + run.latent_coefficient / 2 * lengths.double().square()
    record = {
        **summary("angle", angles),
        **summary("wavg", lengths),
        "loss_avg": float(losses.mean()),
        "learning_rate": rate,
        "identities": float(len(losses)),
    }
    return {name: gather(run.group, part, len(losses)) for name, part in zip(tensors, moved, strict=True)}, record


PURPOSES = {"start": "references/start", "gallery": "hyperface/gallery"}
BLOCK = 1024  # faces between two steps of the progress bar
RIDGE_PENALTY = 1e-3  # in units of the variance of the embeddings


def draw_faces(
    model: GeneratorFaceModel, label: str, count: int, truncation: float, seed: int, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Latents `[count, D]` and embeddings `[count, E]` of the random faces with a label."""
    batched = BatchedFaceModel(model, batch_size, seed)
    latents = random_latents(model.generator, range(count), truncation, seed, purpose=PURPOSES[label])
    blocks = [range(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]
    shown = progress(blocks, f"{label} faces", "block")
    return latents, torch.cat([batched.embed(latents[block.start : block.stop], block) for block in shown])


def load_faces(
    path: Path, label: str, *, count: int | None = None, columns: Collection[str] = ("embeddings",)
) -> SampleCollection:
    """The faces of a label in what `embed_faces` wrote; any other collection serves as a whole.

    `columns` are what is read and must be there, `count` takes the first ones, and raises `BrownidError` where there
    are fewer.
    """
    collection = SampleCollection.load(path, columns=columns)
    if label in collection.label_codes[1]:
        collection = collection.of_label(label)
    if count is not None:
        if len(collection) < count:
            remedy = ", or set gallery_size to what there is" if label == "gallery" else ""
            raise BrownidError(
                f"{path} has {len(collection)} embeddings, but {count} are needed as {label}: make it larger, ask for "
                f"fewer identities{remedy}."
            )
        collection = collection.rows(range(count))
    try:
        return collection.require(*columns)
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None


def search(
    model: GeneratorFaceModel,
    wanted: SampleCollection,
    gallery: SampleCollection,
    inversion: InversionSettings,
    *,
    seed: int,
    batch_size: int,
    state: StateFile | None = None,
    group: ProcessGroup = SINGLE,
) -> Inversion:
    """The latents whose embeddings point at those of `wanted`, from starts that the faces of `gallery` give."""
    latents = torch.from_numpy(gallery.latents).to(model.latent_mean)
    aims = torch.from_numpy(wanted.embeddings).to(model.latent_mean)
    return invert(
        model,
        aims,
        starting_latents(aims, latents, torch.from_numpy(gallery.embeddings).to(latents), inversion),
        inversion,
        seed=seed,
        items=wanted.identities.tolist(),
        latent_std=generator_latent_std(model.generator, seed),
        batch_size=batch_size,
        state=state,
        group=group,
    )


def found_references(
    settings: Mapping[str, Any], wanted: SampleCollection, found: Inversion, kept: list[int]
) -> SampleCollection:
    """The rows of `wanted` that are kept, with what was found for them, their targets and the angles to these."""
    return SampleCollection(
        latents=found.latents[kept],
        embeddings=found.embeddings[kept],
        identities=wanted.identities[kept],
        labels=[wanted.labels[row] for row in kept],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        extra={"target_embedding": wanted.columns()["embeddings"][kept], "target_angle": found.angles[kept]},
        settings=settings,
    )


def starting_latents(targets: Tensor, latents: Tensor, embeddings: Tensor, settings: InversionSettings) -> Tensor:
    """The starts `[n, attempts, D]` for targets `[n,E]`, from random faces: latents `[m,D]` and embeddings `[m,E]`.

    With `start: gallery`, the latents of the nearest random faces, the nearest first. With `regression`, the guess of
    a ridge regression from unit embeddings to latents, learned on the random faces, and then the nearest of these.
    """
    check_targets(targets)
    check_matrix("latents of the random faces", latents, (None, None))
    check_matrix("embeddings of the random faces", embeddings, (len(latents), None))
    check_widths(targets, embeddings)
    guessed = settings.start == "regression"
    neighbours = settings.attempts - guessed
    if neighbours > len(latents):
        raise BrownidError(
            f"InversionSettings.attempts is {settings.attempts}, which needs {neighbours} random faces to start from, "
            f"but there are {len(latents)}; take fewer attempts or more faces."
        )
    targets = targets.to(latents)
    parts = [latents[nearest(targets, embeddings.to(latents), neighbours).rows]]
    if guessed:
        weight, bias = fit_ridge([unit_and_norms(embeddings)[0]], latents, RIDGE_PENALTY)
        guess = unit_and_norms(targets)[0] @ weight.to(latents) + bias.to(latents)
        parts.insert(0, guess[:, None])
    return torch.cat(parts, dim=1)
