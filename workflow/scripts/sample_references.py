"""Sample one latent per identity: at random, with rejection or repulsion, or by Langevin dynamics."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.covariates.within_class import load_within_class
from brownid.dynamics.baselines import BaselineResult, random_references, reject_references, repulse_references
from brownid.dynamics.langevin import LangevinResult, langevin
from brownid.dynamics.settings import LangevinSettings, RejectSettings, RepulseSettings
from brownid.facemodel.loading import generator_checksums, load_face_model, random_latents
from brownid.facemodel.model import GeneratorFaceModel
from brownid.jobs.distributed import SINGLE, ProcessGroup
from brownid.jobs.launch import run_in_processes
from brownid.jobs.resume import discard_state, job_state, open_state
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples.collection import REFERENCE, SampleCollection
from brownid.samples.provenance import write_command
from brownid.samples.statistics import save_statistics


def sample_references(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    start: Path | None,
    guarded: Path | None,
    within_class: Path | None,
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

    `start` is a collection to start from instead of random latents, `guarded` one of embeddings to stay away from,
    `within_class` the covariance whose leading directions `nuisance_projection` of the entry leaves out.
    Langevin goes on from the folder `state`, this entry's own, where an interrupted job of the same `code`, settings
    and inputs left something, and saves there as often as `saving` (`iterations`, `minutes`) says; it may run in
    several `processes`.
    """
    given = {"weights": weights, "start": start, "guarded": guarded}
    given |= {"within_class": within_class} if within_class else {}  # states of the published form do not know the key
    files = {name: None if path is None else str(path) for name, path in given.items()}
    inputs = {path: sha256(path) for path in files.values() if path is not None}
    generator = generator_checksums(settings)
    roles: dict[str, Any] = {name: path and inputs[path] for name, path in files.items()} | {"generator": generator}
    call: dict[str, Any] = {"settings": settings, "within_class": None, **files}
    call |= {"samples": samples, "statistics": statistics}
    call |= {"batch_size": batch_size, "state": job_state(state, settings, code, roles, saving)}
    run_in_processes(sample_in_group, call, processes, launcher)
    inputs |= generator
    write_command(command, settings=settings, seed=settings["seed"], inputs=inputs, command="sample_references")
    discard_state(state)


def sample_in_group(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    start: Path | None,
    guarded: Path | None,
    within_class: Path | None,
    samples: Path,
    statistics: Path,
    batch_size: int,
    state: Mapping[str, Any] | None,
    group: ProcessGroup = SINGLE,
) -> None:
    """Work of each process of the job; the first one writes."""
    model = load_face_model(settings, weights)
    entry = settings["references"]
    fixed = None
    if guarded is not None:
        fixed = torch.from_numpy(SampleCollection.load(guarded, columns=("embeddings",), required=True).embeddings)
    directions = None if within_class is None else NUISANCE_DIRECTIONS["nuisance_projection"](settings, within_class)
    sampling = _Sampling(settings, model, start, fixed, directions, batch_size, state, group)
    result = ALGORITHMS[entry["algorithm"]](sampling)
    if group.rank:
        return
    SampleCollection(
        latents=result.latents,
        embeddings=result.embeddings,
        identities=np.arange(entry["identities"]),
        labels=[REFERENCE] * entry["identities"],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)
    save_statistics(statistics, result.statistics)


def _within_class_directions(settings: Mapping[str, Any], within_class: Path) -> torch.Tensor:
    """The leading directions `[R, D]` of the within-class covariance that `nuisance_projection` asks for."""
    found = load_within_class(within_class, generator=settings["generator_name"])
    return torch.from_numpy(found.leading(**settings["references"]["nuisance_projection"]))


# Of this table a job's fingerprint covers the entry only where its settings have the key.
NUISANCE_DIRECTIONS: dict[str, Callable[[Mapping[str, Any], Path], torch.Tensor]] = {
    "nuisance_projection": _within_class_directions,
}


@dataclass(frozen=True)
class _Sampling:
    """Arguments of an algorithm: settings, face model, initial latents, fixed embeddings."""

    settings: Mapping[str, Any]
    model: GeneratorFaceModel
    start: Path | None
    fixed_embeddings: torch.Tensor | None  # [M, E]
    nuisance_directions: torch.Tensor | None  # [R, D]
    batch_size: int
    state: Mapping[str, Any] | None
    group: ProcessGroup

    @property
    def entry(self) -> Mapping[str, Any]:
        """The references entry of the configuration."""
        return self.settings["references"]

    def draw(self, items: Sequence[int]) -> torch.Tensor:
        """Random latents `[n, D]` of these identities."""
        return random_latents(self.model.generator, items, self.entry["truncation"], self.settings["seed"])


def _random(sampling: _Sampling) -> BaselineResult:
    entry, seed = sampling.entry, sampling.settings["seed"]
    return random_references(
        sampling.model,
        sampling.draw,
        entry["identities"],
        **entry["settings"],
        nuisance_directions=sampling.nuisance_directions,
        batch_size=sampling.batch_size,
        seed=seed,
    )


def _reject(sampling: _Sampling) -> BaselineResult:
    settings = RejectSettings(**sampling.entry["settings"])
    return _accepted(sampling, reject_references, settings)


def _repulse(sampling: _Sampling) -> BaselineResult:
    settings = RepulseSettings(**sampling.entry["settings"])
    return _accepted(sampling, repulse_references, settings)


def _accepted(sampling: _Sampling, algorithm: Callable[..., BaselineResult], settings: object) -> BaselineResult:
    return algorithm(
        sampling.model,
        sampling.draw,
        sampling.entry["identities"],
        settings,
        fixed_embeddings=sampling.fixed_embeddings,
        nuisance_directions=sampling.nuisance_directions,
        batch_size=sampling.batch_size,
    )


def _langevin(sampling: _Sampling) -> LangevinResult:
    count, start = sampling.entry["identities"], sampling.start
    if start is None:
        initial = sampling.draw(range(count))
    else:
        initial = _starting_latents(start, count).to(sampling.model.latent_mean)
    return langevin(
        sampling.model,
        initial,
        LangevinSettings(**sampling.entry["settings"]),
        seed=sampling.settings["seed"],
        fixed_embeddings=sampling.fixed_embeddings,
        nuisance_directions=sampling.nuisance_directions,
        batch_size=sampling.batch_size,
        state=open_state(sampling.state),
        group=sampling.group,
    )


# Of this table a job's fingerprint covers its own algorithm alone.
ALGORITHMS: dict[str, Callable[[_Sampling], BaselineResult | LangevinResult]] = {
    "random": _random,
    "reject": _reject,
    "repulse": _repulse,
    "langevin": _langevin,
}


def _starting_latents(path: Path, identities: int) -> torch.Tensor:
    collection = SampleCollection.load(path, columns=("latents",), required=True)
    if len(collection) < identities:
        raise BrownidError(
            f"{path} has {len(collection)} identities, but {identities} are to start from it: "
            "ask for fewer identities, or make its entry larger."
        )
    return torch.from_numpy(collection.rows(range(identities)).latents)


if __name__ == "__main__":
    run(sample_references, snakemake)
