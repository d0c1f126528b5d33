"""Vary identities: Dispersion, DisCo, or editing along the covariates; one shard of identities at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.covariates.editing import EditingSettings, directions, edit_references
from brownid.covariates.store import load_covariates
from brownid.dynamics.dispersion import DispersionSettings, dispersion
from brownid.dynamics.passes import embed
from brownid.dynamics.potentials import angles_to
from brownid.dynamics.statistics import spread
from brownid.jobs.models import load_face_model
from brownid.jobs.sharding import shard_of
from brownid.recognition.facemodel import FaceModel
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
) -> None:
    """Write the variations of the identities of one shard (1 to `shards`), and their statistics."""
    model = load_face_model(settings, weights)
    everybody = SampleCollection.load(references)
    chosen = everybody.select(shard_of(np.unique(everybody.identities), shard, shards))
    latents, embeddings, labels, measured = _run(settings, model, chosen, covariates)
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


def _run(
    settings: Mapping[str, Any], model: FaceModel, references: SampleCollection, covariates: Path | None
) -> tuple[torch.Tensor, torch.Tensor, list[str], Mapping[str, np.ndarray]]:
    """Latents `[N,n,D]`, embeddings `[N,n,E]`, the n labels, statistics."""
    entry = settings["variations"]
    latents = torch.from_numpy(references.latents).to(model.latent_mean)
    targets = torch.from_numpy(references.embeddings).to(model.latent_mean)
    fitted = None if covariates is None else load_covariates(covariates, generator=settings["generator_name"])
    if entry["algorithm"] == "covariates":
        edited, labels = edit_references(references.latents, fitted, EditingSettings(**entry["settings"]))
        edited = torch.from_numpy(edited).to(latents)
        embeddings = embed(model, edited.flatten(0, 1), entry["batch_size"]).unflatten(0, edited.shape[:2])
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
        batch_size=entry["batch_size"],
    )
    labels = [f"augmentation_{number}" for number in range(result.latents.shape[1])]
    return result.latents, result.embeddings, labels, result.statistics


def _editing_statistics(embeddings: torch.Tensor, targets: torch.Tensor) -> dict[str, np.ndarray]:
    """The angles to the references, as arrays of one value."""
    angles = angles_to(embeddings.flatten(0, 1), targets.repeat_interleave(embeddings.shape[1], dim=0))
    measured = {**spread("dist", angles), "identities": float(len(targets))}
    return {name: np.array([value]) for name, value in measured.items()}
