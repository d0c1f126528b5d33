"""Train an FR network on image shards, for the dynamics to steer by or to measure what a dataset is worth."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.jobs.distributed import SINGLE, ProcessGroup
from brownid.jobs.launch import run_in_processes
from brownid.runtime.files import sha256
from brownid.samples.provenance import write_command
from brownid.training.loop import SHARD_HEAD_FROM
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
    steps: Path | None = None,
    saving: Mapping[str, float] | None = None,
    keep: str = "auto",
    shard_head_from: int = SHARD_HEAD_FROM,
    processes: int = 1,
    launcher: str = "auto",
) -> None:
    """Train on all image shards together, and go on from `state` where an interrupted job of the same `code` left one.

    Datasets of the same persons (references and their variations) share their classes. Several `processes` share every
    batch, on a GPU each where there are some, and the `threads` that prepare them. `steps` is a log of all batches.
    """
    checksums = [sha256(path) for path in images]
    call: dict[str, Any] = {"settings": settings, "images": list(map(str, images)), "checksums": checksums}
    call |= {"output": weights, "checkpoint": checkpoint, "history": history, "picture": batch, "state": state}
    call |= {"code": code, "threads": threads, "steps": steps, "saving": saving, "keep": keep}
    call |= {"shard_head_from": shard_head_from}
    run_in_processes(train_in_group, call, processes, launcher)
    inputs = dict(zip(map(str, images), checksums, strict=True))
    write_command(command, settings=settings, seed=settings["seed"], inputs=inputs, command="train_recognition")


def train_in_group(
    settings: Mapping[str, Any],
    *,
    images: Sequence[str],
    threads: int,
    group: ProcessGroup = SINGLE,
    **more: Any,
) -> None:
    """Work of each process of the job; the first one writes. `more` goes to `brownid.train_recognition`."""
    network = settings["network"]
    train(
        images,
        TrainingSettings(family=network["family"], architecture=network["architecture"], **settings["training"]),
        seed=settings["seed"],
        image_size=network["image_size"],
        threads=max(1, threads // group.size),
        group=group,
        **more,
    )


if __name__ == "__main__":
    run(train_recognition, snakemake, steps=str(Path(snakemake.log[0]).with_suffix(".steps.csv")))
