"""One training, from image shards to weights."""

import csv
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brownid.jobs.distributed import SINGLE, ProcessGroup
from brownid.jobs.resume import StateFile, state_path, terminable
from brownid.recognition.embedding import as_bytes
from brownid.recognition.loading import save_backbone
from brownid.runtime.files import atomic_path, sha256
from brownid.runtime.process import default_device, logger
from brownid.samples import png
from brownid.training.data import EpochBatches, TrainingImages, decoders
from brownid.training.loop import SHARD_HEAD_FROM, Epoch, Training
from brownid.training.module import RecognitionModule
from brownid.training.settings import TrainingSettings

PICTURE_TILES = 8  # a side
LIGHTNING = "2.6.6"  # the version of the checkpoint's format


def train_recognition(
    shards: Sequence[str | Path],
    settings: TrainingSettings,
    *,
    seed: int,
    image_size: int,
    output: str | Path,
    history: str | Path,
    checkpoint: str | Path | None = None,
    picture: str | Path | None = None,
    state: str | Path | None = None,
    steps: str | Path | None = None,
    checksums: Sequence[str] | None = None,
    code: str = "",
    saving: Mapping[str, float] | None = None,
    keep: str = "auto",
    shard_head_from: int = SHARD_HEAD_FROM,
    device: str | None = None,
    threads: int = 1,
    group: ProcessGroup = SINGLE,
) -> None:
    """Train a network on the images of `shards` (crops of `image_size` pixels) and write the weights of the last epoch.

    Writes `output` (safetensors), `history` (CSV: epoch, images_seen, loss, accuracy of the nearest class on the
    training batches without margin, learning_rate at the start of the epoch) and, where named, `checkpoint`
    (a Lightning `.ckpt` with network, head and hyper-parameters), `picture` (PNG of a training batch, augmented) and
    `steps` (CSV: batch, epoch, loss, images_per_second, learning_rate; with TensorBoard's events in the folder of the
    same name, without the suffix, where it is installed).

    With a `state` folder, which is this training's own, an interrupted training goes on behind the last batch that it
    kept and ends with the same weights. It is kept after each epoch, inside one every `saving["minutes"]` (5), and on
    SIGTERM, which raises `Terminated` when the batch has ended. A state belongs to its settings, seed, images (the
    `checksums` of the shards, SHA-256, which are calculated where the caller does not have them) and `code` (a
    fingerprint of the program, where the caller has one), and is passed over under others, as is a damaged one; at the
    end the folder is removed, with the states of settings that were given up.

    `keep` says where decoded pixels are kept: see `TrainingImages`. The processes of a `group` share every batch, and
    all call this; the first one writes. From `shard_head_from` classes on each holds the head's weights of its classes
    alone; what is written is whole. The same call on the same device with the same `threads` gives the same weights,
    with another number of processes the same up to rounding.
    Raises `BrownidError` for unfit images and divergence.
    """
    chosen = torch.device(device or default_device())
    with _reproducible(threads, chosen), terminable(lambda: "the training stops before its first batch"):
        data = TrainingImages(
            shards, image_size, keep=keep, device=chosen, processes=group.size, workers=decoders(chosen, threads)
        )
        options: dict[str, Any] = {"threads": threads, "group": group, "shard_head_from": shard_head_from}
        training = Training(settings, data, image_size=image_size, seed=seed, device=chosen, **options)
        logger.info(
            "training %s on %d images of %d identities: %d epochs of %d batches, %s on %d x %s, pixels in %s",
            *(settings.architecture, len(data), data.classes, settings.epochs, training.steps),
            *(training.module.precision, group.size, chosen, data.kept_in),
        )
        if picture is not None and group.rank == 0:
            whole = EpochBatches(data, settings.batch_size, seed=seed, epoch=0, shuffle=settings.shuffle)
            _write_picture(Path(picture), training.module, whole)
        saved = None
        if state is not None:
            images = [sha256(shard) for shard in shards] if checksums is None else checksums
            belongs_to = _owner(images, settings, seed, image_size, training.module.precision, code)
            minutes = (saving or {}).get("minutes", StateFile.minutes)
            saved = StateFile(state_path(state, belongs_to), belongs_to, minutes=minutes)
        training.run(saved, None if steps is None else Path(steps))
    weights = training.weights()
    if group.rank:
        return
    if checkpoint is not None:
        _write_checkpoint(Path(checkpoint), training, weights)
    _write_history(Path(history), training.history)
    save_backbone(output, training.module.model)
    if saved:
        shutil.rmtree(saved.path.parent, ignore_errors=True)


def _write_checkpoint(path: Path, training: Training, weights: Mapping[str, Tensor]) -> None:
    """Write the keys of a Lightning checkpoint without optimiser, and the history."""
    settings = {**asdict(training.settings), "milestones": list(training.settings.milestones)}
    content = {
        "epoch": training.settings.epochs,
        "global_step": training.settings.epochs * training.steps,
        "pytorch-lightning_version": LIGHTNING,
        "state_dict": {name: tensor.cpu() for name, tensor in weights.items()},
        "hyper_parameters": settings | training.identity,
        "history": [epoch._asdict() for epoch in training.history],
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)  # to a path, it would write the temporary name into the file


def _owner(
    images: Sequence[str], settings: TrainingSettings, seed: int, image_size: int, precision: str, code: str
) -> dict[str, object]:
    """Settings and inputs (images by their checksums) that determine the weights, to which the state belongs."""
    arguments = {"seed": seed, "image_size": image_size, "precision": precision, "code": code, "images": list(images)}
    return {"settings": asdict(settings), **arguments}


def _write_history(path: Path, history: Sequence[Epoch]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Epoch._fields)
        writer.writerows(history)


def _write_picture(path: Path, module: RecognitionModule, batches: EpochBatches) -> None:
    """The first images of the first batch, as the network sees them, in a square."""
    tiles = as_bytes(module.prepare(batches[0].to("cpu"))[: PICTURE_TILES**2])
    tiles = np.concatenate([tiles, np.zeros((PICTURE_TILES**2 - len(tiles), *tiles.shape[1:]), np.uint8)])
    rows = tiles.reshape(PICTURE_TILES, PICTURE_TILES, *tiles.shape[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(png.encode(np.concatenate([np.concatenate(row, axis=1) for row in rows])))


@contextmanager
def _reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Within the block the same call gives the same numbers; torch's threads are restored."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    deterministic: Any = torch.utils.deterministic  # a module whose type does not know the attribute
    filled = deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    if device.type == "cuda":  # on a CPU the same threads give the same sums anyway
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic cuBLAS needs
        torch.set_deterministic_debug_mode("error")
        # Otherwise each new tensor is first filled with NaN, a kernel each; no result depends on it.
        deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        deterministic.fill_uninitialized_memory = filled
