"""The random faces that a packing and an inversion start from, and the search for latents that begins at these."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brownid.dynamics.checks import check_matrix
from brownid.dynamics.passes import BatchedFaceModel
from brownid.dynamics.potentials import TILE, check_widths, unit_rows
from brownid.dynamics.share import SINGLE, ProcessGroup
from brownid.errors import BrownidError
from brownid.hypersphere.inversion import Inversion, check_targets, invert
from brownid.hypersphere.settings import InversionSettings
from brownid.jobs.drawing import generator_spread, random_latents
from brownid.recognition.facemodel import GeneratorFaceModel
from brownid.resuming import StateFile
from brownid.ridge import fit_ridge
from brownid.runtime import progress
from brownid.samples.collection import SampleCollection

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
        latent_spread=generator_spread(model.generator, seed),
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
        extra={"target_embedding": wanted.embeddings[kept], "target_angle": found.angles[kept]},
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
    parts = [latents[nearest_rows(targets, embeddings.to(latents), neighbours)]]
    if guessed:
        weight, bias = fit_ridge([unit_rows(embeddings)[0]], latents, RIDGE_PENALTY)
        guess = unit_rows(targets)[0] @ weight.to(latents) + bias.to(latents)
        parts.insert(0, guess[:, None])
    return torch.cat(parts, dim=1)


def nearest_rows(embeddings: Tensor, others: Tensor, count: int, *, tile: int = TILE) -> Tensor:
    """The rows `[n, count]` of the `count` nearest of `others` `[m,E]` for embeddings `[n,E]`, the nearest first.

    Memory is a few tiles beside the result, never n × m.
    """
    unit, targets = unit_rows(embeddings)[0], unit_rows(others)[0]
    found = []
    for own in unit.split(tile):
        best, rows = own.new_empty(len(own), 0), torch.empty(len(own), 0, dtype=torch.int64, device=own.device)
        for first in range(0, len(targets), tile):
            cosines = own @ targets[first : first + tile].T
            places = torch.arange(first, first + cosines.shape[1], device=own.device).expand_as(cosines)
            cosines, rows = torch.cat([best, cosines], dim=1), torch.cat([rows, places], dim=1)
            best, order = cosines.topk(min(count, cosines.shape[1]), dim=1)
            rows = rows.gather(1, order)
        found.append(rows)
    return torch.cat(found)
