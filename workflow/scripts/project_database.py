"""Project the images of a database with identities into latent space."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.covariates.directions import CONTRASTS, FITTED, HELD_OUT
from brownid.covariates.features import Features, load_perceptual_features, pixels_and_embedding
from brownid.covariates.projection import Projection, project
from brownid.covariates.settings import ComparisonSettings, ProjectionSettings
from brownid.covariates.warm_start import WarmStart
from brownid.covariates.within_class import check_pooled
from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.reading import image_aligner, read_images, write_failures
from brownid.facemodel.loading import generator_checksums, generator_latent_std, load_face_model
from brownid.facemodel.model import GeneratorFaceModel
from brownid.jobs.resume import discard_state, job_state, open_state
from brownid.recognition.embedding import as_network_input
from brownid.runtime.files import sha256
from brownid.runtime.randomness import stream
from brownid.samples.collection import SampleCollection, shard_of


def project_database(
    settings: Mapping[str, Any],
    *,
    index: Path,
    weights: Path,
    warm_start: Path | None,
    shard: int,
    shards: int,
    samples: Path,
    failures: Path,
    vgg16: Path | None = None,
    vgg16_linear: Path | None = None,
    detector: Mapping[str, Any] | None = None,
    batch_size: int = 64,
    state: Path | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
) -> None:
    """Write the latents of one shard (1 to `shards`) of a database's images, and the images that failed.

    The collection's labels are the keys of the images in the database's index. In W+ its column `w_plus_latent`
    `[n, L, D]` holds what was found, and `latents` the mean over the layers, which the covariates are fitted on.
    Without a `warm_start` all images start at the mean latent. The job goes on from the folder `state`, this shard's
    own, where an interrupted job of the same `code`, settings, inputs and images left something, and saves there as
    often as `saving` (`iterations`, `minutes`) says.
    """
    compared = ComparisonSettings.within(settings["projection"])
    candidates = _candidates(index, settings.get("selection"))
    place = {sample.key: number for number, sample in enumerate(candidates)}
    chosen = shard_of(_selected(candidates, settings.get("selection"), settings["seed"]), shard, shards)
    model = load_face_model(settings, weights, compared.frame)
    align = image_aligner(settings.get("alignment"), model.image_size, detector, settings.get("not_square"))
    images, kept, failed = read_images(
        chosen, settings["root"], model.image_size, settings["maximum_failed_share"], align
    )
    files = {"weights": weights, "warm_start": warm_start, "vgg16": vgg16, "vgg16_linear": vgg16_linear}
    inputs = {name: sha256(path) if path else None for name, path in files.items()}
    inputs |= generator_checksums(settings)
    inputs["images"] = hashlib.sha256(images.tobytes()).hexdigest()
    described = job_state(state, settings, code, inputs, saving, shard=f"{shard} of {shards}")
    targets = as_network_input(torch.from_numpy(images))
    start = model.latent_mean
    if warm_start is not None:
        start = WarmStart.load(warm_start).starts(model, targets, batch_size)
    result = project(
        model,
        targets,
        start,
        ProjectionSettings.within(settings["projection"]),
        features=_features(compared, model, vgg16, vgg16_linear),
        seed=settings["seed"],
        items=[place[sample.key] for sample in kept],
        latent_std=generator_latent_std(model.generator, settings["seed"]),
        batch_size=batch_size,
        state=open_state(described),
    )
    beyond = _beyond_the_limit(kept, result, settings["root"])
    good = np.flatnonzero(~result.failed.numpy()).tolist()
    logger.info("projected %d of %d images, mean loss %.4g", len(good), len(chosen), result.losses[good].mean())
    SampleCollection(
        **result.columns(good),
        embeddings=None,
        identities=np.array([kept[row].identity for row in good], dtype=np.int64),
        labels=[kept[row].key for row in good],
        generator=settings["generator_name"],
        recognition=settings["network_name"],
        settings=settings,
    ).save(samples)
    write_failures(failures, failed + beyond)
    discard_state(state)


def _beyond_the_limit(kept: Sequence[Sample], result: Projection, root: str) -> list[tuple[str, str]]:
    """Path and reason of each image whose projection ended with too large a loss; they are logged."""
    beyond = [
        (sample.path, f"the projection's loss is {loss:.4g}")
        for sample, loss, bad in zip(kept, result.losses.tolist(), result.failed.tolist(), strict=True)
        if bad
    ]
    for path, reason in beyond:
        logger.warning("%s: %s", Path(root) / path, reason)
    return beyond


def _features(
    compared: ComparisonSettings, model: GeneratorFaceModel, vgg16: Path | None, vgg16_linear: Path | None
) -> Features:
    """The features of the loss, by name in the settings."""
    if compared.features == "vgg16":
        assert vgg16 is not None  # a configuration without it is refused
        return load_perceptual_features(vgg16, vgg16_linear, model.device, compared.vgg16_precision)
    return pixels_and_embedding(model, compared.pyramid_weight, compared.embedding_weight)


def _candidates(index: Path, selection: Mapping[str, int | None] | None) -> list[Sample]:
    """The images that may be projected, each once, in the order of their keys.

    Without a `selection` these are the images of MultiPIE's protocols that covariates are fitted and tested on, else
    all images of persons who have several.
    """
    with DatabaseIndex.open(index) as database:
        if selection is None:
            groups = [group for group in (FITTED, HELD_OUT) if group in database.groups()]
            protocols = {contrast.protocol for contrast in CONTRASTS.values()}
            found = [database.samples(group=group, protocol=name) for group in groups for name in sorted(protocols)]
            samples = list({sample.key: sample for group in found for sample in group}.values())
        else:
            samples = database.samples()
    counts = Counter(sample.identity for sample in samples)
    check_pooled(sum(count > 1 for count in counts.values()), len(counts), f"The database index {index} has")
    if selection is not None:
        samples = [sample for sample in samples if counts[sample.identity] > 1]
    return sorted(samples, key=lambda sample: sample.key)


def _selected(candidates: Sequence[Sample], selection: Mapping[str, int | None] | None, seed: int) -> list[Sample]:
    """The candidates of at most `persons` persons, at most `images_per_person` of each, drawn at random.

    The number that each person and each image is drawn by is its own: a larger selection contains a smaller one.
    """
    selection = selection or {}
    persons, images = selection.get("persons"), selection.get("images_per_person")

    def order(purpose: str, number: int) -> float:
        return stream(seed, f"projection/{purpose}", number).random()

    identities = sorted({sample.identity for sample in candidates})
    kept = set(sorted(identities, key=lambda identity: order("persons", identity))[:persons])
    rows: dict[int, list[int]] = {}
    for row, sample in enumerate(candidates):
        if sample.identity in kept:
            rows.setdefault(sample.identity, []).append(row)
    chosen = [row for own in rows.values() for row in sorted(own, key=lambda row: order("images", row))[:images]]
    return [candidates[row] for row in sorted(chosen)]


if __name__ == "__main__":
    database = snakemake.config["covariates"][snakemake.wildcards.covariates]["database"]
    alignment = snakemake.config["databases"][database]["alignment"] or {}
    run(project_database, snakemake, detector=snakemake.config["detectors"].get(alignment.get("detector")))
