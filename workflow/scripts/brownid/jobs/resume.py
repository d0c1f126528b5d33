"""States of interrupted jobs: where they are kept and to which settings they belong."""

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.runtime.process import logger
from brownid.weights.state_dict import checksum

TERMINATED = 128 + signal.SIGTERM  # exit code: nothing is wrong, run it again (Snakemake does where it has retries)
RUN = "run"  # the key of what a run adds to what its state belongs to
KEPT = "saving the state; run the same command again to go on"
SHOWN_DIFFERENCES, SHOWN_CHARACTERS = 6, 60


@dataclass(frozen=True)
class SavedState:
    """Content of a state file."""

    iteration: int  # the iteration to go on with
    tensors: dict[str, torch.Tensor]


@dataclass
class StateFile:
    """The state of one run, saved after a number of iterations or minutes, whichever comes first."""

    path: Path
    belongs_to: Mapping[str, object]  # what decides the result, as JSON knows it
    iterations: int = 10
    minutes: float = 5.0
    _saved: tuple[int, float] = field(default=(0, 0.0), repr=False)  # iteration and time of the last save

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.minutes < 0:
            raise BrownidError(
                f"A state every {self.iterations} iterations or {self.minutes} minutes cannot be: "
                "iterations must be at least 1, and minutes not negative."
            )
        self.path = Path(self.path)
        self.belongs_to = _plain(self.belongs_to)
        self._saved = (0, time.monotonic())

    def of_run(self, **more: object) -> "StateFile":
        """The same file, belonging to these settings of a run too."""
        return StateFile(self.path, {**self.belongs_to, RUN: more}, self.iterations, self.minutes)

    def load(self) -> SavedState | None:
        """The state of an interrupted run; None if there is none, or if it is damaged (logged).

        Raises `BrownidError`, naming the keys that differ, where it belongs to other settings.
        """
        if not self.path.exists():
            return None
        try:
            owner, saved = read_owner(self.path), self._read()
        except DamagedStateError as error:
            logger.warning("%s It is not used, and the run begins at its start.", error)
            return None
        different = differences(owner, self.belongs_to)
        if different:
            raise BrownidError(
                f"{self.path}: this state belongs to other settings: {'; '.join(different[:SHOWN_DIFFERENCES])}. "
                "Delete it to begin at the start, or run with the settings it belongs to."
            )
        logger.info("going on from iteration %d of %s", saved.iteration, self.path)
        self._saved = (saved.iteration, time.monotonic())
        return saved

    def _read(self) -> SavedState:
        with _opened(self.path) as file:
            metadata = file.metadata()
            # Copies in memory of their own: in the mapped file they lie at odd addresses, where matrix products of some
            # processors round otherwise than in the run that was interrupted.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, it is no mapping
            iteration = int(metadata["iteration"])
        if metadata.get("checksum") != _checksum(metadata, tensors):
            raise DamagedStateError(f"{self.path}: this state is damaged: its content does not match its checksum.")
        return SavedState(iteration, tensors)

    def due(self, iteration: int) -> bool:
        """Whether it is time to save, `iteration` iterations being done."""
        before, moment = self._saved
        return iteration - before >= self.iterations or time.monotonic() - moment >= 60 * self.minutes

    def save(self, iteration: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep the state that iteration number `iteration` begins with."""
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"belongs_to": json.dumps(self.belongs_to), "iteration": str(iteration)}
        metadata["checksum"] = _checksum(metadata, on_cpu)
        try:
            with atomic_path(self.path) as temporary:
                save_file(on_cpu, temporary, metadata)
        except (OSError, SafetensorError) as error:
            raise BrownidError(f"{self.path}: the state of the run cannot be saved there ({error}).") from None
        self._saved = (iteration, time.monotonic())


def state_path(folder: str | Path, belongs_to: Mapping[str, object]) -> Path:
    """The file in `folder` for the state of a run that `belongs_to` describes: other settings have other files."""
    text = json.dumps(_plain(belongs_to), sort_keys=True)
    return Path(folder) / f"{sha256(text.encode()).hexdigest()[:16]}.safetensors"


def read_owner(path: str | Path) -> dict[str, object]:
    """Settings and inputs to which the state at `path` belongs; `DamagedStateError` where the file does not say it."""
    with _opened(Path(path)) as file:
        owner = json.loads(file.metadata()["belongs_to"])
        if not isinstance(owner, dict):
            raise TypeError("what it belongs to is not a mapping")
        return owner


def differences(theirs: Mapping[str, object], ours: Mapping[str, object]) -> list[str]:
    """A phrase for each key, dotted where nested, that differs: `settings.timestep is -0.3 there and -0.2 here`."""
    left, right = _flat(_plain(theirs)), _flat(_plain(ours))
    names = sorted(name for name in {*left, *right} if left.get(name, ...) != right.get(name, ...))
    return [f"{name} is {_shown(left, name)} there and {_shown(right, name)} here" for name in names]


class DamagedStateError(BrownidError):
    """A state file that cannot be read, or whose content does not match its checksum."""


class Terminated(SystemExit):
    """Raised on SIGTERM (time limit, preemption, scancel). Ends the process with `TERMINATED`."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


@contextmanager
def terminable(what_is_kept: Callable[[], str] = lambda: KEPT) -> Iterator[None]:
    """Within the block SIGTERM raises `Terminated`, so that the block can save what it has.

    `what_is_kept` is asked when the signal arrives, for the log. A block that ends well although the signal arrived
    raises `Terminated` at its end: Python drops exceptions that arise in a destructor.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not disturb the saving
        logger.info("SIGTERM: %s", what_is_kept())
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if stopped:
        raise Terminated


@dataclass
class Termination:
    """Whether the process was asked to end."""

    requested: bool = False


@contextmanager
def terminating_later(what_is_kept: str) -> Iterator[Termination]:
    """Within the block SIGTERM only logs `what_is_kept` and is noted, for work that must not end at any place.

    The block looks at it and raises `Terminated` itself; one that ends well all the same raises it at its end.
    """
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return

    def note(*_: object) -> None:
        if not termination.requested:
            logger.info("SIGTERM: %s", what_is_kept)
        termination.requested = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, before)
    if termination.requested:
        raise Terminated


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT are ignored: for saving what the first of them interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedStateError(f"{path}: this is no state of a run, or it is damaged ({error}).") from None


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    return checksum(tensors, f"{metadata['iteration']} {metadata['belongs_to']}")


def _plain(value: object) -> Any:
    """As JSON gives it back: tuples are lists, keys are texts."""
    return json.loads(json.dumps(value))


def _flat(value: object, name: str = "") -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {name: value}
    parts = (_flat(item, f"{name}.{key}" if name else key) for key, item in value.items())
    return {key: item for part in parts for key, item in part.items()}


def _shown(values: Mapping[str, object], name: str) -> str:
    if name not in values:
        return "not given"
    text = repr(values[name])
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


SUFFIX = ".safetensors"
SHOWN = 4


def job_state(
    folder: Path | None,
    settings: Mapping[str, Any],
    code: str,
    inputs: Mapping[str, Any],
    saving: Mapping[str, float] | None,
    **more: object,
) -> dict[str, Any] | None:
    """Arguments of `open_state` as plain values that can be sent to other processes; None without a folder.

    The folder is the job's own. Its state belongs to the settings, the fingerprint of the code, the checksums of the
    inputs and `more`. `saving` says how often it is saved (`iterations`, `minutes`).
    """
    if folder is None:
        return None
    belongs_to = {"settings": settings, "code": code, "inputs": inputs, **more}
    return {"folder": str(folder), "belongs_to": belongs_to, "saving": dict(saving or {})}


def open_state(state: Mapping[str, Any] | None) -> StateFile | None:
    """The state file of a job that `job_state` describes.

    States in its folder that belong to other settings are refused: the log names what differs. They stay until the job
    has ended, so that going back to their settings goes on from them.
    """
    if state is None:
        return None
    folder, belongs_to = Path(state["folder"]), state["belongs_to"]
    path = state_path(folder, belongs_to)
    for other in sorted(folder.glob(f"*{SUFFIX}")):
        if other != path:
            logger.info("not going on from %s: %s", other, _reason(other, belongs_to))
    return StateFile(path, belongs_to, **state.get("saving", {}))


def discard_state(folder: Path | None) -> None:
    """Delete the states of a job that has ended."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _reason(other: Path, belongs_to: Mapping[str, Any]) -> str:
    try:
        theirs = read_owner(other)
        theirs.pop(RUN, None)  # what the run adds follows from the rest, and would fill the line
        return "it belongs to other settings, " + "; ".join(differences(theirs, belongs_to)[:SHOWN])
    except BrownidError as error:  # another run's damage must not stop this one
        return str(error)
