"""One training, from image shards to weights."""

import csv
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from brownid.jobs.resume import StateFile, state_path, terminable
from brownid.recognition.embedding import as_bytes
from brownid.recognition.loading import save_backbone
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path, sha256
from brownid.runtime.precision import resolve_precision
from brownid.runtime.process import default_device, logger, progress
from brownid.samples import png
from brownid.training.data import EpochBatches, PrefetchedBatches, TrainingImages, batches_an_epoch
from brownid.training.module import Optimiser, RecognitionModule, learning_rate, torch_seed
from brownid.training.settings import TrainingSettings

PICTURE_TILES = 8  # a side
NOTHING_KEPT = "the training stops, and nothing of it is kept"
LIGHTNING = "2.6.6"  # the version of the checkpoint's format


class Epoch(NamedTuple):
    """A row of the history."""

    epoch: int  # counted from 1
    images_seen: int  # since the training began
    loss: float
    accuracy: float
    learning_rate: float  # at the start of the epoch


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
    checksums: Sequence[str] | None = None,
    code: str = "",
    device: str | None = None,
    threads: int = 1,
) -> None:
    """Train a network on the images of `shards` (crops of `image_size` pixels) and write the weights of the last epoch.

    Writes `output` (safetensors), `history` (CSV: epoch, images_seen, loss, accuracy of the nearest class on the
    training batches without margin, learning_rate at the start of the epoch) and, where named, `checkpoint`
    (a Lightning `.ckpt` with network, head and hyper-parameters) and `picture` (PNG of a training batch, augmented).

    With a `state` folder, which is this training's own, an interrupted training goes on behind its last whole epoch and
    ends with the same weights. A state belongs to its settings, seed, images (the `checksums` of the shards, SHA-256,
    which are calculated where the caller does not have them) and `code` (a fingerprint of the program, where the caller
    has one), and is passed over under others, as is a damaged one; at the end the folder is removed, with the states of
    settings that were given up. SIGTERM raises `Terminated`, and the log says how many epochs are kept. The same call
    on the same device with the same `threads` gives the same weights. Raises `BrownidError` for unfit images and
    divergence.
    """
    chosen = torch.device(device or default_device())
    with _reproducible(threads, chosen):
        data = TrainingImages(shards, image_size)
        training = _Training(settings, data, image_size=image_size, seed=seed, device=chosen, threads=threads)
        logger.info(
            "training %s on %d images of %d identities: %d epochs of %d batches, %s on %s",
            *(settings.architecture, len(data), data.classes),
            *(settings.epochs, training.steps, training.module.precision, chosen),
        )
        if picture is not None:
            _write_picture(Path(picture), training.module, training.batches(epoch=0))
        saved = None
        if state is not None:
            images = [sha256(shard) for shard in shards] if checksums is None else checksums
            belongs_to = _owner(images, settings, seed, image_size, training.module.precision, code)
            saved = StateFile(state_path(state, belongs_to), belongs_to)
        training.run(saved)
    if checkpoint is not None:
        training.write_checkpoint(Path(checkpoint))
    _write_history(Path(history), training.history)
    save_backbone(output, training.module.model)
    if saved:
        shutil.rmtree(saved.path.parent, ignore_errors=True)


