"""The log of a training, a row per batch, that goes on where the training goes on."""

import csv
import importlib.util
import time
from collections import deque
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from brownid.runtime.files import atomic_path
from brownid.runtime.process import logger

FLUSH_SECONDS = 5.0  # between two writes
WINDOW = 20  # batches over which the rate is measured


class Row(NamedTuple):
    """A row of the log."""

    batch: int  # counted from 1 over the whole training
    epoch: int  # counted from 1
    loss: float  # mean over the images of the batch
    images_per_second: float  # over the last batches, by the clock
    learning_rate: float


class StepLog:
    """A CSV of `Row`s and, where tensorboard is installed, its events in the folder of the same name.

    Rows behind the batch from which an interrupted training goes on are dropped, so that each batch has one row. Whole
    rows are appended every few seconds. Without a path, nothing is written, and `last` alone is kept.
    """

    def __init__(self, path: Path | None, batches_done: int) -> None:
        self.path = path
        self.last: Row | None = None
        self._lines: list[str] = []
        self._flushed = time.monotonic()
        self._times = deque([(time.monotonic(), 0)], maxlen=WINDOW + 1)  # and images since the start
        self._events: Any = None
        if path is None:
            return
        with atomic_path(path) as temporary:
            temporary.write_text("".join(_kept(path, batches_done)))
        if importlib.util.find_spec("tensorboard"):
            try:
                from torch.utils.tensorboard import SummaryWriter

                self._events = SummaryWriter(str(path.with_suffix("")), purge_step=batches_done + 1)
            except Exception as error:  # whatever is wrong with it: nothing needs it
                logger.warning("tensorboard is installed, but fails (%s): no events are written", error)

    def add(self, batch: int, epoch: int, loss: float, images: int, learning_rate: float) -> None:
        """Note a batch of so many images."""
        now, (start, before) = time.monotonic(), self._times[0]
        seen = self._times[-1][1] + images
        self._times.append((now, seen))
        rate = (seen - before) / max(now - start, 1e-9)
        self.last = Row(batch, epoch, loss, rate, learning_rate)
        if self.path is None:
            return
        self._lines.append(_line((batch, epoch, f"{loss:.6g}", f"{rate:.1f}", f"{learning_rate:.6g}")))
        if self._events is not None:
            for name in ("loss", "images_per_second", "learning_rate"):
                self._events.add_scalar(name, getattr(self.last, name), batch)
        if now - self._flushed > FLUSH_SECONDS:
            self.flush()

    def status(self) -> str:
        """The last batch, for a progress bar."""
        if self.last is None:
            return ""
        return (
            f"loss {self.last.loss:.3f}, {self.last.images_per_second:.0f} images/s, "
            f"learning rate {self.last.learning_rate:.3g}"
        )

    def flush(self) -> None:
        """Write what was noted."""
        self._flushed = time.monotonic()
        if self.path is not None and self._lines:
            with open(self.path, "a", newline="") as file:
                file.write("".join(self._lines))
            self._lines = []
        if self._events is not None:
            self._events.flush()


def _kept(path: Path, batches_done: int) -> list[str]:
    """The heading, and the whole rows of an earlier run up to a batch."""
    rows = path.read_text().splitlines(keepends=True)[1:] if batches_done and path.exists() else []
    kept = [row for row in rows if row.endswith("\n") and _number(row) <= batches_done]
    return [_line(Row._fields), *kept]


def _number(row: str) -> float:
    first = row.partition(",")[0]
    return int(first) if first.isdecimal() else float("inf")


def _line(values: tuple[object, ...]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
