"""The steps of `brownid project`: where descent starts, descent, and the picture of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from brownid.covariates.features import Features
    from brownid.covariates.projection import Projection
    from brownid.covariates.settings import ProjectionSettings
    from brownid.covariates.video import ProgressVideo
    from brownid.databases.index import Sample
    from brownid.facemodel.model import GeneratorFaceModel

PYRAMID_WEIGHT, EMBEDDING_WEIGHT = 1.0, 0.1  # the defaults of the config
BATCH_SIZE = 64


def start(model: GeneratorFaceModel, targets: Tensor, warm_start: Path | None, batch_size: int) -> Tensor:
    """Where descent starts, `[n, D]`."""
    from brownid.covariates.warm_start import WarmStart

    if warm_start is None:
        typer.echo("Starting from the mean latent: without --warm-start, turned heads are rarely found.", err=True)
        return model.latent_mean.expand(len(targets), -1)
    return WarmStart.load(warm_start).starts(model, targets, batch_size)


def features(model: GeneratorFaceModel, vgg16: Path | None, vgg16_linear: Path | None) -> Features:
    """VGG16 features where there is a file, else those of the workflow's projection."""
    if vgg16 is not None:
        from brownid.covariates.features import load_perceptual_features

        return load_perceptual_features(vgg16, vgg16_linear, model.device)
    if vgg16_linear is not None:
        raise BrownidError("--vgg16-linear means nothing without --vgg16: name the file of VGG16 too, or leave it out.")
    from brownid.covariates.features import pixels_and_embedding

    return pixels_and_embedding(model, PYRAMID_WEIGHT, EMBEDDING_WEIGHT)


def descend(
    model: GeneratorFaceModel,
    targets: Tensor,
    start: Tensor,
    settings: ProjectionSettings,
    features: Features,
    seed: int,
    batch_size: int,
    watch: ProgressVideo | None,
) -> Projection:
    from brownid.covariates.projection import project
    from brownid.facemodel.loading import generator_spread

    typer.echo(f"Projecting {len(targets)} images, {settings.iterations} iterations ...", err=True)
    return project(
        model,
        targets,
        start,
        settings,
        features=features,
        seed=seed,
        items=range(len(targets)),
        latent_spread=generator_spread(model.generator, seed),
        batch_size=batch_size,
        watch=watch,
    )


def embeddings(model: GeneratorFaceModel, latents: Tensor, seed: int) -> Tensor:
    """Unit embeddings `[n, E]` of the images of latents."""
    from brownid.facemodel.batched import BatchedFaceModel

    return BatchedFaceModel(model, BATCH_SIZE, seed).embed(latents, range(len(latents))).cpu()


def compare(
    model: GeneratorFaceModel,
    pixels: np.ndarray,
    latents: Sequence[Tensor],
    kept: Sequence[Sample],
    seed: int,
    path: Path,
) -> None:
    """Draw each image next to those of its latents before and after descent."""
    import numpy as np
    import torch

    from brownid.figures.faces import image_grid
    from brownid.recognition.embedding import as_bytes
    from brownid.runtime.precision import Batching
    from brownid.runtime.randomness import NoiseKey

    noise_key = NoiseKey(seed, range(len(pixels)), None)

    @torch.no_grad()
    def rendered(latents: Tensor) -> np.ndarray:
        def work(rows: slice) -> np.ndarray:
            return as_bytes(model.render(latents[rows], noise_key.rows(rows)))

        return np.concatenate(Batching(BATCH_SIZE).map(len(latents), work))

    shown = [rendered(each) for each in latents]
    image_grid(
        [list(row) for row in zip(pixels, *shown, strict=True)],
        path,
        row_labels=[Path(sample.path).stem for sample in kept],
        column_labels=["image", "start", "result"],
    )
