"""Learn where the projection of an image starts."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.covariates.settings import WarmStartSettings
from brownid.covariates.warm_start import fit_warm_start as fit
from brownid.facemodel.loading import load_face_model


def fit_warm_start(settings: Mapping[str, Any], *, weights: Path, warm_start: Path, batch_size: int = 64) -> None:
    """Write the linear map from an image to the latent where its projection starts."""
    model = load_face_model(settings, weights)
    fitted = fit(model, WarmStartSettings(**settings["warm_start"]), seed=settings["seed"], batch_size=batch_size)
    fitted.save(warm_start)


if __name__ == "__main__":
    run(fit_warm_start, snakemake)
