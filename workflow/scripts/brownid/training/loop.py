"""The loop of one training: batches in, weights out, with states inside an epoch and processes that share batches."""

import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from brownid.jobs.distributed import SINGLE, ProcessGroup, gather, own_rows
from brownid.jobs.resume import StateFile, Terminated, Termination, terminating_later
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import resolve_precision
from brownid.runtime.process import logger, progress
from brownid.training.data import Batch, EpochBatches, PrefetchedBatches, TrainingImages, batches_an_epoch, decoders
from brownid.training.module import Optimiser, RecognitionModule, learning_rate
from brownid.training.parallel import ParallelModule
from brownid.training.settings import TrainingSettings
from brownid.training.steplog import StepLog

NOTHING_KEPT = "the training stops, and nothing of it is kept"
SHARD_HEAD_FROM = 50_000  # classes
BEHIND = 2  # batches that the host runs ahead of a GPU before it reads what the GPU reports of one
BATCH_ENDS = "the training stops and saves its state when the batch ends; run the same command again to go on"
BATCHES, SUMS = "batches", "sums"  # names in a state inside an epoch


class Epoch(NamedTuple):
    """A row of the history."""

    epoch: int  # counted from 1
    images_seen: int  # since the training began
    loss: float
    accuracy: float
    learning_rate: float  # at the start of the epoch


class Report(NamedTuple):
    """What all processes know of a batch, when it is read."""

    number: int  # of the batch, counted over the whole training
    images: int  # in it
    losses: float  # sum over the images of the epoch up to here
    loss: float  # mean over its images
    stop: bool  # some process was asked to stop
    save: bool  # it is time to save


