"""`brownid train`: an FR network on one dataset."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brownid import __version__
from brownid.cli import files, options, settings, training_sets
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger, progress

if TYPE_CHECKING:
    from brownid.exports.training_set import TrainingSet


def _properties() -> settings.Properties:
    from brownid.training.settings import TrainingSettings

    network = settings.network()
    backbone = {name: network[name] | {"default": getattr(TrainingSettings, name)} for name in BACKBONE}
    backbone["family"] |= {"enum": [name for name in network["family"]["enum"] if name != "onnx"], "description": ""}
    return backbone | settings.of(TrainingSettings)()


BACKBONE = ("family", "architecture")
SETTINGS = {"": _properties}
WEIGHTS, CHECKPOINT, HISTORY = "weights.safetensors", "checkpoint.ckpt", "history.csv"
BATCH, COMMAND = "batch.png", "command.yml"
COPIES = ".images"  # the folder of the images while it trains
SHARD_ROWS = 8192  # images held in memory at a time


def train(
    source: training_sets.Source,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            rich_help_panel=options.OUTPUT,
            help=f"The folder for {WEIGHTS}, {CHECKPOINT}, {HISTORY}, {BATCH} and {COMMAND}.",
        ),
    ],
    setting: settings.Given = None,
    seed: options.Seed = 1,
    training_set: training_sets.Choice = None,
    threads: Annotated[
        int | None, typer.Option(metavar="NUMBER", min=1, help="Threads. Default: one per processor.")
    ] = None,
    directory: training_sets.Directory = Path(),
    configfile: options.Configfiles = None,
    config: options.Values = None,
) -> None:
    """Train an FR network on a dataset, as the workflow does.

    The side of the crops is that of the images. After an interruption the same
    command goes on behind the last batch that was kept (every five minutes, after
    each epoch, and where it is asked to end), and ends with the same weights.
    Another version of brownid begins at the start.

    Examples:
    brownid train my_variations -o trained --set family=insightface --set architecture=iresnet50
    brownid train people -o trained --set epochs=10 --set milestones=[4,7,9]
    """
    from brownid.jobs.workers import available_processors
    from brownid.runtime.files import sha256
    from brownid.samples.provenance import write_command
    from brownid.training.run import train_recognition
    from brownid.training.settings import TrainingSettings

    if (output / WEIGHTS).exists():
        raise BrownidError(f"{output / WEIGHTS} exists already, and is not replaced: name another folder.")
    chosen = TrainingSettings(**settings.read(setting, SETTINGS)[""])
    found = training_sets.training_set(source, training_set, directory, configfile, config)
    output.mkdir(parents=True, exist_ok=True)
    logger.setLevel(logging.INFO)  # a line per epoch
    copies = output / COPIES
    with _image_shards(found, copies) as shards:
        checksums = [sha256(shard) for shard in shards]
        train_recognition(
            shards,
            chosen,
            seed=seed,
            image_size=found.image_size,
            output=output / WEIGHTS,
            history=output / HISTORY,
            checkpoint=output / CHECKPOINT,
            picture=output / BATCH,
            state=output / "state",
            checksums=checksums,
            code=__version__,
            threads=threads or available_processors(),
        )
    about = {"dataset": found.name, "source": source, "image_size": found.image_size, "training": asdict(chosen)}
    # Copies are gone by now: they are named by their source, and have the same bytes wherever they are made again.
    names = [f"{source}: {shard.stem}" if shard.parent == copies else str(shard) for shard in shards]
    inputs = dict(zip(names, checksums, strict=True))
    write_command(output / COMMAND, settings=about, seed=seed, inputs=inputs, command="brownid train")
    files.wrote(output, f"{len(found)} images of {len(found.classes)} identities, {chosen.epochs} epochs")
    typer.echo(f"next: brownid score {output / WEIGHTS} BENCHMARK.bin")


@contextmanager
def _image_shards(found: TrainingSet, copies: Path) -> Iterator[list[Path]]:
    """The images as shards, which training reads: those of a run as they are, others copied for the time.

    Copies that a killed command left are removed.
    """
    from brownid.exports.joining import JoinedTrainingSet

    if isinstance(found, JoinedTrainingSet):
        yield found.shards
        return
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    try:
        yield list(_copied(found, copies))
    finally:
        shutil.rmtree(copies, ignore_errors=True)


def _copied(found: TrainingSet, folder: Path) -> Iterator[Path]:
    """Write the images as shards, as PNG files where they are not yet."""
    from brownid.databases.decoding import decode_rgb
    from brownid.samples import png
    from brownid.samples.images import write_encoded_shard

    for number, start in enumerate(progress(range(0, len(found), SHARD_ROWS), "copying images", "shard")):
        labels: list[int] = []
        samples: list[str] = []
        encoded: list[bytes] = []
        for block in found.blocks(start, min(start + SHARD_ROWS, len(found))):
            labels += block.labels.tolist()
            samples += block.samples
            images = map(bytes, block.images)
            encoded += [each if each.startswith(png.SIGNATURE) else png.encode(decode_rgb(each)) for each in images]
        path = folder / f"{number:05}.arrow"
        write_encoded_shard(path, found.name, labels, samples, encoded, image_size=found.image_size)
        yield path
