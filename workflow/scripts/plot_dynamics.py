"""Plot the curves of a run of the dynamics."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.figures.dynamics import plot_statistics
from brownid.samples.statistics import load_statistics


def plot_dynamics(settings: Mapping[str, Any], *, statistics: Path, figure: Path) -> None:
    """Plot what a run measured over its iterations."""
    plot_statistics(load_statistics(statistics), figure, title=settings["dataset"])


if __name__ == "__main__":
    run(plot_dynamics, snakemake)
