"""`brownid audit`: the quality of a dataset under a judge, and its faces that are those of a database."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from brownid.cli import files, networks, options, settings, training_sets
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress

if TYPE_CHECKING:
    import numpy as np

    from brownid.databases.index import Sample
    from brownid.embeddings.distances import ClosePair
    from brownid.embeddings.quality import DatasetQuality
    from brownid.exports.training_set import TrainingSet
    from brownid.recognition.backbones import FaceNetwork

SETTINGS = {"network": settings.network}
PORTION = 2048  # images of the database held in memory at a time
SHOWN = 5  # pairs that are printed


class Embedded(NamedTuple):
    """Embeddings float32 `[n, E]` of images with their names; `identities` int64 `[n]` are the classes of a dataset.

    `samples` are the images of a database that were read, where it has images.
    """

    embeddings: np.ndarray
    names: list[str]
    identities: np.ndarray
    samples: Sequence[Sample] = ()


def audit(
    source: training_sets.Source,
    weights: options.Weights,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER|H5",
            help="A database, such as the training images of the generator: aligned crops, or a collection with their "
            "embeddings by the same network.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            rich_help_panel=options.OUTPUT,
            help="Also write quality.json, identities.csv, leaks.csv and, against images, leaks.png.",
        ),
    ] = None,
    pairs: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Closest pairs that are listed.")] = 20,
    near_duplicate_angle: Annotated[
        float, typer.Option(metavar="RADIANS", min=0, help="Images of one identity are near-duplicates below this.")
    ] = 0.2,
    training_set: training_sets.Choice = None,
    setting: settings.Given = None,
    directory: training_sets.Directory = Path(),
    configfile: options.Configfiles = None,
    config: options.Values = None,
    batch_size: options.BatchSize = 256,
) -> None:
    """Measure the quality of a dataset, and find faces that are those of a database.

    The network is the judge: take one that did not steer the dataset. The first
    image of an identity is its reference. Identity consistency is the share of
    the other images that are nearest to their own reference (docs/quality.md).

    Examples:
    brownid audit my_variations -w judge.safetensors
    brownid audit my_release -w judge.safetensors --against ffhq_aligned -o audit
    """
    from brownid.embeddings.distances import leak_audit
    from brownid.embeddings.quality import measure_dataset

    files.check_new_folder(output)
    found = training_sets.training_set(source, training_set, directory, configfile, config)
    network, described = networks.load(weights, settings.read(setting, SETTINGS)["network"])
    side = network.description.image_size
    if found.image_size != side:
        raise BrownidError(
            f"{source}: its images have {found.image_size} pixels a side, and {weights} reads {side}: name a network "
            "that reads the images, or crop them to its side."
        )
    ours = _embed_dataset(found, network, described["precision"], batch_size)
    theirs = None if against is None else _embed_database(against, network, described["precision"], batch_size)
    quality = measure_dataset(
        ours.embeddings,
        ours.identities,
        near_duplicate_angle=near_duplicate_angle,
        training=None if theirs is None else theirs.embeddings,
    )
    _print_quality(quality)
    closest: list[ClosePair] = []
    if theirs is not None:
        closest = leak_audit(ours.embeddings, theirs.embeddings, pairs)
        typer.echo(f"\nclosest of {len(theirs.names)} images of {against} (angle in radians, cosine):")
        for pair in closest[:SHOWN]:
            typer.echo(f"  {_angle(pair.angle)}  {ours.names[pair.reference]}  {theirs.names[pair.training]}")
    if output is not None:
        _write(output, quality, found, ours, against, theirs, closest)


def _embed_dataset(found: TrainingSet, network: FaceNetwork, precision: str, batch_size: int) -> Embedded:
    import numpy as np

    from brownid.databases.decoding import decode_rgb
    from brownid.recognition.embedding import embed_images

    rows, names, labels = [], [], []
    for block in progress(found.blocks(), "embed", "block"):
        images = np.stack([decode_rgb(bytes(image)) for image in block.images])
        rows.append(embed_images(network, images, batch_size, precision=precision).numpy())
        names += [f"{identity}/{sample}" for identity, sample in zip(block.identities, block.samples, strict=True)]
        labels.append(block.labels)
    return Embedded(np.concatenate(rows), names, np.concatenate(labels))


def _embed_database(path: Path, network: FaceNetwork, precision: str, batch_size: int) -> Embedded:
    import numpy as np

    from brownid.recognition.embedding import embed_images
    from brownid.samples.collection import SampleCollection

    if path.is_file():
        collection = SampleCollection.load(path, columns=("embeddings",), required=True)
        names = [f"{number:05}/{label}" for number, label in zip(collection.identities, collection.labels, strict=True)]
        embeddings = collection.columns()["embeddings"]
        if embeddings.shape[1] != network.description.embedding_dim:
            raise BrownidError(
                f"{path}: its embeddings have {embeddings.shape[1]} numbers, those of the network "
                f"{network.description.embedding_dim}: angles are only between embeddings of one network."
            )
        return Embedded(embeddings, names, collection.identities)
    samples, rows, kept = files.image_samples([path]), [], []
    if not samples:
        raise BrownidError(f"{path}: there are no images in this folder.")
    for start in progress(range(0, len(samples), PORTION), "embed the database", "portion"):
        images, readable = files.read_aligned(samples[start : start + PORTION], network.description.image_size)
        rows.append(embed_images(network, images, batch_size, precision=precision).numpy())
        kept += readable
    if not kept:
        raise BrownidError(f"{path}: none of its {len(samples)} images could be read.")
    return Embedded(np.concatenate(rows), [sample.path for sample in kept], np.arange(len(kept)), kept)


def _print_quality(quality: DatasetQuality) -> None:
    """The figures of the quality table, each with what it is."""
    figures = quality.figures
    typer.echo(f"{figures['images']} images of {figures['identities']} identities; angles in radians, with the cosine")
    lines = [
        ("identity consistency", _percent(figures["identity_consistency"]), "images nearest to their own reference"),
        ("genuine angle", _angle(figures["genuine_q50"]), "median of the pairs of images of one identity"),
        ("", _angle(figures["genuine_q95"]), "95 % of these pairs are closer"),
        ("near-duplicates", _percent(figures["near_duplicates"]), "of these pairs"),
        ("nearest impostor", _angle(figures["nearest_impostor_mean"]), "mean over references"),
        ("", _angle(figures["nearest_impostor_q05"]), "5 % of the references have a closer one"),
        ("nearest in the database", _angle(figures["leak_minimum"]), "of the closest reference"),
        ("", _angle(figures["leak_q05"]), "5 % of the references are closer"),
    ]
    for name, value, meaning in lines:
        if value:
            typer.echo(f"  {name:<24} {value:<14} {meaning}")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _angle(radians: float | None) -> str:
    return "" if radians is None else f"{radians:.3f} ({math.cos(radians):.3f})"


def _write(
    output: Path,
    quality: DatasetQuality,
    found: TrainingSet,
    ours: Embedded,
    against: Path | None,
    theirs: Embedded | None,
    closest: Sequence[ClosePair],
) -> None:
    import pandas as pd

    from brownid.embeddings.distances import write_audit
    from brownid.runtime.text import write_checked_json, write_text

    about = {"dataset": found.name, "database": None if against is None else str(against)}
    measured = {"settings": about, "figures": quality.figures, "angles": quality.angles}
    identities = pd.DataFrame(quality.columns)
    for column in ("identity", "nearest_identity"):
        identities[column] = [found.classes[label] for label in identities[column]]
    with files.new_folder(output) as folder:
        write_checked_json(folder / "quality.json", measured)
        write_text(folder / "identities.csv", identities.to_csv(index=False, float_format="%.6f"))
        if theirs is not None and against is not None:
            write_audit(folder / "leaks.csv", closest, ours.names, theirs.names)
            if theirs.samples:
                _draw(folder / "leaks.png", found, against, theirs.samples, closest)
    files.wrote(output)


def _draw(
    path: Path, found: TrainingSet, against: Path, samples: Sequence[Sample], closest: Sequence[ClosePair]
) -> None:
    import numpy as np

    from brownid.databases.decoding import decode_rgb
    from brownid.figures.faces import image_pairs

    rows = [pair.reference for pair in closest]
    first = [decode_rgb(bytes(next(found.blocks(row, row + 1)).images[0])) for row in rows]
    second, _ = files.read_aligned([samples[pair.training] for pair in closest], found.image_size)
    angles = [pair.angle for pair in closest]
    image_pairs(np.stack(first), second, angles, path, title=f"{found.name}: image, closest image of {against}")
