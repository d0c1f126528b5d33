"""The loop around the iterations of a dynamics: progress, statistics, and a state to go on from."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from brownid.jobs.distributed import ProcessGroup
from brownid.jobs.resume import SavedState, StateFile, terminable, undisturbed
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress

Tensors = dict[str, torch.Tensor]
Step = Callable[[Tensors, int], tuple[Tensors, Mapping[str, float]]]

RECORDS = "records"
GIVEN = "given/"  # before the name of what a run was given
HOST_SECONDS = 10.0  # between two copies of the tensors from the GPU to the host, for when it can no longer be asked
SAME = 1e-3  # of its spread: rounding of another device is less, another draw is more


def iterate(
    step: Step,
    tensors: Tensors,
    iterations: int,
    names: Sequence[str],
    *,
    description: str,
    given: Tensors,
    state: StateFile | None,
    group: ProcessGroup,
) -> tuple[Tensors, list[Mapping[str, float]]]:
    """Run `step(tensors, iteration)`, which returns the new tensors and a record of `names`, `iterations` times.

    With a `state` it goes on where an interrupted run stopped, and saves whenever that is due, and before it passes on
    any interruption: SIGTERM, an error, the loss of another process. A GPU is not asked then, since it may never
    answer: what is saved is the last copy on the host, some seconds old. `given` are the matrices that the run depends
    on, by name; a state that was given others is refused. All processes hold the same tensors, the first one writes.
    Returns the last tensors and one record an iteration.
    """
    marks = {GIVEN + name: matrix.flatten(1).mean(dim=1) for name, matrix in given.items()}
    on_host = {name: mark.cpu() for name, mark in marks.items()}
    snapshot = kept = (0, tensors, [])
    writes = state is not None and group.rank == 0
    copied = -math.inf

    def save(iteration: int, tensors: Tensors, records: list[Mapping[str, float]]) -> None:
        table = torch.tensor([[record[name] for name in names] for record in records], dtype=torch.float64)
        state.save(iteration, {**tensors, **on_host, RECORDS: table.view(len(records), len(names))})

    with terminable():
        try:
            if state is not None:
                snapshot = _load(state, tensors, marks, names, iterations, group) or snapshot
            for iteration in progress(range(snapshot[0], iterations), description):
                tensors, record = step(snapshot[1], iteration)
                # One assignment: whatever interrupts the loop finds the snapshot before it or the one after it.
                snapshot = (iteration + 1, tensors, [*snapshot[2], record])
                due = writes and state.due(iteration + 1)
                if due or (writes and (not _on_gpu(tensors) or time.monotonic() - copied >= HOST_SECONDS)):
                    kept = (iteration + 1, {name: tensor.cpu() for name, tensor in tensors.items()}, snapshot[2])
                    copied = time.monotonic()
                if due:
                    save(*kept)
        except BrownidError:
            raise
        except BaseException:
            if writes and kept[0]:
                with undisturbed():
                    save(*kept)
            raise
    return snapshot[1], snapshot[2]


def _on_gpu(tensors: Tensors) -> bool:
    return any(tensor.is_cuda for tensor in tensors.values())


def _load(
    state: StateFile, tensors: Tensors, marks: Tensors, names: Sequence[str], iterations: int, group: ProcessGroup
) -> tuple[int, Tensors, list[Mapping[str, float]]] | None:
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
    records = [dict(zip(names, row, strict=True)) for row in table.tolist()]
    return iteration, {name: shared(name, tensor) for name, tensor in tensors.items()}, records


def _check(
    saved: SavedState, state: StateFile, expected: Tensors, marks: Tensors, columns: int, iterations: int
) -> None:
    """Refuse a state that does not fit this run although its settings do."""
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    shapes[RECORDS] = (saved.iteration, columns)
    found = {name: tuple(tensor.shape) for name, tensor in saved.tensors.items()}
    if found != shapes or not 0 < saved.iteration <= iterations:
        raise BrownidError(
            f"{state.path}: this state of iteration {saved.iteration} holds {found}, but this run of {iterations} "
            f"iterations needs {shapes}; delete it to begin anew."
        )
    for name, mark in marks.items():
        apart = (saved.tensors[name].to(mark) - mark).abs().max()
        if float(apart) > SAME * float(mark.std(correction=0) + mark.abs().mean()):
            raise BrownidError(
                f"{state.path}: this state belongs to a run with other {name.removeprefix(GIVEN)}; delete it to begin "
                "anew."
            )
