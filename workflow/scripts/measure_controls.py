"""The ground-truth controls of the embedded world as one table."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from brownid.covariates.directions import load_covariates
from brownid.facemodel.loading import load_face_model, load_generator, random_latents
from brownid.facemodel.model import GeneratorFaceModel
from brownid.runtime.files import atomic_path
from brownid.samples.collection import SampleCollection
from brownid.world.controls import covariate_control, separation_control, variation_control

UNMOVED = 1e-4  # latents this close are the same draw, computed by another machine


def measure_controls(
    settings: Mapping[str, Any],
    *,
    samples: Sequence[Path],
    covariates: Sequence[Path],
    weights: Sequence[Path],
    table: Path,
) -> None:
    """Write one row a quantity: dataset or covariates entry, control, what was measured, value.

    The files are in the order of `datasets`, `covariates` and `networks` in `settings`.

    References: nearest-neighbour angles of where the dynamics began and of the result, as rendered and with neutral
    nuisance; where nothing moved, of the result alone. Variations: angles to the reference, and those of random noise
    of the same distance. Covariates: cosine with the world's true direction.
    """
    rows = []
    samples_of = dict(zip(settings["datasets"], samples, strict=True))
    weights_of = dict(zip(settings["networks"], weights, strict=True))
    covariates_of = dict(zip(settings["covariates"], covariates, strict=True))
    for name, entry in settings["references"].items():
        model = load_face_model(entry, weights_of[entry["network_name"]])
        references = _latents(samples_of[name]).to(model.latent_mean)
        identities = SampleCollection.load(samples_of[name], columns=()).identities.tolist()
        for stage, latents in _stages(entry, model, references, identities, samples_of, settings["seed"]).items():
            found = separation_control(model, model.generator, latents)
            rows += _rows(name, "nearest-neighbour angle", {stage + kind: found[kind] for kind in found})
        for varied, source in settings["variations"].items():
            if source == name:
                found = _variation_control(model, samples_of[name], samples_of[varied], settings["seed"])
                rows += _rows(varied, "angle to the reference", found)
    for name, generator in settings["covariates"].items():
        fitted = {key: covariate.normal for key, covariate in load_covariates(covariates_of[name]).items()}
        cosines = covariate_control(load_generator(generator), fitted)
        rows += [_row(name, "cosine with the true direction", key, value) for key, value in cosines.items()]
    controls = pd.DataFrame(rows)
    logger.info("controls:\n%s", controls.to_string(index=False, float_format="%.4f"))
    with atomic_path(table) as temporary:
        controls.to_csv(temporary, index=False, float_format="%.4f")


def _latents(path: Path) -> torch.Tensor:
    return torch.from_numpy(SampleCollection.load(path, columns=("latents",), required=True).latents)


def _variation_control(
    model: GeneratorFaceModel, references: Path, variations: Path, seed: int
) -> dict[str, dict[str, float]]:
    """The control of the variations in a file around the references in another."""
    sources = SampleCollection.load(references, columns=("latents",), required=True)
    varied = SampleCollection.load(variations, columns=("latents",), required=True)
    row_of = {identity: row for row, identity in enumerate(sources.identities.tolist())}
    owners = [row_of[identity] for identity in varied.identities.tolist()]
    latents, around = (torch.from_numpy(values).to(model.latent_mean) for values in (varied.latents, sources.latents))
    return variation_control(model, around, latents, owners, seed=seed)


def _stages(
    entry: Mapping[str, Any],
    model: GeneratorFaceModel,
    references: torch.Tensor,
    identities: Sequence[int],
    samples: Mapping[str, Path],
    seed: int,
) -> dict[str, torch.Tensor]:
    """What to call the references `[n, D]` before and after they moved; without a name where nothing did.

    Before are the latents that an entry names as its start, else the random ones of the same `identities`.
    """
    if entry["start"] is not None:
        start = _latents(samples[entry["start"]])[: len(references)].to(references)
    else:
        start = random_latents(model.generator, identities, entry["truncation"], seed)
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


if __name__ == "__main__":
    run(measure_controls, snakemake)
