"""From a controlled capture to covariates: where projection starts, the projection itself, the SVMs."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from brownid.covariates.attributes import CONTRASTS, sides
from brownid.covariates.features import pixel_pyramid, weighted_features
from brownid.covariates.projection import ProjectionSettings, latent_spread, project
from brownid.covariates.store import save_covariates
from brownid.covariates.svm import Covariate, classification_accuracy, fit_covariate
from brownid.covariates.warm_start import WarmStart, WarmStartSettings
from brownid.covariates.warm_start import fit_warm_start as fit
from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.reading import read_images, write_failures
from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.jobs.models import load_face_model, random_latents
from brownid.runtime import logger
from brownid.samples.collection import SampleCollection

FITTED, HELD_OUT = "train", "eval"
SPREAD_SAMPLES = 1000  # random latents from which the spread is measured that projection noise is a part of


def fit_warm_start(settings: Mapping[str, Any], *, weights: Path, warm_start: Path) -> None:
    """Write the linear map from an image to the latent where its projection starts."""
    model = load_face_model(settings, weights)
    fitted = fit(
        model.generator,
        model.render,
        WarmStartSettings(**settings["warm_start"]),
        seed=settings["seed"],
        embed=model.embed_images,
    )
    fitted.save(warm_start)


def project_database(
    settings: Mapping[str, Any],
    *,
    index: Path,
    weights: Path,
    warm_start: Path,
    shard: int,
    shards: int,
    samples: Path,
    failures: Path,
) -> None:
    """Write the latents of one shard (1 to `shards`) of a database's images, and the images that failed.

    The collection's labels are the keys of the images in the database's index.
    """
    projected = projected_images(index)
    bounds = np.linspace(0, len(projected), shards + 1).astype(int)
    first, chosen = bounds[shard - 1], projected[bounds[shard - 1] : bounds[shard]]
    images, kept, failed = read_images(
        chosen, settings["root"], settings["network"]["side"], settings["maximum_failed_share"]
    )
    model = load_face_model(settings, weights)
    targets = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    place = {sample.key: first + row for row, sample in enumerate(chosen)}
    with torch.no_grad():
        start = WarmStart.load(warm_start).predict(targets, model.embed_images)
    options = dict(settings["projection"])
    if options["maximum_loss"] is None:
        del options["maximum_loss"]
    features = weighted_features(
        [(options.pop("pyramid_weight"), pixel_pyramid()), (options.pop("embedding_weight"), model.embed_images)]
    )
    result = project(
        model,
        targets,
        start,
        ProjectionSettings(**options),
        features=features,
        seed=settings["seed"],
        items=[place[sample.key] for sample in kept],
        latent_spread=latent_spread(random_latents(model.generator, range(SPREAD_SAMPLES), 1.0, settings["seed"])),
    )
    failed += [
        (sample.path, f"the projection's loss is {loss:.4g}")
        for sample, loss, bad in zip(kept, result.losses.tolist(), result.failed.tolist(), strict=True)
        if bad
    ]
    logger.info(
        "projected %d of %d images, mean loss %.4g", len(chosen) - len(failed), len(chosen), result.losses.mean()
    )
    write_failures(failures, failed)
    good = np.flatnonzero(~result.failed.numpy())
    SampleCollection(
        latents=result.latents[good],
        embeddings=None,
        identities=np.array([kept[row].identity for row in good], dtype=np.int64),
        labels=[kept[row].key for row in good],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)


def projected_images(index: Path) -> list[Sample]:
    """The images that covariates are fitted and tested on, each once, in the index's order."""
    with DatabaseIndex.open(index) as database:
        groups = [group for group in (FITTED, HELD_OUT) if group in database.groups()]
        protocols = {contrast.protocol for contrast in CONTRASTS.values()}
        found = [database.samples(group=group, protocol=name) for group in groups for name in sorted(protocols)]
    samples = {sample.key: sample for group in found for sample in group}
    return sorted(samples.values(), key=lambda sample: sample.key)


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
    merged = SampleCollection.concatenate(SampleCollection.load(path) for path in shard_samples)
    rows = dict(zip(merged.labels, range(len(merged)), strict=True))
    fitted, table = {}, []
    with DatabaseIndex.open(index) as database:
        for name, contrast in CONTRASTS.items():
            latents, positive = _side_latents(database, name, FITTED, merged.latents, rows)
            covariate = fit_covariate(latents, positive)
            fitted[name] = covariate
            held_out = None
            if HELD_OUT in database.groups(contrast.protocol):
                held_out = _held_out_accuracy(database, name, covariate, merged.latents, rows)
            table.append(_summary(name, covariate, held_out))
    save_covariates(covariates, fitted, generator=settings["generator_name"])
    with atomic_path(summary) as temporary:
        pd.DataFrame(table).to_csv(temporary, index=False, float_format="%.4f")
    listed = pd.concat([pd.read_csv(path, quoting=csv.QUOTE_MINIMAL) for path in shard_failures])
    with atomic_path(failures) as temporary:
        listed.to_csv(temporary, index=False)
    total = len(merged) + len(listed)
    logger.info("%d of %d images failed", len(listed), total)
    if len(listed) > settings["maximum_failed_share"] * total:
        raise BrownidError(
            f"{len(listed)} of {total} images could not be projected, more than images.maximum_failed_share "
            f"({settings['maximum_failed_share']}) allows: see {failures}"
        )


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
