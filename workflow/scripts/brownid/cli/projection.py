"""`brownid project`: from aligned images to latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import files, options
from brownid.errors import BrownidError
from brownid.runtime import default_device

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from brownid.covariates.projection import Projection
    from brownid.databases.index import Sample
    from brownid.recognition.facemodel import FaceModel

PYRAMID_WEIGHT, EMBEDDING_WEIGHT = 1.0, 0.1  # the defaults of the config
BATCH_SIZE = 64


def project(
    images: Annotated[list[Path], typer.Argument(help="Aligned crops: image files and folders.")],
    weights: options.Weights,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="H5", rich_help_panel=options.OUTPUT, help="The collection to write."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="PNG", rich_help_panel=options.OUTPUT, help="Each image beside the start and the result."),
    ] = None,
    warm_start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where descent starts: a warm start that the workflow fitted.")
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Updates; 100 are often enough from a warm start.")] = 1000,
    learning_rate: Annotated[float, typer.Option(help="Of Adam, in latent units an update.")] = 0.1,
    template: Annotated[str, typer.Option(help="How the images are aligned: arcface, two_eye or ffhq.")] = "arcface",
    seed: options.Seed = 1,
    network_family: options.NetworkFamily = None,
    architecture: options.Architecture = None,
    network_name: options.NetworkName = None,
    precision: options.Precision = "float32",
    generator: options.Family = None,
    factory: options.Factory = None,
    side: options.Side = None,
    world_seed: options.WorldSeed = None,
    setting: options.GeneratorSettings = None,
    generator_name: options.GeneratorName = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Find the latents whose images are closest to aligned images.

    The network helps to compare, and its crops are what is compared. Without a
    warm start, descent begins at the mean face and rarely turns the head.

    Examples:
    brownid project face.png -w network.safetensors --picture compared.png
    brownid project aligned -w network.safetensors \\
      --warm-start warm_start.safetensors --iterations 100 -o latents.h5
    """
    import torch

    from brownid.benchmark.distances import row_angles
    from brownid.files import sha256
    from brownid.recognition.embedding import as_network_input
    from brownid.samples.collection import SampleCollection

    if output is None and picture is None:
        raise BrownidError("Say where the result goes: --output FILE.h5, --picture FILE.png, or both.")
    files.check_new_file(output, overwrite)
    files.check_new_file(picture, overwrite)
    spec = options.generator_spec(generator, factory, side, world_seed, setting)
    model = _face_model(spec, weights, network_family, architecture, template, precision)
    found = files.image_samples(images)
    pixels, kept = files.read_aligned(found, model.network.description.side)
    if not kept:
        raise BrownidError(f"None of the {len(found)} images could be read; nothing was written.")
    targets = as_network_input(torch.from_numpy(pixels)).to(model.device)
    start, result = _project(model, targets, warm_start, iterations, learning_rate, seed)
    embeddings = _embeddings(model, result.latents)
    with torch.no_grad():
        angles = row_angles(model.embed_images(targets).cpu(), embeddings)
    good = [row for row, failed in enumerate(result.failed.tolist()) if not failed]
    for row, sample in enumerate(kept):
        ending = f"loss {result.losses[row]:.4g}, angle to the image {angles[row]:.3f} rad" if row in good else "failed"
        typer.echo(f"{sample.path}: {ending}")
    if not good:
        raise BrownidError("No image could be projected; nothing was written. Is --learning-rate too large?")
    if picture is not None:
        _compare(model, pixels, (start, result.latents), kept, picture)
        files.wrote(picture)
    if output is not None:
        SampleCollection(
            latents=result.latents[good],
            embeddings=embeddings[good],
            identities=[kept[row].identity for row in good],
            labels=[kept[row].key for row in good],
            generator=options.generator_name(generator_name, spec),
            recognition=network_name or weights.stem,
            settings={
                "generator": spec,
                "weights_sha256": sha256(weights),
                "warm_start_sha256": None if warm_start is None else sha256(warm_start),
                "projection": {"iterations": iterations, "learning_rate": learning_rate},
                "seed": seed,
            },
        ).save(output)
        files.wrote(output, f"{len(good)} latents, {len(found) - len(good)} images failed")


def _face_model(
    spec: Mapping[str, Any],
    weights: Path,
    family: str | None,
    architecture: str | None,
    template: str,
    precision: str,
) -> FaceModel:
    """Generator, crop to the network's own side, and network."""
    from brownid.generators.loading import load_generator
    from brownid.jobs.crops import crop_for
    from brownid.recognition.facemodel import FaceModel
    from brownid.recognition.weights import load_backbone

    device = default_device()
    generator = load_generator(spec, device)
    network = load_backbone(weights, family, architecture, device=device)
    return FaceModel(generator, crop_for(generator, template, network.description.side), network, precision)


def _project(
    model: FaceModel, targets: Tensor, warm_start: Path | None, iterations: int, learning_rate: float, seed: int
) -> tuple[Tensor, Projection]:
    """Where descent started `[n, D]`, and its result, with the features of the workflow's projection."""
    import torch

    from brownid.covariates.features import pixel_pyramid, weighted_features
    from brownid.covariates.projection import ProjectionSettings, latent_spread
    from brownid.covariates.projection import project as descend
    from brownid.covariates.warm_start import WarmStart
    from brownid.jobs.drawing import random_latents
    from brownid.jobs.project_database import SPREAD_SAMPLES

    settings = ProjectionSettings(iterations=iterations, learning_rate=learning_rate)
    if warm_start is None:
        typer.echo("Starting from the mean latent: without --warm-start, turned heads are rarely found.", err=True)
        start = model.latent_mean.expand(len(targets), -1)
    else:
        with torch.no_grad():
            start = WarmStart.load(warm_start).predict(targets, model.embed_images)
        if start.shape[1] != model.generator.latent_dim:
            raise BrownidError(
                f"{warm_start}: it predicts latents of {start.shape[1]} numbers, the generator's have "
                f"{model.generator.latent_dim}: a warm start belongs to one generator and network."
            )
    typer.echo(f"Projecting {len(targets)} images, {iterations} iterations ...", err=True)
    result = descend(
        model,
        targets,
        start,
        settings,
        features=weighted_features([(PYRAMID_WEIGHT, pixel_pyramid()), (EMBEDDING_WEIGHT, model.embed_images)]),
        seed=seed,
        items=range(len(targets)),
        latent_spread=latent_spread(random_latents(model.generator, range(SPREAD_SAMPLES), 1.0, seed)),
        batch_size=BATCH_SIZE,
    )
    return start, result


def _embeddings(model: FaceModel, latents: Tensor) -> Tensor:
    """Unit embeddings `[n, E]` of the images of latents."""
    import torch

    with torch.no_grad():
        return torch.cat([model.embed(batch) for batch in latents.split(BATCH_SIZE)]).cpu()


def _compare(
    model: FaceModel, pixels: np.ndarray, latents: Sequence[Tensor], kept: Sequence[Sample], path: Path
) -> None:
    """Draw each image beside those of its latents before and after descent."""
    import numpy as np

    from brownid.figures.faces import image_grid
    from brownid.jobs.rendering import render

    shown = [
        np.concatenate([render(model.generator, model.crop, part) for part in rows.split(BATCH_SIZE)])
        for rows in latents
    ]
    image_grid(
        [list(row) for row in zip(pixels, *shown, strict=True)],
        path,
        row_labels=[Path(sample.path).stem for sample in kept],
        column_labels=["image", "start", "result"],
    )
