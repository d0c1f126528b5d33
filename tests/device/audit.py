"""Runs scenarios on the simulated GPU, and keeps the budget of what crosses between host and device.

    python tests/device/audit.py              lower the budgets in budgets.yaml to what crosses today
    python tests/device/audit.py SCENARIO     show what crosses in a scenario

A budget never rises by this: a larger one is written by hand, with the reason in the commit.
A scenario that has none gets one.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
import yaml
from scenarios import ROUNDED, SCENARIOS
from simulated_gpu import WAITS, SimulatedGPU

from brownid.generators.stylegan2.lowpass import _chosen
from brownid.runtime import process
from brownid.runtime.fusing import _programs
from brownid.training.augmentation import _resolution_matrices

BUDGETS = Path(__file__).with_name("budgets.yaml")
HEAD = "# Crossings between host and device by scenario and function: how many and, of copies, bytes (see audit.py).\n"
Budget = dict[str, dict[str, list[int]]]  # place -> kind -> [crossings] or [crossings, bytes]


@contextmanager
def simulated() -> Iterator[SimulatedGPU]:
    """A process that has a GPU, and no tensors on an earlier one."""
    caches = (_programs.clear, _resolution_matrices.cache_clear, process.default_device.cache_clear, _chosen.clear)
    for clear in caches:
        clear()
    gpu = SimulatedGPU()
    with mock.patch.dict(os.environ, {process.DEVICE: "auto"}), gpu:
        yield gpu
    for clear in caches:
        clear()


def on_device(name: str) -> tuple[list[torch.Tensor], Budget]:
    """The results of a scenario on the simulated GPU, and what crossed."""
    with simulated() as gpu:
        found_there = [tensor.detach() for tensor in SCENARIOS[name]("cuda")]
        results = [tensor.cpu() for tensor in found_there]
    found: Budget = {"results": {"on host": [sum(not tensor.is_cuda for tensor in found_there)]}}
    for crossing, count in sorted(gpu.crossings.items()):
        amount = [count] if crossing.kind == WAITS else [count, gpu.bytes[crossing]]
        found.setdefault(crossing.place, {})[crossing.kind] = amount
    return results, found


def differences(name: str, found: list[torch.Tensor], wanted: list[torch.Tensor]) -> list[str]:
    """What of the results differs from those of the CPU: by a bit, or by more than rounding."""
    assert len(found) == len(wanted)
    said = []
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert one.shape == other.shape and one.dtype == other.dtype
        tolerance = ROUNDED.get(name, 0.0) * float(other.detach().abs().max())
        if not torch.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True):
            said.append(f"result {number}: {float((one.double() - other.double()).abs().max())} apart")
    return said


def read_budgets() -> dict[str, Budget]:
    """The budgets of all scenarios."""
    return yaml.safe_load(BUDGETS.read_text(encoding="utf-8")) if BUDGETS.exists() else {}


def compared(found: Budget, budget: Budget) -> tuple[list[str], list[str]]:
    """What is above the budget, and what is below it, in sentences."""
    above, below = [], []
    counted = {(place, kind) for side in (found, budget) for place, kinds in side.items() for kind in kinds}
    for place, kind in sorted(counted):
        now, allowed = (side.get(place, {}).get(kind, [0, 0]) for side in (found, budget))
        for amount, limit, unit in zip(now, allowed, ("times", "bytes"), strict=False):
            if amount != limit:
                (above if amount > limit else below).append(f"{place}: {kind} {amount} {unit}, the budget has {limit}")
    return above, below


def lowered(found: Budget, budget: Budget | None) -> Budget:
    """The budget, nowhere above what was found; without one, what was found."""
    if budget is None:
        return found
    kept: Budget = {}
    for place, kinds in budget.items():
        for kind, allowed in kinds.items():
            now = found.get(place, {}).get(kind)
            if now is not None:
                kept.setdefault(place, {})[kind] = [min(pair) for pair in zip(now, allowed, strict=True)]
    return kept


def write_budgets(budgets: Mapping[str, Budget]) -> None:
    """Write the table, one line for a place."""
    lines = [HEAD]
    for name, budget in budgets.items():
        lines.append(f"{name}:" if budget else f"{name}: {{}}")
        for place, kinds in budget.items():
            amounts = ", ".join(f"{kind}: {amount}" for kind, amount in kinds.items())
            lines.append(f"  {place}: {{{amounts}}}")
    BUDGETS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    if names:
        for name in names:
            for place, kinds in on_device(name)[1].items():
                print(f"{name}: {place}: {kinds}")
        return
    budgets = read_budgets()
    for name in SCENARIOS:
        _, found = on_device(name)
        budget = budgets.get(name)
        for sentence in compared(found, budget)[0] if budget is not None else ():
            print(f"{name}: {sentence}")
        budgets[name] = lowered(found, budget)
    write_budgets({name: budgets[name] for name in SCENARIOS})


if __name__ == "__main__":
    main(sys.argv[1:])
