"""Fit the covariates and the within-class covariance on projected latents."""

from brownid.runtime.process import check_failures, logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from brownid.covariates.within_class import FEW_PERSONS, WithinClass, fit_within_class
from brownid.databases.index import DatabaseIndex
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.samples.collection import SampleCollection

W_PLUS = "w_plus_latent"  # the column of projections into W+
SHARES = (0.5, 0.9, 0.99)  # of the variance, whose number of directions is tabulated
SUMMARY_COLUMNS = (
    *("covariate", "accuracy", "held_out_accuracy", "negative_mean", "positive_mean"),
    *("negative_images", "positive_images"),
)


def fit_covariates(
    settings: Mapping[str, Any],
    *,
    shard_samples: Sequence[Path],
    shard_failures: Sequence[Path],
    index: Path,
    covariates: Path,
    summary: Path,
    within_class: Path,
    failures: Path,
) -> None:
    """Fit the covariates and the within-class covariance, and join the lists of failures.

    The seven covariates are fitted on the train group and tested on the eval group; none where `attributes` in the
    settings is False, as the database has no poses, flashes and expressions: then `summary` has no rows. The
    within-class covariance is fitted on all images that were projected, in W, and in W+ where they were projected
    there; the table `within_class` has a row for each.
    """
    merged = SampleCollection.concatenate(
        SampleCollection.load(path, columns=("latents", "extra"), required=True) for path in shard_samples
    )
    projected, rows = merged.columns()["latents"], dict(zip(merged.labels, range(len(merged)), strict=True))
    listed = pd.concat([pd.read_csv(path, quoting=csv.QUOTE_MINIMAL) for path in shard_failures])
    named, total = list(listed.itertuples(index=False, name=None)), len(merged) + len(listed)
    check_failures(named, total, settings["maximum_failed_share"], "photographs to project")
    with atomic_path(failures) as temporary:
        listed.to_csv(temporary, index=False)
    fitted, table = {}, []
    attributes, single = settings.get("attributes", True), 0
    with DatabaseIndex.open(index) as database:
        for name, contrast in CONTRASTS.items() if attributes else ():
            latents, positive = _side_latents(database, name, FITTED, projected, rows)
            covariate = fit_covariate(latents, positive)
            fitted[name] = covariate
            held_out = None
            if HELD_OUT in database.groups(contrast.protocol):
                held_out = _held_out_accuracy(database, name, covariate, projected, rows)
            table.append(_summary(name, covariate, held_out))
        if not attributes:  # persons with one image were not projected
            single = sum(count == 1 for count in Counter(each.identity for each in database.samples()).values())
    pooled = _within_class(merged, single)
    made_by = {"fit": settings, "projection": merged.settings}
    generator = settings["generator_name"]
    save_covariates(covariates, fitted, generator=generator, settings=made_by, within_class=pooled)
    with atomic_path(summary) as temporary:
        pd.DataFrame(table, columns=SUMMARY_COLUMNS).to_csv(temporary, index=False, float_format="%.4f")
    tabulated = [_within_class_row(space, found, len(listed)) for space, found in pooled.items()]
    with atomic_path(within_class) as temporary:
        pd.DataFrame(tabulated).to_csv(temporary, index=False, float_format="%.6g")


def _within_class(merged: SampleCollection, single: int) -> dict[str, WithinClass]:
    """The within-class covariance by latent space; `single` persons had one image, which was not projected."""
    latents = {"w": merged.columns()["latents"]}
    if W_PLUS in merged.extra:
        latents["w_plus"] = merged.extra[W_PLUS].reshape(len(merged), -1)
    found = {space: fit_within_class(values, merged.identities) for space, values in latents.items()}
    if found["w"].persons < FEW_PERSONS:
        logger.warning(
            "the within-class covariance is pooled over %d persons only: it describes these more than faces in general",
            found["w"].persons,
        )
    return {space: replace(each, excluded_persons=each.excluded_persons + single) for space, each in found.items()}


def _within_class_row(space: str, found: WithinClass, failed: int) -> dict[str, Any]:
    shares = found.shares()
    return {
        "space": space,
        "persons": found.persons,
        "images": found.images,
        "fewest_images": found.fewest_images,
        "most_images": found.most_images,
        "excluded_persons": found.excluded_persons,
        "failed_images": failed,
        "dimensions": found.directions.shape[1],
        "rank": found.rank,
        "shrinkage": found.shrinkage,
        "variance": found.eigenvalues.sum(),
        "largest_eigenvalue": found.eigenvalues[0],
        **{f"directions_{share:.0%}".rstrip("%"): int(np.searchsorted(shares, share)) + 1 for share in SHARES},
    }


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
