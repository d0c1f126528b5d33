"""The loop around the iterations of a dynamics: progress, statistics, and a state to go on from."""

from collections.abc import Callable, Mapping, Sequence

import torch

from brownid.dynamics.share import Share
from brownid.errors import BrownidError
from brownid.resuming import StateFile, terminable
from brownid.runtime import progress

Tensors = dict[str, torch.Tensor]
Step = Callable[[Tensors, int], tuple[Tensors, Mapping[str, float]]]

RECORDS, START = "records", "start"
SAME_START = 1e-3  # of its spread: rounding of another device is less, another draw is more


def iterate(
    step: Step,
    tensors: Tensors,
    iterations: int,
    names: Sequence[str],
    *,
    description: str,
    state: StateFile | None,
    share: Share,
) -> tuple[Tensors, list[Mapping[str, float]]]:
    """Run `step(tensors, iteration)`, which returns the new tensors and a record of `names`, `iterations` times.

    With a `state` it goes on where an interrupted run stopped, and saves whenever that is due, and before it passes on
    any interruption: SIGTERM, an error, the loss of another process. All processes hold the same tensors, the first one
    writes. Returns the last tensors and one record an iteration.
    """
    start = tensors["latents"].flatten(1).mean(dim=1)
    snapshot = (0, tensors, [])
    writes = state is not None and share.rank == 0

    def save(iteration: int, tensors: Tensors, records: list[Mapping[str, float]]) -> None:
        table = torch.tensor([[record[name] for name in names] for record in records], dtype=torch.float64)
        state.save(iteration, {**tensors, START: start, RECORDS: table.view(len(records), len(names))})

    with terminable():
        try:
            snapshot = _load(state, tensors, start, names, share) or snapshot
            for iteration in progress(range(snapshot[0], iterations), description):
                tensors, record = step(snapshot[1], iteration)
                # One assignment: whatever interrupts the loop finds the snapshot before it or the one after it.
                snapshot = (iteration + 1, tensors, [*snapshot[2], record])
                if writes and state.due(iteration + 1):
                    save(*snapshot)
        except BrownidError:
            raise
        except BaseException:
            if writes and snapshot[0]:
                save(*snapshot)
            raise
    return snapshot[1], snapshot[2]


def _load(
    state: StateFile | None, tensors: Tensors, start: torch.Tensor, names: Sequence[str], share: Share
) -> tuple[int, Tensors, list[Mapping[str, float]]] | None:
    """The snapshot that an earlier run left, the same on all processes; read by the first of them."""
    if state is None:
        return None
    saved = state.load() if share.rank == 0 else None
    iteration = int(share.sum(torch.tensor(0 if saved is None else saved.iteration, device=start.device)))
    if not iteration:
        return None

    def shared(name: str, like: torch.Tensor) -> torch.Tensor:
        return share.sum(torch.zeros_like(like) if saved is None else saved.tensors[name].to(like))

    began = shared(START, start)
    if float((began - start).abs().max()) > SAME_START * float(start.std(correction=0) + start.abs().mean()):
        raise BrownidError(
            f"{state.path}: this state belongs to a run that started from other latents; delete it to begin anew."
        )
    table = shared(RECORDS, start.new_zeros(iteration, len(names), dtype=torch.float64))
    records = [dict(zip(names, row, strict=True)) for row in table.tolist()]
    return iteration, {name: shared(name, tensor) for name, tensor in tensors.items()}, records