class _Training:
    """The module, its optimiser, and the history of the epochs that are done."""

    def __init__(
        self,
        settings: TrainingSettings,
        data: TrainingImages,
        *,
        image_size: int,
        seed: int,
        device: torch.device,
        threads: int,
    ):
        self.settings, self.data, self.seed, self.device = settings, data, seed, device
        self.steps = batches_an_epoch(len(data), settings.batch_size)
        on_gpu = device.type == "cuda"
        # Pixels in memory need no helpers.
        self.workers = max(1, threads - 1) if on_gpu or data.cached is None else 0
        self.pin_memory = on_gpu
        precision = resolve_precision(settings.precision, device)
        self.identity = {"classes": data.classes, "image_size": image_size, "seed": seed}
        self.module = RecognitionModule(settings, **self.identity, precision=precision).to(device)
        self.optimiser = Optimiser(self.module, settings)
        self.history: list[Epoch] = []

    def batches(self, epoch: int) -> EpochBatches:
        """The batches of an epoch, counted from 0."""
        return EpochBatches(self.data, self.settings.batch_size, seed=self.seed, epoch=epoch)

    def run(self, state: StateFile | None) -> None:
        """Train the epochs that are left, and keep the state after each."""
        kept = self._restore(state) if state else 0
        with terminable(lambda: _what_is_kept(state, kept)):
            while len(self.history) < self.settings.epochs:
                self._train_epoch(len(self.history))
                if state:
                    state.save(len(self.history), self._tensors())
                    kept = len(self.history)

    def _train_epoch(self, epoch: int) -> None:
        batches = PrefetchedBatches(self.batches(epoch), self.workers, self.pin_memory)
        torch.manual_seed(torch_seed(self.seed, "training/dropout", epoch))
        losses = correct = torch.zeros((), dtype=torch.float64, device=self.device)
        # A copy on the host, filled when the GPU gets there: no step waits for it, and some see an earlier sum.
        seen = torch.zeros((), dtype=torch.float64, pin_memory=self.pin_memory)
        title = f"epoch {epoch + 1} of {self.settings.epochs}"
        for number, batch in enumerate(progress(batches, title, unit="batch"), start=epoch * self.steps):
            loss, hits = self.module(batch.to(self.device, non_blocking=True))
            loss.backward()
            self.optimiser.step(number, learning_rate(self.settings, number, self.steps))
            losses = losses + loss.detach().double() * len(batch.labels)
            correct = correct + hits
            self._check_finite(seen.copy_(losses, non_blocking=True), number)
        self._check_finite(losses, number)
        loss, accuracy = (losses / len(self.data)).item(), (correct / len(self.data)).item()
        rate = learning_rate(self.settings, epoch * self.steps, self.steps)
        logger.info("%s: loss %.4f, accuracy %.4f, learning rate %.3g", title, loss, accuracy, rate)
        self.history.append(Epoch(epoch + 1, (epoch + 1) * len(self.data), loss, accuracy, rate))

    def _check_finite(self, losses: Tensor, number: int) -> None:
        """Refuse to go on behind update `number` where the sum of the epoch's losses so far is not finite."""
        if not math.isfinite(losses.item()):
            epoch, batch = divmod(number, self.steps)
            raise BrownidError(
                f"The training diverged in epoch {epoch + 1}, up to batch {batch + 1} of {self.steps} (loss "
                f"{losses.item()}): lower learning_rate, now {self.settings.learning_rate:g}."
            )

    def _tensors(self) -> dict[str, Tensor]:
        history = torch.tensor(self.history, dtype=torch.float64)
        return {**self.module.state_dict(), **self.optimiser.moments(), "history": history}

    def _restore(self, state: StateFile) -> int:
        """Continue from the state of an interrupted training, and return the number of epochs that it holds."""
        saved = state.load()
        if saved is None:
            return 0
        for name, tensor in {**self.module.state_dict(), **self.optimiser.moments()}.items():
            tensor.copy_(saved.tensors[name])  # in place: the memory format stays
        rows = saved.tensors["history"].tolist()
        self.history = [Epoch(int(epoch), int(images), *measured) for epoch, images, *measured in rows]
        return len(self.history)

    def write_checkpoint(self, path: Path) -> None:
        """Write the keys of a Lightning checkpoint without optimiser, and the history."""
        settings = {**asdict(self.settings), "milestones": list(self.settings.milestones)}
        content = {
            "epoch": self.settings.epochs,
            "global_step": self.settings.epochs * self.steps,
            "pytorch-lightning_version": LIGHTNING,
            "state_dict": {name: tensor.cpu() for name, tensor in self.module.state_dict().items()},
            "hyper_parameters": settings | self.identity,
            "history": [epoch._asdict() for epoch in self.history],
        }
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            torch.save(content, file)  # to a path, it would write the temporary name into the file


def _what_is_kept(state: StateFile | None, epochs: int) -> str:
    """Log message about the state after an interruption."""
    if state is None:
        return NOTHING_KEPT
    if not epochs:
        return f"{NOTHING_KEPT}: a state is saved at the end of each epoch, and the first has not ended"
    return (
        f"the training stops; {state.path} keeps its first {epochs} epochs, whole epochs only; run the same command "
        "again to go on"
    )


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
    tiles = as_bytes(module.prepare(batches[0])[: PICTURE_TILES**2])
    tiles = np.concatenate([tiles, np.zeros((PICTURE_TILES**2 - len(tiles), *tiles.shape[1:]), np.uint8)])
    rows = tiles.reshape(PICTURE_TILES, PICTURE_TILES, *tiles.shape[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(png.encode(np.concatenate([np.concatenate(row, axis=1) for row in rows])))


@contextmanager
def _reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Within the block the same call gives the same numbers; torch's threads and random numbers are restored."""
    before = torch.get_num_threads(), torch.get_rng_state(), torch.get_deterministic_debug_mode()
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
        torch.set_rng_state(before[1])
        torch.set_deterministic_debug_mode(before[2])
        deterministic.fill_uninitialized_memory = filled
