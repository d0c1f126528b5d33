"""The ground-truth controls of the embedded world as one table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from brownid.benchmark.controls import covariate_control, separation_control, variation_control
from brownid.covariates.store import load_covariates
from brownid.files import atomic_path
from brownid.generators.loading import load_generator
from brownid.jobs.models import load_face_model, random_latents
from brownid.runtime import logger
from brownid.samples.collection import SampleCollection


def measure_controls(
    settings: Mapping[str, Any],
    *,
    samples: Mapping[str, Path],
    covariates: Mapping[str, Path],
    weights: Mapping[str, Path],
    table: Path,
) -> None:
    """Write one row a quantity: dataset or covariates entry, control, what was measured, value.

    References: nearest-neighbour angles of the random start and of the result, as rendered and with neutral nuisance.
    Variations: angles to the reference, and those of random noise of the same distance. Covariates: cosine with the
    world's true direction.
    """
    rows = []
    for name, entry in settings["references"].items():
        model = load_face_model(entry, weights[entry["network_name"]])
        references = torch.from_numpy(SampleCollection.load(samples[name]).latents).to(model.latent_mean)
        start = random_latents(
            model.generator, range(len(references)), entry["references"]["truncation"], entry["seed"]
        )
        found = separation_control(model, model.generator, start, references)
        rows += _rows(name, "nearest-neighbour angle", found)
        for varied, source in settings["variations"].items():
            if source["references"] == name:
                collection = SampleCollection.load(samples[varied])
                latents = torch.from_numpy(collection.latents).to(references).unflatten(0, (len(references), -1))
                rows += _rows(
                    varied,
                    "angle to the reference",
                    variation_control(model, references, latents, seed=settings["seed"]),
                )
    for name, generator in settings["covariates"].items():
        fitted = {key: covariate.normal for key, covariate in load_covariates(covariates[name]).items()}
        cosines = covariate_control(load_generator(generator), fitted)
        rows += [_row(name, "cosine with the true direction", key, value) for key, value in cosines.items()]
    controls = pd.DataFrame(rows)
    logger.info("controls:\n%s", controls.to_string(index=False, float_format="%.4f"))
    with atomic_path(table) as temporary:
        controls.to_csv(temporary, index=False, float_format="%.4f")


def _rows(entry: str, control: str, found: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    return [
        _row(entry, control, f"{name}, {figure}", value)
        for name, figures in found.items()
        for figure, value in figures.items()
    ]


def _row(entry: str, control: str, measured: str, value: float) -> dict[str, Any]:
    return {"entry": entry, "control": control, "measured": measured, "value": value}
