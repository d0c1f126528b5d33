"""How fast machines do that arithmetic: measured, recorded by a finished run, or derived, and said which."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from brownid.errors import BrownidError
from brownid.estimation.work import Stage

SHARE_OF_PEAK = 0.25  # assumed: convolutions of these sizes, with data to load and small pieces between


class Machine(NamedTuple):
    """GFLOP a second of one GPU, or CPU, and where the numbers are from."""

    steering: float  # dynamics, rendering, projection: float32, in which GPUs convolve as TF32
    training: float  # bfloat16 where the machine has it
    source: str


def _derived(name: str, tf32: float, bfloat16: float) -> Machine:
    peaks = f"TF32 {tf32}, bfloat16 {bfloat16} TFLOP/s"
    said = f"derived, not measured: {SHARE_OF_PEAK:.0%} of the peak of one {name} ({peaks})"
    return Machine(1e3 * SHARE_OF_PEAK * tf32, 1e3 * SHARE_OF_PEAK * bfloat16, said)


ON_CPU = (
    "measured: StyleGAN2-256 and iResNet50, float32, forward and backward, on two cores of a Xeon with AMX, "
    "PyTorch 2.13, November 2026"
)
MACHINES = {
    "cpu": Machine(135, 135, ON_CPU),
    "rtx3090": _derived("RTX 3090", 35.6, 71),
    "a100": _derived("A100", 156, 312),
    "h100": _derived("H100 (SXM)", 494, 989),
    "h200": _derived("H200", 494, 989),
}


def machine(name: str) -> Machine:
    """A machine of the table."""
    if name not in MACHINES:
        raise BrownidError(f"there are no rates for {name!r}; known are {', '.join(MACHINES)}.")
    return MACHINES[name]


def recorded(folder: str | Path, work: Iterable[Stage]) -> dict[str, float]:
    """GFLOP a second by rule, of a finished run: its `logs/benchmarks` and the work of its configuration.

    Raises `BrownidError` where nothing is recorded of any of its rules.
    """
    seconds = benchmark_seconds(folder)
    done: Counter[str] = Counter()
    for stage in work:
        done[stage.rule] += stage.gflop
    rates = {rule: done[rule] / seconds[rule] for rule in done if seconds.get(rule) and done[rule]}
    if not rates:
        raise BrownidError(
            f"{folder}: no benchmark of a stage with a GPU (RULE/*.tsv); is it logs/benchmarks of a run?"
        )
    return rates


def benchmark_seconds(folder: str | Path) -> Mapping[str, float]:
    """Seconds of all jobs of each rule, from the tables that Snakemake's `benchmark:` wrote."""
    seconds: Counter[str] = Counter()
    for path in sorted(Path(folder).glob("*/**/*.tsv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                try:
                    seconds[path.relative_to(folder).parts[0]] += float(row["s"])
                except (KeyError, TypeError, ValueError):
                    raise BrownidError(f"{path}: this is no benchmark table of Snakemake") from None
    return seconds
