"""Vary identities: Dispersion, DisCo, or editing along the covariates; one shard of identities at a time."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.covariates.editing import EditingSettings, directions, edit_references
from brownid.covariates.store import load_covariates
from brownid.dynamics.dispersion import DispersionSettings, dispersion, variation_label
from brownid.dynamics.passes import Passes
from brownid.dynamics.potentials import angles_to
from brownid.dynamics.statistics import spread
from brownid.files import sha256
from brownid.jobs.models import generator_checksums, load_face_model
from brownid.jobs.sharding import shard_of
from brownid.jobs.states import open_state
from brownid.randomness import image_items
from brownid.recognition.facemodel import FaceModel
from brownid.resuming import StateFile
from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import save_statistics


def vary_references(
    settings: Mapping[str, Any],
    *,
    references: Path,
    weights: Path,
    covariates: Path | None,
    shard: int,
    shards: int,
    samples: Path,
    statistics: Path,
    batch_size: int = 64,
    state: Path | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
) -> None:
    """Write the variations of the identities of one shard (1 to `shards`), and their statistics.

    Dispersion and DisCo go on from the folder `state`, this shard's own, where an interrupted job of the same `code`,
    settings and inputs left something, and save there as often as `saving` (`iterations`, `minutes`) says.
    """
    resuming = None
    if state is not None:
        roles = {"references": references, "weights": weights, "covariates": covariates}
        inputs = {name: path and sha256(path) for name, path in roles.items()}
        inputs["generator"] = generator_checksums(settings)
        belongs_to = {"settings": settings, "code": code, "inputs": inputs, "shard": f"{shard} of {shards}"}
        resuming = open_state(state, belongs_to, saving)
    model = load_face_model(settings, weights)
    everybody = np.unique(SampleCollection.load(references, columns=()).identities)
    chosen = SampleCollection.load(references, identities=shard_of(everybody, shard, shards), required=True)
    latents, embeddings, labels, measured = _run(settings, model, chosen, covariates, batch_size, resuming)
    count = len(labels)
    SampleCollection(
        latents=latents.flatten(0, 1),
        embeddings=embeddings.flatten(0, 1),
        identities=np.repeat(chosen.identities, count),
        labels=labels * len(chosen),
        generator=chosen.generator,
        recognition=chosen.recognition,
        settings=settings,
    ).save(samples)
    save_statistics(statistics, measured)
    if state is not None:
        shutil.rmtree(state, ignore_errors=True)


def _run(
    settings: Mapping[str, Any],
    model: FaceModel,
    references: SampleCollection,
    covariates: Path | None,
    batch_size: int,
    state: StateFile | None,
) -> tuple[torch.Tensor, torch.Tensor, list[str], Mapping[str, np.ndarray]]:
    """Latents `[N,n,D]`, embeddings `[N,n,E]`, the n labels, statistics."""
    entry = settings["variations"]
    latents = torch.from_numpy(references.latents).to(model.latent_mean)
    targets = torch.from_numpy(references.embeddings).to(model.latent_mean)
    fitted = None if covariates is None else load_covariates(covariates, generator=settings["generator_name"])
    if entry["algorithm"] == "covariates":
        edited, labels = edit_references(references.latents, fitted, EditingSettings(**entry["settings"]))
        edited = torch.from_numpy(edited).to(latents)
        images = image_items(np.repeat(references.identities, len(labels)), labels * len(references))
        passes = Passes(model, batch_size, settings["seed"])
        embeddings = passes.embed(edited.flatten(0, 1), images).unflatten(0, edited.shape[:2])
        return edited, embeddings, labels, _editing_statistics(embeddings, targets)
    moves = None
    if entry["algorithm"] == "disco":
        moves = torch.from_numpy(directions(fitted, entry["covariate_scales"])).to(latents)
    result = dispersion(
        model,
        latents,
        targets,
        DispersionSettings(**entry["settings"]),
        seed=settings["seed"],
        items=references.identities.tolist(),
        covariates=moves,
        batch_size=batch_size,
        state=state,
    )
    labels = [variation_label(number) for number in range(result.latents.shape[1])]
    return result.latents, result.embeddings, labels, result.statistics


def _editing_statistics(embeddings: torch.Tensor, targets: torch.Tensor) -> dict[str, np.ndarray]:
    """The angles to the references, as arrays of one value."""
    angles = angles_to(embeddings.flatten(0, 1), targets.repeat_interleave(embeddings.shape[1], dim=0))
    measured = {**spread("dist", angles), "identities": float(len(targets))}
    return {name: np.array([value]) for name, value in measured.items()}
