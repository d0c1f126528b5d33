"""`brownid project`: from aligned images to latents."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from brownid.cli import files, options, projecting
from brownid.runtime.errors import BrownidError

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
    ] = projecting.BATCH_SIZE,
    template: Annotated[str, typer.Option(help=f"How the crops are aligned: {options.TEMPLATES}.")] = "arcface",
    not_square: options.NotSquare = None,
    seed: options.Seed = 1,
    network_family: options.NetworkFamily = None,
    architecture: options.Architecture = None,
    reads_bytes: options.ReadsBytes = None,
    colour_order: options.ColourOrder = None,
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

    from brownid.covariates.settings import ComparisonSettings, ProjectionSettings
    from brownid.covariates.video import ProgressVideo, check_ending
    from brownid.embeddings.distances import row_angles
    from brownid.facemodel.loading import load_face_model
    from brownid.recognition.embedding import as_network_input
    from brownid.runtime.files import sha256
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
    ComparisonSettings(frame=frame)
    spec = options.generator_spec(generator, factory, side, world_seed, setting)
    network = {"family": network_family, "architecture": architecture, "template": template, "precision": precision}
    network |= {"reads_bytes": reads_bytes, "colour_order": colour_order}
    model = load_face_model({"generator": spec, "network": network}, weights, frame)
    found = files.image_samples(images)
    pixels, kept = files.read_aligned(found, model.side, not_square)
    if not kept:
        raise BrownidError(f"None of the {len(found)} images could be read; nothing was written.")
    targets = as_network_input(torch.from_numpy(pixels)).to(model.device)
    start = projecting.start(model, targets, warm_start, batch_size)
    recording = None if video is None else ProgressVideo(targets, range(len(targets)), iterations)
    features = projecting.features(model, vgg16, vgg16_linear)
    result = projecting.descend(model, targets, start, settings, features, seed, batch_size, recording)
    if recording is not None:
        recording.save(video)
        files.wrote(video)
    embeddings = projecting.embeddings(model, result.latents, seed)
    with torch.no_grad():
        angles = row_angles(model.embed_images(targets).cpu(), embeddings)
    good = [row for row, failed in enumerate(result.failed.tolist()) if not failed]
    for row, sample in enumerate(kept):
        ending = f"loss {result.losses[row]:.4g}, angle to the image {angles[row]:.3f} rad" if row in good else "failed"
        typer.echo(f"{sample.path}: {ending}")
    if not good:
        raise BrownidError("No image could be projected; nothing was written. Is --learning-rate too large?")
    if picture is not None:
        projecting.compare(model, pixels, (start, result.latents), kept, seed, picture)
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
