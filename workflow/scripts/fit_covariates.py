"""Fit the covariates on projected latents."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brownid.covariates.directions import (
    CONTRASTS,
    FITTED,
    HELD_OUT,
    Covariate,
    classification_accuracy,
    fit_covariate,
    save_covariates,
    sides,
)
from brownid.covariates.latents import merge_projections
from brownid.databases.index import DatabaseIndex
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path


def fit_covariates(
    settings: Mapping[str, Any],
    *,
    shard_samples: Sequence[Path],
    shard_failures: Sequence[Path],
    index: Path,
    covariates: Path,
    summary: Path,
    failures: Path,
) -> None:
    """Fit the seven covariates on the train group, test them on the eval group, and join the lists of failures."""
    merged, _ = merge_projections(shard_samples, shard_failures, failures, settings["maximum_failed_share"])
    projected, rows = merged.columns()["latents"], dict(zip(merged.labels, range(len(merged)), strict=True))
    fitted, table = {}, []
    with DatabaseIndex.open(index) as database:
        for name, contrast in CONTRASTS.items():
            latents, positive = _side_latents(database, name, FITTED, projected, rows)
            covariate = fit_covariate(latents, positive)
            fitted[name] = covariate
            held_out = None
            if HELD_OUT in database.groups(contrast.protocol):
                held_out = _held_out_accuracy(database, name, covariate, projected, rows)
            table.append(_summary(name, covariate, held_out))
    made_by = {"fit": settings, "projection": merged.settings}
    save_covariates(covariates, fitted, generator=settings["generator_name"], settings=made_by)
    with atomic_path(summary) as temporary:
        pd.DataFrame(table).to_csv(temporary, index=False, float_format="%.4f")


def _side_latents(
    database: DatabaseIndex, name: str, group: str, latents: np.ndarray, rows: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The latents `[n, D]` of both sides of a covariate in a group, and which are positive `[n]`."""
    contrast = CONTRASTS[name]
    samples = [sample for sample in database.samples(group=group, protocol=contrast.protocol) if sample.key in rows]
    chosen, positive = sides(name, [sample.meta for sample in samples])
    keys = [sample.key for sample, used in zip(samples, chosen, strict=True) if used]
    return latents[[rows[key] for key in keys]], positive[chosen]


def _held_out_accuracy(
    database: DatabaseIndex, name: str, covariate: Covariate, latents: np.ndarray, rows: Mapping[str, int]
) -> float:
    try:
        return classification_accuracy(covariate, *_side_latents(database, name, HELD_OUT, latents, rows))
    except BrownidError as error:  # too few held-out people to have both sides: the fit is untested, not wrong
        logger.warning("no held-out accuracy of %s: %s", name, error)
        return float("nan")


def _summary(name: str, covariate: Covariate, held_out: float | None) -> dict[str, Any]:
    return {
        "covariate": name,
        "accuracy": covariate.accuracy,
        "held_out_accuracy": float("nan") if held_out is None else held_out,
        "negative_mean": covariate.negative_mean,
        "positive_mean": covariate.positive_mean,
        "negative_images": covariate.negative_count,
        "positive_images": covariate.positive_count,
    }


if __name__ == "__main__":
    run(fit_covariates, snakemake)
