"""The live display of a run in a terminal: a bar, the running jobs, the time left."""

from __future__ import annotations

import time
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from snakemake_logger_plugin_brownid.progress import Run, duration, state_text

PER_SECOND = 2
MOST = 8  # running jobs that are listed


class LiveDisplay:
    """Redraws the state of a run at the bottom of the terminal; lines are printed above it."""

    def __init__(self, stream: TextIO, nocolor: bool = False) -> None:
        self.console = Console(file=stream, no_color=nocolor or None, highlight=False)
        self.run: Run | None = None
        self.live = Live(
            console=self.console, get_renderable=self._render, refresh_per_second=PER_SECOND, transient=True
        )

    def start(self, run: Run) -> None:
        """Show a run from now on."""
        self.run = run
        self.live.start()

    def stop(self) -> None:
        """Remove the display; the lines above it stay."""
        self.live.stop()

    def print(self, text: str, style: str = "") -> None:
        """Print text above the display, as it is."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def _render(self) -> RenderableType:
        return "" if self.run is None else rendered(self.run, time.monotonic())


def rendered(run: Run, now: float) -> RenderableType:
    """The display at a moment."""
    running = sorted(run.running.copy().values(), key=lambda job: job.since)
    jobs = Table.grid(padding=(0, 2))
    jobs.add_column(overflow="ellipsis", no_wrap=True)
    jobs.add_column(overflow="ellipsis", no_wrap=True)
    jobs.add_column(justify="right", no_wrap=True)
    for job in running[:MOST]:
        jobs.add_row(f"  {job.rule}", Text(job.does, style="dim"), duration(now - job.since))
    if len(running) > MOST:
        jobs.add_row(f"  and {len(running) - MOST} more", "", "")
    state = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=max(1, run.jobs), completed=run.finished, width=30)
    state.add_row(bar, state_text(run, now), Text(duration(now - run.since), style="dim"))
    return Group(jobs, state)
