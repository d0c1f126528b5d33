"""One training from image shards to weights: the shell around the Lightning module."""

import csv
import hashlib
import logging
import math
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.plugins.environments import LightningEnvironment

from brownid.errors import BrownidError
from brownid.files import atomic_path, sha256
from brownid.precision import resolve_precision
from brownid.recognition.embedding import as_bytes
from brownid.recognition.weights import save_backbone
from brownid.resuming import state_path, terminable
from brownid.runtime import default_device, logger
from brownid.samples import png
from brownid.torchfiles import load_torch
from brownid.training.data import EpochBatches, PrefetchedBatches, TrainingImages, batches_an_epoch
from brownid.training.module import RecognitionModule
from brownid.training.settings import TrainingSettings

PICTURE_TILES = 8  # a side
SEAL, BLOCK = 64, 1 << 20  # bytes: of a checksum as text, and read at a time
NOTHING_KEPT = "the training stops, and nothing of it is kept"


def train_recognition(
    shards: Sequence[str | Path],
    settings: TrainingSettings,
    *,
    seed: int,
    side: int,
    output: str | Path,
    history: str | Path,
    checkpoint: str | Path | None = None,
    picture: str | Path | None = None,
    state: str | Path | None = None,
    code: str = "",
    device: str | None = None,
    threads: int = 1,
) -> None:
    """Train a network on the images of `shards` (crops of `side` pixels) and write the weights of the last epoch.

    Writes `output` (safetensors), `history` (CSV: epoch, images_seen, loss, accuracy of the nearest class on the
    training batches without margin, learning_rate at the start of the epoch) and, where named, `checkpoint`
    (Lightning's `.ckpt` with network, head and hyper-parameters) and `picture` (PNG of a training batch, augmented).

    With a `state` folder, which is this training's own, an interrupted training goes on behind its last whole epoch and
    ends with the same weights. A state belongs to its settings, seed, images and `code` (a fingerprint of the program,
    where the caller has one), and is passed over under others, as is a damaged one; at the end the folder is removed,
    with the states of settings that were given up. SIGTERM raises `Terminated`, and the log says how many epochs are
    kept. The same call on the same device with the same `threads` gives the same weights. Raises `BrownidError` for
    unfit images and divergence.
    """
    device = torch.device(device or default_device())
    with _threads(threads), _quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
        data = TrainingImages(shards, side)
        steps = batches_an_epoch(len(data), settings.batch_size)
        precision = resolve_precision(settings.precision, device)
        module = RecognitionModule(
            settings, classes=data.classes, side=side, seed=seed, steps=steps, precision=precision
        )
        logger.info(
            "training %s on %d images of %d identities: %d epochs of %d batches, %s on %s",
            *(settings.architecture, len(data), data.classes, settings.epochs, steps, precision, device),
        )
        if picture is not None:
            _write_picture(Path(picture), module, EpochBatches(data, settings.batch_size, seed=seed, epoch=0))
        saved = None if state is None else _State(Path(state), _owner(shards, settings, seed, side, precision, code))
        trainer = _trainer(settings.epochs, device, scratch, saved)
        on_gpu = device.type == "cuda"
        workers = max(1, threads - 1) if on_gpu or data.cached is None else 0  # pixels in memory need no helpers
        batches = _Batches(data, settings.batch_size, seed=seed, workers=workers, pin_memory=on_gpu)
        with terminable(saved.kept if saved else lambda: NOTHING_KEPT):  # which Lightning's own handler calls
            trainer.fit(module, datamodule=batches, ckpt_path=saved and saved.found(), weights_only=True)
        if len(module.history) != settings.epochs:
            raise BrownidError(f"the training was interrupted after {len(module.history)} of {settings.epochs} epochs")
        if checkpoint is not None:
            with atomic_path(checkpoint) as temporary:
                trainer.save_checkpoint(temporary, weights_only=True)
    _write_history(Path(history), module.history)
    save_backbone(output, module.model)
    if saved:
        saved.remove()


def _trainer(epochs: int, device: torch.device, scratch: str, saved: "_State | None") -> lightning.Trainer:
    """Lightning's trainer, without its log and progress files; `scratch` is a folder for what it writes anyway."""
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        deterministic=device.type == "cuda",  # on a CPU the same threads give the same sums anyway
        plugins=[LightningEnvironment()],  # one process, also inside a Slurm job
        callbacks=[_Report(), *([saved] if saved else [])],
        reload_dataloaders_every_n_epochs=1,
        default_root_dir=scratch,
        logger=False,
        enable_checkpointing=saved is not None,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


