"""The ground-truth controls of the embedded world as one table.

- Do nearest-neighbour angles grow because identities part, or because heads turn? The same angles with the nuisance of
  every latent set to neutral: a gain that survives is identity.
- Do variations stay close to their reference because the dynamics keep the identity, or because they move little?
  Random noise of equal radius around the same references.
- How much nuisance do variations have, and how much of another identity? Both by the true parameters.
- Does a fitted covariate point where the world's true direction points?
"""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from brownid.covariates.directions import load_covariates
from brownid.covariates.within_class import load_within_class
from brownid.dynamics.steps import NuisanceProjection
from brownid.embeddings.distances import nearest_angles, row_angles, unit_rows
from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import load_face_model, load_generator, random_latents
from brownid.facemodel.model import FaceModel, GeneratorFaceModel
from brownid.runtime.files import atomic_path
from brownid.runtime.randomness import normal
from brownid.samples.collection import SampleCollection
from brownid.world.truth import TruthfulGenerator, nuisance_and_drift

BATCH = 64
UNMOVED = 1e-4  # latents this close are the same draw, computed by another machine


def measure_controls(
    settings: Mapping[str, Any],
    *,
    samples: Sequence[Path],
    covariates: Sequence[Path],
    within_class: Sequence[Path],
    weights: Sequence[Path],
    table: Path,
) -> None:
    """Write one row per quantity: dataset or covariates entry, control, what was measured, value.

    The files are in the order of `datasets`, `covariates`, `within_class` and `networks` in `settings`.

    References: nearest-neighbour angles of where the dynamics began and of the result, as rendered and with neutral
    nuisance; where nothing moved, of the result alone. Variations: angles to the reference, and those of random noise
    of the same distance; true nuisance and identity drift. Covariates: cosine with the world's true direction.
    """
    rows = []
    samples_of = dict(zip(settings["datasets"], samples, strict=True))
    weights_of = dict(zip(settings["networks"], weights, strict=True))
    covariates_of = dict(zip(settings["covariates"], covariates, strict=True))
    within_class_of = dict(zip(settings.get("within_class", ()), within_class, strict=True))
    for name, entry in settings["references"].items():
        model = load_face_model(entry, weights_of[entry["network_name"]])
        references = _latents(samples_of[name]).to(model.latent_mean)
        identities = SampleCollection.load(samples_of[name], columns=()).identities.tolist()
        start = _start(entry, model, identities, samples_of, within_class_of, settings["seed"])
        for stage, latents in _stages(start, references).items():
            found = separation_control(model, cast(TruthfulGenerator, model.generator), latents)
            rows += _rows(name, "nearest-neighbour angle", {stage + kind: found[kind] for kind in found})
        for varied, source in settings["variations"].items():
            if source == name:
                rows += _variation_rows(varied, model, samples_of[name], samples_of[varied], settings["seed"])
    for name, generator in settings["covariates"].items():
        fitted = {key: covariate.normal for key, covariate in load_covariates(covariates_of[name]).items()}
        cosines = covariate_control(cast(TruthfulGenerator, load_generator(generator)), fitted)
        rows += [_row(name, "cosine with the true direction", key, value) for key, value in cosines.items()]
    controls = pd.DataFrame(rows)
    logger.info("controls:\n%s", controls.to_string(index=False, float_format="%.4f"))
    with atomic_path(table) as temporary:
        controls.to_csv(temporary, index=False, float_format="%.4f")


def _latents(path: Path) -> torch.Tensor:
    return torch.from_numpy(SampleCollection.load(path, columns=("latents",), required=True).latents)


def _variation_rows(
    name: str, model: GeneratorFaceModel, references: Path, variations: Path, seed: int
) -> list[dict[str, Any]]:
    """The controls of the variations `name` in a file around the references in another."""
    sources = SampleCollection.load(references, columns=("latents",), required=True)
    varied = SampleCollection.load(variations, columns=("latents",), required=True)
    row_of = {identity: row for row, identity in enumerate(sources.identities.tolist())}
    owners = [row_of[identity] for identity in varied.identities.tolist()]
    latents, around = (torch.from_numpy(values).to(model.latent_mean) for values in (varied.latents, sources.latents))
    rows = _rows(name, "angle to the reference", variation_control(model, around, latents, owners, seed=seed))
    nuisance, drift = nuisance_and_drift(cast(TruthfulGenerator, model.generator), around, latents, owners)
    rows += [_row(name, "true nuisance within an identity", group, std) for group, std in nuisance.items()]
    return [*rows, _row(name, "true identity drift", "root mean square", drift)]


