"""Vary identities: Dispersion, DisCo, within-class, HyperFace's noise, or editing; one shard at a time."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from brownid.covariates.directions import directions, edit_references, load_covariates
from brownid.covariates.settings import EditingSettings
from brownid.covariates.within_class import load_within_class
from brownid.dynamics.dispersion import dispersion
from brownid.dynamics.settings import DispersionSettings, WithinClassSettings
from brownid.dynamics.steps import summary
from brownid.embeddings.angles import angles_to
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import generator_checksums, load_face_model
from brownid.facemodel.model import FaceModel, GeneratorFaceModel, WPlusFaceModel
from brownid.hyperface.variations import Varied, conditioned_variations, inverted_variations
from brownid.jobs.resume import StateFile, discard_state, job_state, open_state
from brownid.runtime.files import sha256
from brownid.runtime.randomness import image_items
from brownid.samples.collection import SampleCollection, identities_of_shard, variation_label
from brownid.samples.published import W_PLUS
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

    Whatever iterates goes on from the folder `state`, this shard's own, where an interrupted job of the same `code`,
    settings and inputs left something, and saves there as often as `saving` (`iterations`, `minutes`) says. Where
    `settings["embedding_conditioned"]`, images are generated from embeddings: the variations have no latents.
    """
    wanted = identities_of_shard(references, shard, shards)
    if settings.get("embedding_conditioned"):
        chosen = SampleCollection.load(references, identities=wanted)
        varied = conditioned_variations(settings, chosen)
    else:
        chosen = SampleCollection.load(references, identities=wanted, required=True)
        roles = {"references": references, "weights": weights, "covariates": covariates}
        inputs: dict[str, Any] = {name: path and sha256(path) for name, path in roles.items()}
        inputs["generator"] = generator_checksums(settings)
        described = job_state(state, _optimised(settings), code, inputs, saving, shard=f"{shard} of {shards}")
        model = load_face_model(settings, weights)
        varying = _Varying(settings, model, chosen, covariates, batch_size, open_state(described))
        varied = ALGORITHMS[settings["variations"]["algorithm"]](varying)
    SampleCollection(
        latents=varied.latents,
        embeddings=varied.embeddings,
        identities=varied.identities,
        labels=varied.labels,
        generator=chosen.generator,
        recognition=chosen.recognition,
        extra=varied.extra,
        settings=settings,
    ).save(samples)
    save_statistics(statistics, varied.statistics)
    discard_state(state)


def _optimised(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without the limit that what was found is judged by in the end."""
    entry = settings["variations"]
    kept = {name: value for name, value in entry["settings"].items() if name != "maximum_angle"}
    return {**settings, "variations": {**entry, "settings": kept}}


@dataclass(frozen=True)
class _Varying:
    """Arguments of an algorithm."""

    settings: Mapping[str, Any]
    model: GeneratorFaceModel
    references: SampleCollection
    covariates: Path | None
    batch_size: int
    state: StateFile | None

    def directions_file(self) -> Path:
        """The covariates, which the configuration of some algorithms must name."""
        assert self.covariates is not None
        return self.covariates


def _inverted(varying: _Varying) -> Varied:
    return inverted_variations(varying.settings, varying.model, varying.references, varying.batch_size, varying.state)


def _dispersed(varying: _Varying) -> Varied:
    return _disperse_in_w(varying, DispersionSettings(**varying.settings["variations"]["settings"]))


def _disco(varying: _Varying) -> Varied:
    entry = varying.settings["variations"]
    fitted = load_covariates(varying.directions_file(), generator=varying.settings["generator_name"])
    moves = torch.from_numpy(directions(fitted, entry["covariate_scales"]))
    return _disperse_in_w(varying, DispersionSettings(**entry["settings"]), covariates=moves)


def _within_class(varying: _Varying) -> Varied:
    settings = WithinClassSettings(**varying.settings["variations"]["settings"])
    fitted = load_within_class(
        varying.directions_file(), generator=varying.settings["generator_name"], space=settings.space
    )
    root = torch.from_numpy(fitted.root(settings.variance_share))
    logger.info("the start varies in %d within-class directions", len(root))
    if settings.space == "w_plus":
        return _disperse_in_w_plus(varying, settings, root)
    return _disperse_in_w(varying, settings, within_class=root)


def _disperse_in_w(varying: _Varying, settings: DispersionSettings, **start: torch.Tensor) -> Varied:
    return _disperse(varying, settings, varying.model, _reference_latents(varying), **start)


def _disperse_in_w_plus(varying: _Varying, settings: DispersionSettings, root: torch.Tensor) -> Varied:
    """Latents of the layers become the column `w_plus_latent`, `latents` their mean, as those of projections are."""
    model = WPlusFaceModel(varying.model)
    latents = model.from_w(_reference_latents(varying))
    varied = _disperse(varying, settings, model, latents, within_class=root / model.scale)
    w_plus = model.to_w_plus(cast(torch.Tensor, varied.latents))
    return varied._replace(latents=w_plus.mean(dim=1), extra={W_PLUS: w_plus})


def _reference_latents(varying: _Varying) -> torch.Tensor:
    return torch.from_numpy(varying.references.latents).to(varying.model.latent_mean)


def _disperse(
    varying: _Varying, settings: DispersionSettings, model: FaceModel, latents: torch.Tensor, **start: torch.Tensor
) -> Varied:
    """The result of Dispersion around the references' `latents` of a `model`, from a start along given directions."""
    references = varying.references
    result = dispersion(
        model,
        latents,
        torch.from_numpy(references.embeddings).to(latents),
        settings,
        seed=varying.settings["seed"],
        items=references.identities.tolist(),
        batch_size=varying.batch_size,
        state=varying.state,
        **start,
    )
    labels = [variation_label(number) for number in range(settings.variations)]
    return Varied.of_each(references, labels, result.latents, result.embeddings, result.statistics)


def _edited(varying: _Varying) -> Varied:
    settings, model, references = varying.settings, varying.model, varying.references
    fitted = load_covariates(varying.directions_file(), generator=settings["generator_name"])
    editing = EditingSettings(**settings["variations"]["settings"])
    moved, labels = edit_references(references.columns()["latents"], fitted, editing)
    edited = torch.from_numpy(moved).to(model.latent_mean)
    images = image_items(np.repeat(references.identities, len(labels)), labels * len(references))
    batched = BatchedFaceModel(model, varying.batch_size, settings["seed"])
    embeddings = batched.embed(edited.flatten(0, 1), images).unflatten(0, edited.shape[:2])
    targets = torch.from_numpy(references.embeddings).to(embeddings)
    angles = angles_to(embeddings.flatten(0, 1), targets.repeat_interleave(len(labels), dim=0))
    measured = {**summary("refd", angles), "identities": float(len(references))}
    statistics = {name: np.array([value]) for name, value in measured.items()}  # of one moment
    return Varied.of_each(references, labels, edited, embeddings, statistics)


# Of this table a job's fingerprint covers its own algorithm alone.
ALGORITHMS: dict[str, Callable[[_Varying], Varied]] = {
    "dispersion": _dispersed,
    "disco": _disco,
    "within_class": _within_class,
    "covariates": _edited,
    "hyperface": _inverted,
}


if __name__ == "__main__":
    run(vary_references, snakemake)
