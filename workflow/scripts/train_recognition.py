"""Train an FR network on image shards, for the dynamics to steer by or to measure what a dataset is worth."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.runtime.files import sha256
from brownid.samples.provenance import write_command
from brownid.training.run import train_recognition as train
from brownid.training.settings import TrainingSettings


def train_recognition(
    settings: Mapping[str, Any],
    *,
    images: Sequence[Path],
    weights: Path,
    checkpoint: Path,
    history: Path,
    command: Path,
    batch: Path,
    state: Path,
    code: str,
    threads: int,
) -> None:
    """Train on all image shards together, and go on from `state` where an interrupted job of the same `code` left one.

    Datasets of the same persons (references and their variations) share their classes.
    """
    network = settings["network"]
    checksums = [sha256(path) for path in images]
    train(
        images,
        TrainingSettings(family=network["family"], architecture=network["architecture"], **settings["training"]),
        seed=settings["seed"],
        image_size=network["image_size"],
        output=weights,
        history=history,
        checkpoint=checkpoint,
        picture=batch,
        state=state,
        checksums=checksums,
        code=code,
        threads=threads,
    )
    inputs = dict(zip(map(str, images), checksums, strict=True))
    write_command(command, settings=settings, seed=settings["seed"], inputs=inputs, command="train_recognition")


if __name__ == "__main__":
    run(train_recognition, snakemake)