def _start(
    entry: Mapping[str, Any],
    model: GeneratorFaceModel,
    identities: Sequence[int],
    samples: Mapping[str, Path],
    within_class: Mapping[str, Path],
    seed: int,
) -> torch.Tensor:
    """The latents `[n, D]` that the references of an entry were before they moved.

    Those that it names as its start, else the random ones of the same `identities`; projected where it projects.
    """
    if entry["start"] is not None:
        start = _latents(samples[entry["start"]])[: len(identities)].to(model.latent_mean)
    else:
        start = random_latents(model.generator, identities, entry["truncation"], seed)
    if (named := entry.get("nuisance_projection")) is None:
        return start
    chosen = {key: value for key, value in named.items() if key != "covariates"}
    found = load_within_class(within_class[named["covariates"]]).leading(**chosen)
    return NuisanceProjection(torch.from_numpy(found), model.latent_mean).latents(start)


def _stages(start: torch.Tensor, references: torch.Tensor) -> dict[str, torch.Tensor]:
    """Names of the references `[n, D]` before and after they moved; without a name if nothing moved."""
    if torch.allclose(start, references, atol=UNMOVED):
        return {"": references}
    return {"before, ": start, "after, ": references}


def _rows(entry: str, control: str, found: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    return [
        _row(entry, control, f"{name}, {figure}", value)
        for name, figures in found.items()
        for figure, value in figures.items()
    ]


def _row(entry: str, control: str, measured: str, value: float) -> dict[str, Any]:
    return {"entry": entry, "control": control, "measured": measured, "value": value}


def separation_control(
    model: FaceModel, generator: TruthfulGenerator, references: Tensor
) -> dict[str, dict[str, float]]:
    """Nearest-neighbour angles (radians: minimum, mean, maximum) of references `[n, D]`.

    Keys `as rendered`, and with neutral nuisance `neutral`.
    """
    latents = {"as rendered": references, "neutral": generator.reset_nuisance(references)}
    return {name: _figures(nearest_angles(embed_latents(model, values))[1]) for name, values in latents.items()}


def variation_control(
    model: FaceModel, references: Tensor, variations: Tensor, owners: Sequence[int], *, seed: int
) -> dict[str, dict[str, float]]:
    """Angles of variations to their reference, against random noise of the same latent distance from it.

    `references` `[N, D]`, `variations` `[M, D]` and `owners` `[M]`, the row of each one's reference; keys `variations`
    and `noise`, radians.
    """
    owners = list(owners)
    around = references[owners]
    offsets = variations - around
    directions = normal(seed, "controls/noise", range(len(owners)), offsets.shape[1:]).to(offsets)
    directions = directions / directions.norm(dim=1, keepdim=True)
    noise = around + offsets.norm(dim=1, keepdim=True) * directions
    reference_embeddings = embed_latents(model, references)[owners]
    return {
        name: _figures(row_angles(reference_embeddings, embed_latents(model, latents)))
        for name, latents in (("variations", variations), ("noise", noise))
    }


def covariate_control(generator: TruthfulGenerator, normals: Mapping[str, ArrayLike]) -> dict[str, float]:
    """The cosine of each fitted unit normal `[D]` with the world's true direction of that attribute."""
    cosines = {}
    for name, fitted in normals.items():
        true = np.asarray(generator.attribute_direction(name).detach().cpu(), np.float64)
        fitted = np.asarray(fitted, np.float64)
        cosines[name] = float(fitted @ true / (np.linalg.norm(fitted) * np.linalg.norm(true)))
    return cosines


def embed_latents(model: FaceModel, latents: Tensor, batch: int = BATCH) -> np.ndarray:
    """Unit embeddings float32 `[n, E]` of latents `[n, D]`, batch by batch and without gradients."""
    return unit_rows(BatchedFaceModel(model, batch).embed(latents).float().cpu().numpy())


def _figures(angles: np.ndarray) -> dict[str, float]:
    return {"minimum": float(angles.min()), "mean": float(angles.mean()), "maximum": float(angles.max())}


if __name__ == "__main__":
    run(measure_controls, snakemake)
