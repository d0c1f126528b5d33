"""`brownid project`: from aligned images to latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brownid.cli import files, options, settings
from brownid.covariates.settings import ComparisonSettings, ProjectionSettings
from brownid.runtime.errors import BrownidError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from brownid.covariates.features import Features
    from brownid.covariates.projection import Projection
    from brownid.databases.index import Sample
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.samples.collection import SampleCollection

BATCH_SIZE = 64
# Files say how images are compared and where descent starts.
SETTINGS = {
    "": settings.of(ProjectionSettings, ComparisonSettings, without=("start", "features")),
    "generator": settings.generator,
    "network": settings.network,
}

Picture = Annotated[
    Path | None,
    typer.Option(metavar="PNG", rich_help_panel=options.OUTPUT, help="Each image next to the start and the result."),
]
Video = Annotated[
    Path | None,
    typer.Option(
        metavar="MP4", rich_help_panel=options.OUTPUT, help="The search as a video: .mp4, or .gif, .png, .webp."
    ),
]
Guess = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where descent starts: a warm start that the workflow fitted."),
]
VGG16 = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Compare by VGG16 features (LPIPS): torchvision's .pth or NVIDIA's vgg16.pt."),
]
Linear = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Channel weights of these features: vgg.pth of the lpips package."),
]
BatchSize = Annotated[
    int, typer.Option(metavar="NUMBER", min=1, help="Images per batch; fewer where the memory runs out.")
]


def project(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Aligned crops: image files and folders.")],
    weights: options.Weights,
    output: options.OptionalOutput = None,
    picture: Picture = None,
    video: Video = None,
    warm_start: Guess = None,
    vgg16: VGG16 = None,
    vgg16_linear: Linear = None,
    batch_size: BatchSize = BATCH_SIZE,
    not_square: options.NotSquare = None,
    seed: options.Seed = 1,
    generator: options.GeneratorChoice = None,
    setting: settings.Given = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Find the latents whose images are closest to aligned images.

    The network helps to compare, and its crops are what is compared. Without a
    warm start, descent begins at the mean face and rarely turns the head. As
    published for StyleGAN2: --set frame=generator --vgg16 FILE --set noise_maps=true.

    Examples:
    brownid project face.png -w network.safetensors --picture compared.png
    brownid project aligned -w network.safetensors \\
      --warm-start warm_start.safetensors --set iterations=100 -o latents.h5
    """
    import torch

    from brownid.embeddings.distances import row_angles
    from brownid.facemodel.loading import load_face_model
    from brownid.recognition.embedding import as_network_input

    _check_outputs(output, picture, video, overwrite)
    chosen = settings.read(setting, SETTINGS)
    projection, compared = ProjectionSettings.within(chosen[""]), ComparisonSettings.within(chosen[""])
    spec = options.generator_spec(generator, chosen["generator"])
    sections = {"generator": spec, "network": options.network_spec(chosen["network"])}
    model = load_face_model(sections, weights, compared.frame)
    found = files.image_samples(images)
    pixels, kept = files.read_aligned(found, model.image_size, not_square)
    if not kept:
        raise BrownidError(f"None of the {len(found)} images could be read; nothing was written.")
    targets = as_network_input(torch.from_numpy(pixels)).to(model.device)
    start = _start(model, targets, warm_start, batch_size)
    features = _features(model, compared, vgg16, vgg16_linear)
    result = _descend(model, targets, start, projection, features, seed, batch_size, video)
    embeddings = _embeddings(model, result.latents, seed)
    with torch.no_grad():
        angles = row_angles(model.embed_images(targets).cpu(), embeddings)
    good = [row for row, failed in enumerate(result.failed.tolist()) if not failed]
    for row, sample in enumerate(kept):
        ending = f"loss {result.losses[row]:.4g}, angle to the image {angles[row]:.3f} rad" if row in good else "failed"
        typer.echo(f"{sample.path}: {ending}")
    if not good:
        raise BrownidError("No image could be projected; nothing was written. Is learning_rate too large?")
    if picture is not None:
        _compare(model, pixels, (start, result.latents), kept, seed, picture)
        files.wrote(picture)
    if output is not None:
        recorded = {
            "generator": spec,
            **files.checksums(weights=weights, warm_start=warm_start, vgg16=vgg16, vgg16_linear=vgg16_linear),
            "projection": asdict(projection) | {"frame": compared.frame},
            "seed": seed,
        }
        names = options.generator_name(chosen["generator"], spec), chosen["network"].get("name") or weights.stem
        _collection(result, embeddings, good, kept, names, recorded).save(output)
        files.wrote(output, f"{len(good)} latents, {len(found) - len(good)} images failed")


