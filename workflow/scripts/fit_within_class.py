"""Fit the within-class covariance on projected latents."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brownid.covariates.latents import merge_projections
from brownid.covariates.within_class import FEW_PERSONS, WithinClass, save_within_class
from brownid.covariates.within_class import fit_within_class as fit
from brownid.databases.index import DatabaseIndex
from brownid.runtime.files import atomic_path
from brownid.samples.collection import SampleCollection
from brownid.samples.published import W_PLUS

SHARES = (0.5, 0.9, 0.99)  # of the variance, whose number of directions is tabulated


def fit_within_class(
    settings: Mapping[str, Any],
    *,
    shard_samples: Sequence[Path],
    shard_failures: Sequence[Path],
    index: Path,
    within_class: Path,
    table: Path,
    failures: Path,
) -> None:
    """Fit the within-class covariance on all images that were projected, and join the lists of failures.

    It is fitted in W, and also in W+ where the images were projected there; `table` has a row for each. Where
    `selected` in the settings is true, persons with one image in the index were not projected.
    """
    share = settings["maximum_failed_share"]
    merged, failed = merge_projections(shard_samples, shard_failures, failures, share, ("latents", "extra"))
    single = 0
    if settings["selected"]:
        with DatabaseIndex.open(index) as database:
            single = database.counts()[1] - database.persons_with(2)
    pooled = _pooled(merged, single)
    made_by = {"fit": settings, "projection": merged.settings}
    save_within_class(within_class, pooled, generator=settings["generator_name"], settings=made_by)
    with atomic_path(table) as temporary:
        rows = [_row(space, found, failed) for space, found in pooled.items()]
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")


def _pooled(merged: SampleCollection, single: int) -> dict[str, WithinClass]:
    """The within-class covariance by latent space; `single` persons had one image, which was not projected."""
    latents = {"w": merged.columns()["latents"]}
    if W_PLUS in merged.extra:
        latents["w_plus"] = merged.extra[W_PLUS].reshape(len(merged), -1)
    found = {space: fit(values, merged.identities) for space, values in latents.items()}
    if found["w"].persons < FEW_PERSONS:
        logger.warning(
            "the within-class covariance is pooled over %d persons only: it describes these more than faces in general",
            found["w"].persons,
        )
    return {space: replace(each, excluded_persons=each.excluded_persons + single) for space, each in found.items()}


def _row(space: str, found: WithinClass, failed: int) -> dict[str, Any]:
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
        **{f"directions_{share:.0%}".rstrip("%"): _count(found.shares(), share) for share in SHARES},
    }


def _count(shares: np.ndarray, share: float) -> int:
    """The number of leading directions that hold a share of the variance."""
    return int(np.searchsorted(shares, share)) + 1


if __name__ == "__main__":
    run(fit_within_class, snakemake)
