"""Project the images of a controlled capture into latent space."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.covariates.attributes import CONTRASTS
from brownid.covariates.features import pixel_pyramid, weighted_features
from brownid.covariates.projection import ProjectionSettings, latent_spread, project
from brownid.covariates.warm_start import WarmStart
from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.reading import read_images, write_failures
from brownid.jobs.drawing import random_latents
from brownid.jobs.groups import FITTED, HELD_OUT
from brownid.jobs.models import load_face_model
from brownid.jobs.sharding import shard_of
from brownid.recognition.embedding import as_network_input
from brownid.recognition.facemodel import FaceModel
from brownid.runtime import logger
from brownid.samples.collection import SampleCollection

SPREAD_SAMPLES = 1000  # random latents from which the spread is measured that projection noise is a part of
BATCH_SIZE = 64


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
    projected = _projected_images(index)
    place = {sample.key: number for number, sample in enumerate(projected)}
    chosen = shard_of(projected, shard, shards)
    images, kept, failed = read_images(
        chosen, settings["root"], settings["network"]["side"], settings["maximum_failed_share"]
    )
    model = load_face_model(settings, weights)
    targets = as_network_input(torch.from_numpy(images))
    options = dict(settings["projection"])
    if options["maximum_loss"] is None:
        del options["maximum_loss"]
    features = weighted_features(
        [(options.pop("pyramid_weight"), pixel_pyramid()), (options.pop("embedding_weight"), model.embed_images)]
    )
    result = project(
        model,
        targets,
        _start(WarmStart.load(warm_start), model, targets),
        ProjectionSettings(**options),
        features=features,
        seed=settings["seed"],
        items=[place[sample.key] for sample in kept],
        latent_spread=latent_spread(random_latents(model.generator, range(SPREAD_SAMPLES), 1.0, settings["seed"])),
        batch_size=BATCH_SIZE,
    )
    beyond = [
        (sample.path, f"the projection's loss is {loss:.4g}")
        for sample, loss, bad in zip(kept, result.losses.tolist(), result.failed.tolist(), strict=True)
        if bad
    ]
    for path, reason in beyond:
        logger.warning("%s: %s", Path(settings["root"]) / path, reason)
    good = np.flatnonzero(~result.failed.numpy())
    logger.info("projected %d of %d images, mean loss %.4g", len(good), len(chosen), result.losses[good].mean())
    SampleCollection(
        latents=result.latents[good],
        embeddings=None,
        identities=np.array([kept[row].identity for row in good], dtype=np.int64),
        labels=[kept[row].key for row in good],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)
    write_failures(failures, failed + beyond)


@torch.no_grad()
def _start(warm_start: WarmStart, model: FaceModel, targets: torch.Tensor) -> torch.Tensor:
    """Where the projection of each image starts `[n, D]`, on the model's device; the targets stay where they are."""
    batches = targets.split(BATCH_SIZE)
    return torch.cat([warm_start.predict(batch.to(model.device), model.embed_images) for batch in batches])


def _projected_images(index: Path) -> list[Sample]:
    """The images that covariates are fitted and tested on, each once, in the index's order."""
    with DatabaseIndex.open(index) as database:
        groups = [group for group in (FITTED, HELD_OUT) if group in database.groups()]
        protocols = {contrast.protocol for contrast in CONTRASTS.values()}
        found = [database.samples(group=group, protocol=name) for group in groups for name in sorted(protocols)]
    samples = {sample.key: sample for group in found for sample in group}
    return sorted(samples.values(), key=lambda sample: sample.key)