class Training:
    """The module, its optimiser, the history of the epochs that are done, and the batches that are done of the next."""

    def __init__(
        self,
        settings: TrainingSettings,
        data: TrainingImages,
        *,
        image_size: int,
        seed: int,
        device: torch.device,
        threads: int,
        group: ProcessGroup = SINGLE,
        shard_head_from: int = SHARD_HEAD_FROM,
    ):
        self.settings, self.data, self.seed, self.device, self.group = settings, data, seed, device, group
        self.steps = batches_an_epoch(len(data), settings.batch_size)
        if len(data) // self.steps < group.size:
            raise BrownidError(
                f"{group.size} processes cannot share batches of {len(data) // self.steps} images: lower processes, or "
                "raise batch_size."
            )
        on_gpu = device.type == "cuda"
        # Pixels in memory need no helpers.
        self.workers = decoders(device, threads) if on_gpu or data.kept is None else 0
        self.pin_memory = on_gpu
        precision = resolve_precision(settings.precision, device)
        self.identity = {"classes": data.classes, "image_size": image_size, "seed": seed}
        self.module = RecognitionModule(settings, **self.identity, precision=precision)
        self.own_classes: slice | None = None  # of the head, where the processes share it
        if group.size > 1 and (settings.class_sample_rate < 1 or data.classes >= max(shard_head_from, group.size)):
            self.own_classes = own_rows(group, data.classes)
            self.module.share_head(self.own_classes)
        self.module.to(device)
        self.optimiser = Optimiser(self.module, settings)
        self.passes = self.module if group.size == 1 else ParallelModule(self.module, group, self.own_classes)
        self.history: list[Epoch] = []
        self.batches_done = 0  # of the epoch behind the history
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # of loss and hits over their images
        self.state: StateFile | None = None
        self.log = StepLog(None, 0)
        self._kept = 0  # batches of the whole training behind the last state

    def batches(self, epoch: int) -> EpochBatches:
        """The batches of an epoch, counted from 0."""
        return EpochBatches(
            self.data,
            self.settings.batch_size,
            seed=self.seed,
            epoch=epoch,
            shuffle=self.settings.shuffle,
            class_sample_rate=self.settings.class_sample_rate,
            group=self.group,
        )

    def weights(self) -> dict[str, Tensor]:
        """The state of network and head, whole, on the first process; all ask for it, and the others get nothing."""
        return self._whole(self.module.state_dict())

    def _whole(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors on the host of the first process, those of the classes joined, one after the other."""
        ours = self._of_classes() if self.own_classes else set()
        found = {}
        for name, tensor in tensors.items():
            whole = gather(self.group, tensor, self.data.classes) if name in ours else tensor
            if self.group.rank == 0:
                found[name] = whole.cpu()
        return found

    def _of_classes(self) -> set[str]:
        """The names of the tensors that have a row per class."""
        return {"head.weight", *self.optimiser.names_of(self.module.head.weight)}

    def run(self, state: StateFile | None, steps: Path | None = None) -> None:
        """Train what is left; keep the state after each epoch, inside one when that is due, and on SIGTERM.

        `steps` is the log of batches.
        """
        self.state = state
        if state:
            self._restore(state)
        done = len(self.history) * self.steps + self.batches_done
        self.log = StepLog(steps if self.group.rank == 0 else None, done)
        with terminating_later(BATCH_ENDS if state else NOTHING_KEPT) as termination:
            while len(self.history) < self.settings.epochs:
                self._train_epoch(len(self.history), termination)
                self._save()

    def _train_epoch(self, epoch: int, termination: Termination) -> None:
        batches = PrefetchedBatches(self.batches(epoch), self.workers, self.pin_memory, first=self.batches_done)
        title = f"epoch {epoch + 1} of {self.settings.epochs}"
        reports = _Reports(self.device)
        for batch in progress(batches, title, unit="batch", status=self.log.status):
            outcome = self._step(batch.to(self.device, non_blocking=True))
            self.batches_done += 1
            due = self.state is not None and self.group.rank == 0 and self.state.due(epoch)
            flags = termination.requested, due
            found = self.group.sum(torch.stack([*outcome, *(self._number(flag) for flag in flags)]))
            self.sums = self.sums + found[:2]
            reports.add(batch, torch.cat([self.sums[:1], found[:1], found[2:]]))
            self._heed(reports)
        self._heed(reports, waiting=True)
        loss, accuracy = (self.sums / len(self.data)).tolist()
        rate = learning_rate(self.settings, epoch * self.steps, self.steps)
        logger.info("%s: loss %.4f, accuracy %.4f, learning rate %.3g", title, loss, accuracy, rate)
        self.history.append(Epoch(epoch + 1, (epoch + 1) * len(self.data), loss, accuracy, rate))
        self.batches_done, self.sums = 0, torch.zeros_like(self.sums)

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Update the weights by a batch; the sum of the losses of its images, and its hits, of this process."""
        outcome = self.passes(batch)
        outcome.objective.backward()
        if isinstance(self.passes, ParallelModule):
            self.passes.complete()
        rate = learning_rate(self.settings, batch.number, self.steps)
        self.optimiser.step(batch.number, rate, outcome.sampled)
        return outcome.loss.double() * len(batch.labels), outcome.hits.double()

    def _number(self, value: float) -> Tensor:
        """A number on the device, without a copy from the host."""
        return torch.full((), float(value), dtype=torch.float64, device=self.device)

    def _heed(self, reports: "_Reports", waiting: bool = False) -> None:
        """Do what the reports of batches ask for; all processes read the same ones at the same batch."""
        found = list(reports.read(waiting))
        stop = any(report.stop for report in found)
        if stop:
            found += reports.read(waiting=True)  # the log holds the batches that the state holds
        for report in found:
            self._note(report)
        # Batches that ended before the last save asked for it; behind the last batch the epoch is saved anyway.
        save = self.batches_done < self.steps and any(report.save and report.number >= self._kept for report in found)
        if stop or save:
            self._save()
        if stop:
            self.group.sum(self._number(0)).item()  # wait for the process that saves: a launcher ends those left behind
            raise Terminated

    def _note(self, report: Report) -> None:
        """Add a batch to the log; `BrownidError` where the loss is no number."""
        rate = learning_rate(self.settings, report.number, self.steps)
        self.log.add(report.number + 1, report.number // self.steps + 1, report.loss, report.images, rate)
        if not math.isfinite(report.losses):
            self.log.flush()
            epoch, batch = divmod(report.number, self.steps)
            raise BrownidError(
                f"The training diverged in epoch {epoch + 1}, up to batch {batch + 1} of {self.steps} (loss "
                f"{report.losses}): lower learning_rate, now {self.settings.learning_rate:g}."
            )

    def _save(self) -> None:
        self.log.flush()
        self._kept = len(self.history) * self.steps + self.batches_done
        if self.state is None:
            return
        tensors = self._tensors()
        if self.group.rank == 0:
            self.state.save(len(self.history), tensors)

    def _tensors(self) -> dict[str, Tensor]:
        history = torch.tensor(self.history, dtype=torch.float64)
        tensors = self._whole({**self.module.state_dict(), **self.optimiser.moments(), "history": history})
        if self.batches_done:
            tensors |= {BATCHES: torch.tensor(self.batches_done), SUMS: self.sums}
        return tensors

    def _restore(self, state: StateFile) -> None:
        """Continue from the state of an interrupted training, which the first process reads."""
        saved = state.load() if self.group.rank == 0 else None
        tensors = saved.tensors if saved else {}
        rows = tensors.get("history", torch.zeros(0))
        found = torch.tensor([saved is not None, len(rows), int(tensors.get(BATCHES, 0))])
        there, epochs, self.batches_done = self.group.sum(found).tolist()
        if not there:
            return

        def shared(name: str, like: Tensor, rows: int | None = None) -> Tensor:
            shape = like.shape if rows is None else (rows, *like.shape[1:])
            return self.group.sum(tensors[name].to(like) if saved else like.new_zeros(shape))

        ours = self._of_classes() if self.own_classes else set()
        for name, tensor in {**self.module.state_dict(), **self.optimiser.moments()}.items():
            if name in ours:
                tensor.copy_(shared(name, tensor, self.data.classes)[self.own_classes])
            else:
                tensor.copy_(shared(name, tensor))  # in place: the memory format stays
        if self.batches_done:
            self.sums = shared(SUMS, self.sums)
            logger.info("%d of %d batches of epoch %d are done", self.batches_done, self.steps, epochs + 1)
        history = shared("history", torch.zeros(epochs, len(Epoch._fields), dtype=torch.float64, device=self.device))
        self.history = [Epoch(int(epoch), int(images), *measured) for epoch, images, *measured in history.tolist()]


class _Reports:
    """Numbers of the last batches on their way to the host; a GPU is not waited for where it is a little behind."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.behind = BEHIND if self.on_gpu else 0
        self.pending: deque[tuple[int, int, Tensor, torch.cuda.Event | None]] = deque()

    def add(self, batch: Batch, values: Tensor) -> None:
        event = None
        if self.on_gpu:
            host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            values = host.copy_(values, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self.pending.append((batch.number, len(batch.labels), values, event))

    def read(self, waiting: bool = False) -> Iterator[Report]:
        """The reports that were not read before, on a GPU, unless it is waited for, but for the last ones."""
        while len(self.pending) > (0 if waiting else self.behind):
            number, images, values, event = self.pending.popleft()
            if event:
                event.synchronize()
            losses, loss, stop, save = values.tolist()
            yield Report(number, images, losses, loss / images, stop > 0, save > 0)