class _Batches(lightning.LightningDataModule):
    """Hands Lightning the batches of the epoch it is in."""

    def __init__(self, data: TrainingImages, batch_size: int, *, seed: int, workers: int, pin_memory: bool):
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.workers = workers
        self.pin_memory = pin_memory

    def train_dataloader(self) -> PrefetchedBatches:
        batches = EpochBatches(self.data, self.batch_size, seed=self.seed, epoch=self.trainer.current_epoch)
        return PrefetchedBatches(batches, self.workers, self.pin_memory)


class _Report(Callback):
    """Logs each epoch and stops a training whose loss is no longer a number."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: RecognitionModule) -> None:
        self._check_and_log(trainer, module)

    def on_train_end(self, trainer: lightning.Trainer, module: RecognitionModule) -> None:
        self._check_and_log(trainer, module)

    def _check_and_log(self, trainer: lightning.Trainer, module: RecognitionModule) -> None:
        if not module.history:
            return
        last = module.history[-1]
        if not math.isfinite(last["loss"]):
            raise BrownidError(
                f"the training diverged in epoch {last['epoch']} (loss {last['loss']}); lower learning_rate, "
                f"now {module.settings.learning_rate:g}"
            )
        logger.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, learning rate %.3g",
            *(last["epoch"], trainer.max_epochs, last["loss"], last["accuracy"], last["learning_rate"]),
        )


class _State(Checkpoint):
    """Keeps the whole state of the training after each epoch, in a file named after what it belongs to."""

    def __init__(self, folder: Path, belongs_to: Mapping[str, object]):
        self.path = state_path(folder, belongs_to, ".ckpt")
        self.epochs = 0  # that the file holds

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: RecognitionModule) -> None:
        with atomic_path(self.path) as temporary:
            trainer.save_checkpoint(temporary)
            _seal(temporary)
        self.epochs = len(module.history)

    def found(self) -> Path | None:
        """The file of an interrupted training; None where there is none, or where it is damaged: the log says so."""
        if not self.path.exists():
            return None
        if not _is_sealed(self.path):
            logger.warning(
                "%s: the state of the training is damaged: its content does not match its checksum. It is not used, "
                "and the training begins with the first epoch.",
                self.path,
            )
            return None
        self.epochs = len(load_torch(self.path)["history"])
        logger.info("going on after epoch %d of the interrupted training %s", self.epochs, self.path)
        return self.path

    def kept(self) -> str:
        """What an interruption leaves, for the log."""
        if not self.epochs:
            return f"{NOTHING_KEPT}: a state is saved at the end of each epoch, and the first has not ended"
        return (
            f"the training stops; {self.path} keeps its first {self.epochs} epochs, whole epochs only; run the same "
            "command again to go on"
        )

    def remove(self) -> None:
        """Remove the folder, with what was left there under other settings."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def _seal(path: Path) -> None:
    """Append the SHA-256 of a torch file, as the comment of the ZIP file that it is: torch compares no checksums."""
    with open(path, "r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(SEAL.to_bytes(2, "little"))  # the length of the comment
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.write(digest.encode())


def _is_sealed(path: Path) -> bool:
    """Whether a file ends with the SHA-256 of all that comes before it."""
    digest, left = hashlib.sha256(), path.stat().st_size - SEAL
    with open(path, "rb") as file:
        while left > 0:
            block = file.read(min(left, BLOCK))
            digest.update(block)
            left -= len(block)
        return file.read() == digest.hexdigest().encode()


def _owner(
    shards: Sequence[str | Path], settings: TrainingSettings, seed: int, side: int, precision: str, code: str
) -> dict[str, object]:
    """What decides the weights, for the state to belong to."""
    images = [sha256(shard) for shard in shards]
    arguments = {"seed": seed, "side": side, "precision": precision, "code": code, "images": images}
    return {"settings": asdict(settings), **arguments}


def _write_history(path: Path, rows: list[dict[str, float]]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_picture(path: Path, module: RecognitionModule, batches: EpochBatches) -> None:
    """The first images of the first batch, as the network sees them, in a square."""
    tiles = as_bytes(module.prepare(batches[0])[: PICTURE_TILES**2])
    tiles = np.concatenate([tiles, np.zeros((PICTURE_TILES**2 - len(tiles), *tiles.shape[1:]), np.uint8)])
    rows = tiles.reshape(PICTURE_TILES, PICTURE_TILES, *tiles.shape[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(png.encode(np.concatenate([np.concatenate(row, axis=1) for row in rows])))


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    random_state = torch.get_rng_state()  # dropout is seeded at each epoch
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_rng_state(random_state)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice about workers and its notes on hardware."""
    lightning_logger = logging.getLogger("lightning.pytorch")
    level = lightning_logger.level
    lightning_logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        lightning_logger.setLevel(level)
