"""Photograph the embedded world as a verification benchmark."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.verification.persons import write_persons
from brownid.world.benchmarks import capture_benchmark as capture
from brownid.world.people import capture_arguments, embedded_world
from brownid.world.settings import BenchmarkCapture


def capture_benchmark(settings: Mapping[str, Any], *, benchmark: Path, persons: Path) -> None:
    """Photograph the pairs of a benchmark of the embedded world; `persons` is the table of who is on them."""
    wanted = BenchmarkCapture(**capture_arguments(settings["capture"]))
    write_persons(persons, capture(embedded_world(settings), benchmark, wanted, seed=settings["seed"]))


if __name__ == "__main__":
    run(capture_benchmark, snakemake)
