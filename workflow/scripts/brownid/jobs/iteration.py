"""Loops that go on where an interruption ended them: over iterations on tensors, and over chunks of rows.

Both save their state whenever that is due, and before they pass on any interruption: SIGTERM, an error, the loss of
another process. A `BrownidError` saves nothing, since what raised it would raise it again.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from brownid.jobs.distributed import SINGLE, ProcessGroup
from brownid.jobs.rescue import rescuing
from brownid.jobs.resume import SavedState, StateFile, terminable, undisturbed
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import Batching
from brownid.runtime.process import progress

Tensors = dict[str, torch.Tensor]
_Snapshot = tuple[int, Tensors, list[Mapping[str, float]]]  # iterations done, what they left, and their records
Step = Callable[[Tensors, int], tuple[Tensors, Mapping[str, float]]]

RECORDS = "records"
GIVEN = "given/"  # before the name of what a run was given
DONE, INSIDE, PLACE = "done/", "inside/", "place"  # of a loop over chunks: results, the loop inside a chunk, and where
HOST_SECONDS = 10.0  # between two copies of the tensors from the GPU to the host, for when it can no longer be asked
SAME = 1e-3  # of its standard deviation: rounding of another device is less, another draw is more


class State(Protocol):
    """State protocol of the loops: a `StateFile`, or the part of it for a loop inside a chunk."""

    @property
    def path(self) -> Path:
        """The file, for messages."""
        ...

    def load(self) -> SavedState | None:
        """The state of an interrupted run; None if there is none."""
        ...

    def due(self, iteration: int) -> bool:
        """Whether it is time to save, `iteration` iterations being done."""
        ...

    def save(self, iteration: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """Keep the state that iteration number `iteration` begins with."""
        ...


def iterate(
    step: Step,
    tensors: Tensors,
    iterations: int,
    names: Sequence[str] = (),
    *,
    description: str,
    given: Mapping[str, torch.Tensor] | None = None,
    state: State | None = None,
    group: ProcessGroup = SINGLE,
) -> tuple[Tensors, list[Mapping[str, float]]]:
    """Run `step(tensors, iteration)`, which returns the new tensors and a record of `names`, `iterations` times.

    With a `state` it goes on where an interrupted run stopped. When it is interrupted a GPU is not asked, since it may
    never answer: what is saved is the last copy on the host, some seconds old, by another thread where this one waits
    for the GPU (`brownid.jobs.rescue`). `given` are the matrices that the run
    depends on, by name; a state that was given others is refused. All processes hold the same tensors, the first one
    writes. Returns the last tensors and one record per iteration.
    """
    marks = {GIVEN + name: matrix.flatten(1).mean(dim=1) for name, matrix in (given or {}).items()}
    on_host = {name: mark.cpu() for name, mark in marks.items()}
    snapshot: _Snapshot = (0, tensors, [])
    kept = snapshot
    written = state if group.rank == 0 else None
    copied = -math.inf

    def save(to: State, iteration: int, tensors: Tensors, records: list[Mapping[str, float]]) -> None:
        table = torch.tensor([[record[name] for name in names] for record in records], dtype=torch.float64)
        to.save(iteration, {**tensors, **on_host, RECORDS: table.view(len(records), len(names))})

    def rescue() -> None:
        if written is not None and kept[0]:
            save(written, *kept)

    with terminable(), rescuing(rescue) if written is not None and _on_gpu(tensors) else nullcontext() as answered:
        try:
            if state is not None:
                snapshot = _load(state, tensors, marks, names, iterations, group) or snapshot
            for iteration in progress(range(snapshot[0], iterations), description):
                tensors, record = step(snapshot[1], iteration)
                # One assignment: whatever interrupts the loop finds the snapshot before it or the one after it.
                snapshot = (iteration + 1, tensors, [*snapshot[2], record])
                if written is None:
                    continue
                due = written.due(iteration + 1)
                if due or not _on_gpu(tensors) or time.monotonic() - copied >= HOST_SECONDS:
                    kept = (iteration + 1, {name: tensor.cpu() for name, tensor in tensors.items()}, snapshot[2])
                    copied = time.monotonic()
                if due:
                    save(written, *kept)
        except BrownidError:
            raise
        except BaseException:
            if answered is not None:
                answered.set()
            with undisturbed():
                rescue()
            raise
    return snapshot[1], snapshot[2]


class _Place(NamedTuple):
    """Progress of a loop over chunks. It is replaced as a whole: an interruption finds it before or after a chunk."""

    first: int  # rows before this one are done
    steps: int  # chunks done; of chunks with iterations inside, these
    parts: tuple[Tensors, ...]  # results of the chunks, on the host


class _StateOfChunk:
    """The state of the loop inside a chunk: a part of the state of the loop over chunks."""

    def __init__(self, state: StateFile, place: _Place, stop: int, left: SavedState | None = None) -> None:
        self.state, self.place, self.stop, self.left = state, place, stop, left
        self.path, self.steps, self.saved = state.path, 1, False

    def load(self) -> SavedState | None:
        left, self.left = self.left, None
        return left

    def due(self, iteration: int) -> bool:
        self.steps = iteration
        return self.state.due(self.place.steps + iteration)

    def save(self, iteration: int, tensors: Mapping[str, torch.Tensor]) -> None:
        _save_chunks(self.state, self.place, self.stop, iteration, tensors)
        self.saved = True


def in_chunks(
    count: int,
    work: Callable[[slice, State | None], Tensors],
    size: int | Batching,
    *,
    state: StateFile | None,
    description: str | None = None,
) -> Tensors:
    """Results of `work(rows, inner)` for the rows 0 … count−1, chunk by chunk, concatenated by name, on the host.

    A chunk has `size` rows; with a `Batching` fewer where the memory does not suffice. With a `state` the loop goes on
    behind the chunks that are done, and inside a chunk where `work` iterates with the state `inner`. The description is
    that of a progress bar; without, none is shown.
    """
    batching = size if isinstance(size, Batching) else Batching(size)
    place, inner = _Place(0, 0, ()), None

    def chunks() -> Iterator[None]:
        nonlocal place, inner
        while place.first < count:
            rows = slice(place.first, inner.stop if inner else min(place.first + batching.size, count))
            if state is not None and inner is None:
                inner = _StateOfChunk(state, place, rows.stop)

            def of_chunk(rows: slice, inner: State | None = inner) -> Tensors:
                return work(rows, inner)

            found = batching.attempt(rows, of_chunk)
            if found is None:
                inner = None  # in smaller chunks
                continue
            steps, part = inner.steps if inner else 1, {name: tensor.cpu() for name, tensor in found[0].items()}
            place = _Place(rows.stop, place.steps + steps, (*place.parts, part))
            inner = None
            if state is not None and state.due(place.steps):
                _save_chunks(state, place)
            yield

    with terminable():
        try:
            if state is not None:
                place, inner = _load_chunks(state) or (place, inner)
            left = -(-(count - place.first) // batching.size)
            for _ in chunks() if description is None else progress(chunks(), description, "chunk", total=left):
                pass
        except BrownidError:
            raise
        except BaseException:
            if state is not None and place.first and not (inner and inner.saved):
                with undisturbed():
                    _save_chunks(state, place)
            raise
    return _joined(place.parts)


def _joined(parts: Sequence[Tensors]) -> Tensors:
    return {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def _save_chunks(
    state: StateFile,
    place: _Place,
    stop: int = 0,
    iteration: int = 0,
    inside: Mapping[str, torch.Tensor] | None = None,
) -> None:
    tensors = {DONE + name: tensor for name, tensor in _joined(place.parts).items()}
    tensors |= {INSIDE + name: tensor for name, tensor in (inside or {}).items()}
    tensors[PLACE] = torch.tensor([place.first, place.steps, stop, iteration])
    state.save(place.steps + iteration, tensors)


def _load_chunks(state: StateFile) -> tuple[_Place, _StateOfChunk | None] | None:
    saved = state.load()
    if saved is None:
        return None
    first, steps, stop, iteration = saved.tensors[PLACE].tolist()
    done, inside = (
        {name.removeprefix(prefix): tensor for name, tensor in saved.tensors.items() if name.startswith(prefix)}
        for prefix in (DONE, INSIDE)
    )
    place = _Place(first, steps, (done,) if done else ())
    return place, _StateOfChunk(state, place, stop, SavedState(iteration, inside)) if inside else None


def _on_gpu(tensors: Tensors) -> bool:
    return any(tensor.is_cuda for tensor in tensors.values())


def _load(
    state: State, tensors: Tensors, marks: Tensors, names: Sequence[str], iterations: int, group: ProcessGroup
) -> _Snapshot | None:
    """The snapshot that an earlier run left, the same on all processes; the first of them reads and judges it."""
    saved, refusal = None, None
    if group.rank == 0:
        try:
            saved = state.load()
            if saved is not None:
                _check(saved, state, {**tensors, **marks}, marks, len(names), iterations)
        except BrownidError as error:
            refusal = error
    device = next(iter(tensors.values())).device
    found = torch.tensor([0 if saved is None else saved.iteration, int(refusal is not None)], device=device)
    iteration, refused = group.sum(found).tolist()
    if refused:
        raise refusal or BrownidError("The first process refused the state of the run.")
    if not iteration:
        return None

    def shared(name: str, like: torch.Tensor) -> torch.Tensor:
        return group.sum(torch.zeros_like(like) if saved is None else saved.tensors[name].to(like))

    table = shared(RECORDS, torch.zeros(iteration, len(names), dtype=torch.float64, device=device))
    records: list[Mapping[str, float]] = [dict(zip(names, row, strict=True)) for row in table.tolist()]
    return iteration, {name: shared(name, tensor) for name, tensor in tensors.items()}, records


def _check(saved: SavedState, state: State, expected: Tensors, marks: Tensors, columns: int, iterations: int) -> None:
    """Refuse a state that does not fit this run although its settings do."""
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    shapes[RECORDS] = (saved.iteration, columns)
    found = {name: tuple(tensor.shape) for name, tensor in saved.tensors.items()}
    if found != shapes or not 0 < saved.iteration <= iterations:
        raise BrownidError(
            f"{state.path}: this state of iteration {saved.iteration} holds {found}, but this run of {iterations} "
            f"iterations needs {shapes}; delete it to begin at the start."
        )
    for name, mark in marks.items():
        apart = (saved.tensors[name].to(mark) - mark).abs().max()
        if float(apart) > SAME * float(mark.std(correction=0) + mark.abs().mean()):
            raise BrownidError(
                f"{state.path}: this state belongs to a run with other {name.removeprefix(GIVEN)}; delete it to begin "
                "at the start."
            )
