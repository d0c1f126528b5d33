"""`brownid project`: from aligned images to latents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import files, options
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
    from brownid.randomness import Address
    from brownid.recognition.facemodel import FaceModel

PYRAMID_WEIGHT, EMBEDDING_WEIGHT = 1.0, 0.1  # the defaults of the config
BATCH_SIZE = 64
SEARCH = "Search"


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
    video: Annotated[
        Path | None,
        typer.Option(
            metavar="MP4", rich_help_panel=options.OUTPUT, help="The search as a video: .mp4, or .gif, .png, .webp."
        ),
    ] = None,
    warm_start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=SEARCH, help="Where descent starts: a warm start that the workflow fitted."
        ),
    ] = None,
    iterations: Annotated[
        int, typer.Option(min=1, rich_help_panel=SEARCH, help="Updates; 100 are often enough from a warm start.")
    ] = 1000,
    learning_rate: Annotated[
        float, typer.Option(rich_help_panel=SEARCH, help="Of Adam, in latent units an update.")
    ] = 0.1,
    space: Annotated[
        str, typer.Option(rich_help_panel=SEARCH, help="w: one latent for all layers; w_plus: one for each.")
    ] = "w",
    frame: Annotated[
        str,
        typer.Option(
            rich_help_panel=SEARCH,
            help="What is compared: the network's crops, or the generator's whole pictures (ffhq alignment).",
        ),
    ] = "network",
    vgg16: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=SEARCH,
            help="Compare by VGG16 features (LPIPS) instead: torchvision's .pth or NVIDIA's vgg16.pt.",
        ),
    ] = None,
    vgg16_linear: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel=SEARCH, help="Channel weights: vgg.pth of the lpips package."),
    ] = None,
    noise_maps: Annotated[
        bool, typer.Option("--noise-maps", rich_help_panel=SEARCH, help="Optimise the generator's noise maps too.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images side by side; fewer where the memory runs out.")
    ] = BATCH_SIZE,
    template: Annotated[str, typer.Option(help="How the crops are aligned: arcface, two_eye or ffhq.")] = "arcface",
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
    warm start, descent begins at the mean face and rarely turns the head. As
    published for StyleGAN2: --frame generator --vgg16 FILE --noise-maps.

    Examples:
    brownid project face.png -w network.safetensors --picture compared.png
    brownid project aligned -w network.safetensors \\
      --warm-start warm_start.safetensors --iterations 100 -o latents.h5
    """
    import torch

    from brownid.benchmark.distances import row_angles
    from brownid.covariates.pictures import Pictures
    from brownid.covariates.settings import ProjectionSettings
    from brownid.covariates.video import ProgressVideo, check_ending
    from brownid.files import sha256
    from brownid.recognition.embedding import as_network_input
    from brownid.samples.collection import SampleCollection

    if output is picture is video is None:
        raise BrownidError("Say where the result goes: --output FILE.h5, --picture FILE.png, --video FILE.mp4.")
    for path in (output, picture, video):
        files.check_new_file(path, overwrite)
    if video is not None:
        check_ending(video)
    settings = ProjectionSettings(
        iterations=iterations, learning_rate=learning_rate, space=space, noise_maps=noise_maps
    )
    spec = options.generator_spec(generator, factory, side, world_seed, setting)
    model = _face_model(spec, weights, network_family, architecture, template, precision)
    pictures = Pictures(model, frame)
    found = files.image_samples(images)
    pixels, kept = files.read_aligned(found, pictures.side)
    if not kept:
        raise BrownidError(f"None of the {len(found)} images could be read; nothing was written.")
    targets = as_network_input(torch.from_numpy(pixels)).to(model.device)
    start = _start(pictures, targets, warm_start, batch_size)
    recording = None if video is None else ProgressVideo(targets, range(len(targets)), iterations)
    features = _features(pictures, vgg16, vgg16_linear)
    result = _descend(pictures, targets, start, settings, features, seed, batch_size, recording)
    if recording is not None:
        recording.save(video)
        files.wrote(video)
    embeddings = _embeddings(model, result.latents, seed)
    with torch.no_grad():
        angles = row_angles(model.embed_images(pictures.as_network_reads(targets)).cpu(), embeddings)
    good = [row for row, failed in enumerate(result.failed.tolist()) if not failed]
    for row, sample in enumerate(kept):
        ending = f"loss {result.losses[row]:.4g}, angle to the image {angles[row]:.3f} rad" if row in good else "failed"
        typer.echo(f"{sample.path}: {ending}")
    if not good:
        raise BrownidError("No image could be projected; nothing was written. Is --learning-rate too large?")
    if picture is not None:
        _compare(pictures, pixels, (start, result.latents), kept, seed, picture)
        files.wrote(picture)
    if output is not None:
        sums = {"weights": weights, "warm_start": warm_start, "vgg16": vgg16, "vgg16_linear": vgg16_linear}
        SampleCollection(
            **result.columns(good),
            embeddings=embeddings[good],
            identities=[kept[row].identity for row in good],
            labels=[kept[row].key for row in good],
            generator=options.generator_name(generator_name, spec),
            recognition=network_name or weights.stem,
            settings={
                "generator": spec,
                **{f"{name}_sha256": path and sha256(path) for name, path in sums.items()},
                "projection": asdict(settings) | {"frame": frame},
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


def _start(pictures: Pictures, targets: Tensor, warm_start: Path | None, batch_size: int) -> Tensor:
    """Where descent starts, `[n, D]`."""
    from brownid.covariates.warm_start import WarmStart

    if warm_start is None:
        typer.echo("Starting from the mean latent: without --warm-start, turned heads are rarely found.", err=True)
        return pictures.latent_mean.expand(len(targets), -1)
    start = pictures.starts(WarmStart.load(warm_start), targets, batch_size)
    latent_dim = pictures.model.generator.latent_dim
    if start.shape[1] != latent_dim:
        raise BrownidError(
            f"{warm_start}: it predicts latents of {start.shape[1]} numbers, the generator's have {latent_dim}: a warm "
            "start belongs to one generator and network."
        )
    return start


def _features(pictures: Pictures, vgg16: Path | None, vgg16_linear: Path | None) -> Features:
    """VGG16 features where there is a file, else those of the workflow's projection."""
    if vgg16 is not None:
        from brownid.covariates.vgg16_files import load_perceptual_features

        return load_perceptual_features(vgg16, vgg16_linear, pictures.model.device)
    if vgg16_linear is not None:
        raise BrownidError("--vgg16-linear means nothing without --vgg16: name the file of VGG16 too, or leave it out.")
    return pictures.features(PYRAMID_WEIGHT, EMBEDDING_WEIGHT)


def _descend(
    pictures: Pictures,
    targets: Tensor,
    start: Tensor,
    settings: ProjectionSettings,
    features: Features,
    seed: int,
    batch_size: int,
    watch: ProgressVideo | None,
) -> Projection:
    from brownid.covariates.projection import latent_spread, project
    from brownid.jobs.drawing import random_latents
    from brownid.jobs.project_database import SPREAD_SAMPLES

    typer.echo(f"Projecting {len(targets)} images, {settings.iterations} iterations ...", err=True)
    return project(
        pictures,
        targets,
        start,
        settings,
        features=features,
        seed=seed,
        items=range(len(targets)),
        latent_spread=latent_spread(random_latents(pictures.model.generator, range(SPREAD_SAMPLES), 1.0, seed)),
        batch_size=batch_size,
        watch=watch,
    )


def _embeddings(model: FaceModel, latents: Tensor, seed: int) -> Tensor:
    """Unit embeddings `[n, E]` of the images of latents."""
    import torch

    with torch.no_grad():
        parts = [model.embed(latents[rows], address) for rows, address in _batches(model, len(latents), seed)]
    return torch.cat(parts).cpu()


def _compare(
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
            shown.append(np.concatenate([as_bytes(pictures.render(each[rows], address)) for rows, address in batches]))
    image_grid(
        [list(row) for row in zip(pixels, *shown, strict=True)],
        path,
        row_labels=[Path(sample.path).stem for sample in kept],
        column_labels=["image", "start", "result"],
    )


def _batches(model: FaceModel | Pictures, count: int, seed: int) -> Iterator[tuple[slice, Address | None]]:
    """Rows of each batch, with the address of their noise for a generator that has noise of each item's own."""
    from brownid.randomness import Address

    for first in range(0, count, BATCH_SIZE):
        items = range(first, min(first + BATCH_SIZE, count))
        yield slice(items.start, items.stop), Address(seed, items, None) if model.takes_address else None
