"""Sample one latent an identity: at random, with rejection or repulsion, or by Langevin dynamics."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.dynamics.baselines import (
    BaselineResult,
    RejectSettings,
    RepulseSettings,
    random_references,
    reject_references,
    repulse_references,
)
from brownid.dynamics.langevin import LangevinResult, LangevinSettings, langevin
from brownid.errors import BrownidError
from brownid.files import sha256
from brownid.jobs.drawing import random_latents
from brownid.jobs.models import load_face_model
from brownid.recognition.facemodel import FaceModel
from brownid.samples.collection import SampleCollection
from brownid.samples.provenance import write_command
from brownid.samples.statistics import save_statistics

LABEL = "reference"


def sample_references(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    start: Path | None,
    guarded: Path | None,
    samples: Path,
    statistics: Path,
    command: Path,
) -> None:
    """Write the collection, statistics and provenance of a references entry.

    `start` is a collection to start from instead of random latents, `guarded` one of embeddings to stay away from.
    """
    model = load_face_model(settings, weights)
    entry = settings["references"]
    fixed = (
        None
        if guarded is None
        else torch.from_numpy(SampleCollection.load(guarded, columns=("embeddings",)).embeddings)
    )

    def draw(items: Sequence[int]) -> torch.Tensor:
        return random_latents(model.generator, items, entry["truncation"], settings["seed"])

    result = _run(settings, model, draw, start, fixed)
    SampleCollection(
        latents=result.latents,
        embeddings=result.embeddings,
        identities=np.arange(entry["identities"]),
        labels=[LABEL] * entry["identities"],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)
    save_statistics(statistics, result.statistics)
    inputs = {str(path): sha256(path) for path in (weights, start, guarded) if path is not None}
    write_command(command, settings=settings, seed=settings["seed"], inputs=inputs, command="sample_references")


def _run(
    settings: Mapping[str, Any],
    model: FaceModel,
    draw: Callable[[Sequence[int]], torch.Tensor],
    start: Path | None,
    fixed: torch.Tensor | None,
) -> LangevinResult | BaselineResult:
    entry = settings["references"]
    count, batch_size = entry["identities"], entry["batch_size"]
    shared = {"fixed_embeddings": fixed, "batch_size": batch_size}
    if entry["algorithm"] == "random":
        return random_references(model, draw, count, **entry["settings"], batch_size=batch_size)
    if entry["algorithm"] == "reject":
        return reject_references(model, draw, count, RejectSettings(**entry["settings"]), **shared)
    if entry["algorithm"] == "repulse":
        return repulse_references(model, draw, count, RepulseSettings(**entry["settings"]), **shared)
    initial = draw(range(count)) if start is None else _starting_latents(start, count).to(model.latent_mean)
    return langevin(model, initial, LangevinSettings(**entry["settings"]), seed=settings["seed"], **shared)


def _starting_latents(path: Path, identities: int) -> torch.Tensor:
    collection = SampleCollection.load(path, columns=("latents",))
    if len(collection) < identities:
        raise BrownidError(
            f"{path} has {len(collection)} identities, but {identities} are to start from it: "
            "ask for fewer identities, or make its entry larger"
        )
    return torch.from_numpy(collection.select(range(identities)).latents)
