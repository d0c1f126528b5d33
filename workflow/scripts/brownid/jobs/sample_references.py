"""Sample one latent an identity: at random, with rejection or repulsion, or by Langevin dynamics."""

import shutil
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
from brownid.dynamics.langevin import LangevinSettings, langevin
from brownid.dynamics.share import ALONE, Share
from brownid.errors import BrownidError
from brownid.files import sha256
from brownid.jobs.drawing import random_latents
from brownid.jobs.models import generator_checksums, load_face_model
from brownid.jobs.processes import run_in_processes
from brownid.jobs.states import open_state
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
    batch_size: int = 64,
    state: Path | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
    processes: int = 1,
    launcher: str = "auto",
) -> None:
    """Write the collection, statistics and provenance of a references entry.

    `start` is a collection to start from instead of random latents, `guarded` one of embeddings to stay away from.
    Langevin goes on from the folder `state`, this entry's own, where an interrupted job of the same `code`, settings
    and inputs left something, and saves there as often as `saving` (`iterations`, `minutes`) says; it may run in
    several `processes`.
    """
    files = {
        name: path and str(path) for name, path in {"weights": weights, "start": start, "guarded": guarded}.items()
    }
    inputs = {path: sha256(path) for path in files.values() if path is not None}
    generator = generator_checksums(settings)
    roles = {name: path and inputs[path] for name, path in files.items()} | {"generator": generator}
    resuming = None
    if state is not None:
        belongs_to = {"settings": settings, "code": code, "inputs": roles}
        resuming = {"folder": str(state), "belongs_to": belongs_to, "saving": dict(saving or {})}
    call = {"settings": settings, **files, "samples": samples, "statistics": statistics}
    call |= {"batch_size": batch_size, "resuming": resuming}
    run_in_processes("brownid.jobs.sample_references:sample_share", call, processes, launcher)
    inputs |= generator
    write_command(command, settings=settings, seed=settings["seed"], inputs=inputs, command="sample_references")
    if state is not None:
        shutil.rmtree(state, ignore_errors=True)


def sample_share(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    start: Path | None,
    guarded: Path | None,
    samples: Path,
    statistics: Path,
    batch_size: int,
    resuming: Mapping[str, Any] | None,
    share: Share = ALONE,
) -> None:
    """What each process of the job does; the first one writes."""
    model = load_face_model(settings, weights)
    entry = settings["references"]
    fixed = None
    if guarded is not None:
        fixed = torch.from_numpy(SampleCollection.load(guarded, columns=("embeddings",), required=True).embeddings)

    def draw(items: Sequence[int]) -> torch.Tensor:
        return random_latents(model.generator, items, entry["truncation"], settings["seed"])

    if entry["algorithm"] == "langevin":
        count = entry["identities"]
        initial = draw(range(count)) if start is None else _starting_latents(start, count).to(model.latent_mean)
        result = langevin(
            model,
            initial,
            LangevinSettings(**entry["settings"]),
            seed=settings["seed"],
            fixed_embeddings=fixed,
            batch_size=batch_size,
            state=resuming and open_state(**resuming),
            share=share,
        )
    else:
        result = _baseline(settings, model, draw, fixed, batch_size)
    if share.rank:
        return
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


def _baseline(
    settings: Mapping[str, Any],
    model: FaceModel,
    draw: Callable[[Sequence[int]], torch.Tensor],
    fixed: torch.Tensor | None,
    batch_size: int,
) -> BaselineResult:
    entry = settings["references"]
    count = entry["identities"]
    if entry["algorithm"] == "random":
        return random_references(model, draw, count, **entry["settings"], batch_size=batch_size, seed=settings["seed"])
    shared = {"fixed_embeddings": fixed, "batch_size": batch_size}
    if entry["algorithm"] == "reject":
        return reject_references(model, draw, count, RejectSettings(**entry["settings"]), **shared)
    return repulse_references(model, draw, count, RepulseSettings(**entry["settings"]), **shared)


def _starting_latents(path: Path, identities: int) -> torch.Tensor:
    collection = SampleCollection.load(path, columns=("latents",), required=True)
    if len(collection) < identities:
        raise BrownidError(
            f"{path} has {len(collection)} identities, but {identities} are to start from it: "
            "ask for fewer identities, or make its entry larger"
        )
    return torch.from_numpy(collection.rows(range(identities)).latents)
