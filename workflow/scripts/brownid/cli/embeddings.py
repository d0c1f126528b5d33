"""`brownid embed`: aligned images as embeddings, and the angles between a few."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid.cli import files, networks, options, settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress

if TYPE_CHECKING:
    import numpy as np

FEW = 12  # images between which every angle is printed
PORTION = 2048  # images held in memory at a time


SETTINGS = {"network": settings.network}


def embed(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Aligned crops: image files and folders.")],
    weights: options.Weights,
    output: options.OptionalOutput = None,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="Add the embedding of the mirror image, as benchmarks are scored."),
    ] = False,
    not_square: options.NotSquare = None,
    setting: settings.Given = None,
    batch_size: options.BatchSize = 256,
    overwrite: options.Overwrite = False,
) -> None:
    """Embed aligned images, and print the angles between a few.

    A folder of folders, one per person, gives each person one identity; any other
    image is an identity of its own. Images that cannot be read are reported.

    Examples:
    brownid embed first.png second.png --weights network.safetensors
    brownid embed aligned --weights network.safetensors -o embeddings.h5
    brownid embed aligned --weights w600k_r50.onnx -o embeddings.h5
    """
    import numpy as np

    from brownid.recognition.embedding import embed_images
    from brownid.runtime.files import sha256
    from brownid.samples.collection import SampleCollection

    files.check_new_file(output, overwrite)
    found = files.image_samples(images)
    if output is None and len(found) > FEW:
        raise BrownidError(
            f"{len(found)} images are too many to print their angles ({FEW} at most): "
            "name a collection to write, --output FILE.h5."
        )
    given = settings.read(setting, SETTINGS)["network"]
    network, described = networks.load(weights, given)
    rows, kept = [], []
    starts = range(0, len(found), PORTION)
    for start in progress(starts, "embed", "portion") if len(starts) > 1 else starts:
        pixels, readable = files.read_aligned(
            found[start : start + PORTION], network.description.image_size, not_square
        )
        rows.append(embed_images(network, pixels, batch_size, mirror, described["precision"]).numpy())
        kept += readable
    if not kept:
        raise BrownidError(f"None of the {len(found)} images could be read; nothing was written.")
    collection = SampleCollection(
        latents=None,
        embeddings=np.concatenate(rows),
        identities=np.array([sample.identity for sample in kept]),
        labels=[sample.key for sample in kept],
        generator="",
        recognition=given.get("name") or weights.stem,
        settings={"weights_sha256": sha256(weights), "mirror": mirror, "precision": described["precision"]},
    )
    if output is not None:
        collection.save(output)
        files.wrote(output, f"{len(kept)} embeddings, {len(found) - len(kept)} images failed")
    if 1 < len(kept) <= FEW:
        print_angles(collection.columns()["embeddings"], [sample.path for sample in kept])


def print_angles(embeddings: np.ndarray, names: Sequence[str]) -> None:
    """Print the angle between every two unit rows `[n, E]`, in radians, and what the rows are."""
    from brownid.embeddings.distances import row_angles

    typer.echo("Angles in radians (0 the same, about 1.57 unrelated):")
    typer.echo("     " + "".join(f"{number:>7}" for number in range(1, len(names))))
    for number, (row, name) in enumerate(zip(embeddings, names, strict=True), start=1):
        angles = row_angles(embeddings[: number - 1], row[None])
        cells = "".join(f"{angle:7.3f}" for angle in angles)
        typer.echo(f"{number:>5}{cells}{' ' * 7 * (len(names) - number)}  {name}")