def _check_outputs(output: Path | None, picture: Path | None, video: Path | None, overwrite: bool) -> None:
    from brownid.covariates.video import check_ending

    if output is picture is video is None:
        raise BrownidError("There is nothing to write: give --output FILE.h5, --picture FILE.png or --video FILE.mp4.")
    files.check_new_files(overwrite, output, picture, video)
    if video is not None:
        check_ending(video)


def _collection(
    result: Projection,
    embeddings: Tensor,
    good: Sequence[int],
    kept: Sequence[Sample],
    names: tuple[str, str],
    recorded: dict[str, Any],
) -> SampleCollection:
    """The latents found, of the images in the rows `good`; `names` are those of generator and network."""
    from brownid.samples.collection import SampleCollection

    return SampleCollection(
        **result.columns(good),
        embeddings=embeddings[good],
        identities=[kept[row].identity for row in good],
        labels=[kept[row].key for row in good],
        generator=names[0],
        recognition=names[1],
        settings=recorded,
    )


def _start(model: GeneratorFaceModel, targets: Tensor, warm_start: Path | None, batch_size: int) -> Tensor:
    """Initial latents, `[n, D]`."""
    from brownid.covariates.warm_start import WarmStart

    if warm_start is None:
        typer.echo("Starting from the mean latent: without --warm-start, turned heads are rarely found.", err=True)
        return model.latent_mean.expand(len(targets), -1)
    return WarmStart.load(warm_start).starts(model, targets, batch_size)


def _features(
    model: GeneratorFaceModel, compared: ComparisonSettings, vgg16: Path | None, vgg16_linear: Path | None
) -> Features:
    """VGG16 features where there is a file, else those of the workflow's projection."""
    if vgg16 is not None:
        from brownid.covariates.features import load_perceptual_features

        return load_perceptual_features(vgg16, vgg16_linear, model.device, compared.vgg16_precision)
    if vgg16_linear is not None:
        raise BrownidError("--vgg16-linear means nothing without --vgg16: name the file of VGG16 too, or leave it out.")
    from brownid.covariates.features import pixels_and_embedding

    return pixels_and_embedding(model, compared.pyramid_weight, compared.embedding_weight)


def _descend(
    model: GeneratorFaceModel,
    targets: Tensor,
    start: Tensor,
    projection: ProjectionSettings,
    features: Features,
    seed: int,
    batch_size: int,
    video: Path | None,
) -> Projection:
    """Project the images; where `video` names a file, the search is written to it."""
    from brownid.covariates.projection import project
    from brownid.covariates.video import ProgressVideo
    from brownid.facemodel.loading import generator_latent_std

    typer.echo(f"Projecting {len(targets)} images, {projection.iterations} iterations ...", err=True)
    watch = None if video is None else ProgressVideo(targets, range(len(targets)), projection.iterations)
    result = project(
        model,
        targets,
        start,
        projection,
        features=features,
        seed=seed,
        items=range(len(targets)),
        latent_std=generator_latent_std(model.generator, seed),
        batch_size=batch_size,
        watch=watch,
    )
    if watch is not None and video is not None:
        watch.save(video)
        files.wrote(video)
    return result


def _embeddings(model: GeneratorFaceModel, latents: Tensor, seed: int) -> Tensor:
    """Unit embeddings `[n, E]` of the images of latents."""
    from brownid.facemodel.batched import BatchedFaceModel

    return BatchedFaceModel(model, BATCH_SIZE, seed).embed(latents, range(len(latents))).cpu()


def _compare(
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

        return np.concatenate(Batching(BATCH_SIZE).limited(model).map(len(latents), work))

    shown = [rendered(each) for each in latents]
    image_grid(
        [list(row) for row in zip(pixels, *shown, strict=True)],
        path,
        row_labels=[Path(sample.path).stem for sample in kept],
        column_labels=["image", "start", "result"],
    )
