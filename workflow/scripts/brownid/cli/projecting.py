"""The steps of `brownid project`: its networks, where descent starts, descent, and the picture of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from brownid.errors import BrownidError
from brownid.runtime import default_device

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from brownid.covariates.features import Features
    from brownid.covariates.pictures import Pictures
    from brownid.covariates.projection import Projection
    from brownid.covariates.settings import ProjectionSettings
    from brownid.covariates.video import ProgressVideo
    from brownid.databases.index import Sample
    from brownid.randomness import NoiseKey
    from brownid.recognition.facemodel import FaceModel

PYRAMID_WEIGHT, EMBEDDING_WEIGHT = 1.0, 0.1  # the defaults of the config
BATCH_SIZE = 64


def face_model(
    spec: Mapping[str, Any],
    weights: Path,
    family: str | None,
    architecture: str | None,
    template: str,
    precision: str,
    **pixels: bool | str | None,
) -> FaceModel:
    """Generator, crop to the network's own side, and network; `pixels` are what it reads (see `load_backbone`)."""
    from brownid.generators.loading import load_generator
    from brownid.jobs.crops import crop_for
    from brownid.recognition.facemodel import FaceModel
    from brownid.recognition.weights import load_backbone

    device = default_device()
    generator = load_generator(spec, device)
    network = load_backbone(weights, family, architecture, device=device, **pixels)
    return FaceModel(generator, crop_for(generator, template, network.description.side), network, precision)


def start(pictures: Pictures, targets: Tensor, warm_start: Path | None, batch_size: int) -> Tensor:
    """Where descent starts, `[n, D]`."""
    from brownid.covariates.warm_start import WarmStart

    if warm_start is None:
        typer.echo("Starting from the mean latent: without --warm-start, turned heads are rarely found.", err=True)
        return pictures.latent_mean.expand(len(targets), -1)
    return pictures.starts(WarmStart.load(warm_start), targets, batch_size)


def features(pictures: Pictures, vgg16: Path | None, vgg16_linear: Path | None) -> Features:
    """VGG16 features where there is a file, else those of the workflow's projection."""
    if vgg16 is not None:
        from brownid.covariates.vgg16_files import load_perceptual_features

        return load_perceptual_features(vgg16, vgg16_linear, pictures.model.device)
    if vgg16_linear is not None:
        raise BrownidError("--vgg16-linear means nothing without --vgg16: name the file of VGG16 too, or leave it out.")
    return pictures.features(PYRAMID_WEIGHT, EMBEDDING_WEIGHT)


def descend(
    pictures: Pictures,
    targets: Tensor,
    start: Tensor,
    settings: ProjectionSettings,
    features: Features,
    seed: int,
    batch_size: int,
    watch: ProgressVideo | None,
) -> Projection:
    from brownid.covariates.projection import project
    from brownid.jobs.drawing import generator_spread

    typer.echo(f"Projecting {len(targets)} images, {settings.iterations} iterations ...", err=True)
    return project(
        pictures,
        targets,
        start,
        settings,
        features=features,
        seed=seed,
        items=range(len(targets)),
        latent_spread=generator_spread(pictures.model.generator, seed),
        batch_size=batch_size,
        watch=watch,
    )


def embeddings(model: FaceModel, latents: Tensor, seed: int) -> Tensor:
    """Unit embeddings `[n, E]` of the images of latents."""
    import torch

    with torch.no_grad():
        parts = [model.embed(latents[rows], noise_key) for rows, noise_key in _batches(model, len(latents), seed)]
    return torch.cat(parts).cpu()


def compare(
    pictures: Pictures, pixels: np.ndarray, latents: Sequence[Tensor], kept: Sequence[Sample], seed: int, path: Path
) -> None:
    """Draw each image beside those of its latents before and after descent."""
    import numpy as np
    import torch

    from brownid.figures.faces import image_grid
    from brownid.recognition.embedding import as_bytes

    shown = []
    with torch.no_grad():
        for each in latents:
            batches = _batches(pictures, len(each), seed)
            shown.append(
                np.concatenate([as_bytes(pictures.render(each[rows], noise_key)) for rows, noise_key in batches])
            )
    image_grid(
        [list(row) for row in zip(pixels, *shown, strict=True)],
        path,
        row_labels=[Path(sample.path).stem for sample in kept],
        column_labels=["image", "start", "result"],
    )


def _batches(model: FaceModel | Pictures, count: int, seed: int) -> Iterator[tuple[slice, NoiseKey | None]]:
    """Rows of each batch, with the noise key that a generator with random noise maps needs."""
    from brownid.randomness import NoiseKey

    for first in range(0, count, BATCH_SIZE):
        items = range(first, min(first + BATCH_SIZE, count))
        yield slice(items.start, items.stop), NoiseKey(seed, items, None) if model.needs_noise_key else None
