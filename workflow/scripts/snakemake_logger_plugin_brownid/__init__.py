"""What a run of this workflow shows: `snakemake --logger brownid`, which profiles/local asks for.

In a terminal, one live display with what runs, how much is done and the time left, above it a line for each finished
stage. In a log or in continuous integration the same lines, and one per minute, in long runs fewer. Snakemake's own
log, in `.snakemake/log/`, stays as it is. With `--dry-run`, `--verbose`, `--printshellcmds` or `--debug-dag`, the
output is Snakemake's own.

Snakemake imports every plugin that is installed, whether or not a run asks for it, and an older Snakemake too. So names
that only some versions have, and packages that may not be installed, are imported where they are used.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase

from snakemake_logger_plugin_brownid.progress import Job, Run, Stage, duration, jobs_text, state_text

if TYPE_CHECKING:
    from snakemake_logger_plugin_brownid.display import LiveDisplay

MINUTE = 60.0
# Messages of Snakemake that say nothing about this run, or what the lines of stages say.
LEFT_OUT = (
    "Assuming unrestricted shared filesystem usage",
    "Using shell:",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Group jobs: inactive",
    "Select jobs to execute",
    "Elapsed time:",
    "Complete log",
    "DAG of jobs will be updated",
    "host:",
)


class LogHandler(LogHandlerBase):
    """Writes to stderr; see the module."""

    def __post_init__(self) -> None:
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
        from snakemake.settings.enums import Quietness

        settings = self.common_settings
        self.stream = sys.stdout if settings.stdout else sys.stderr
        self.formatter_of_errors = DefaultFormatter(settings.quiet, settings.show_failed_logs)
        self.quiet = Quietness.ALL in (settings.quiet or ())
        self.default: logging.Handler | None = None
        if settings.dryrun or settings.verbose or settings.printshellcmds or settings.debug_dag:
            self.default = ColorizingTextHandler(
                settings.nocolor,
                self.stream,
                self.formatter_of_errors,
                DefaultFilter(
                    settings.quiet,
                    settings.debug_dag,
                    settings.verbose,
                    settings.dryrun,
                    settings.printshellcmds,
                ),
            )
        self.run: Run | None = None
        self.last_line = time.monotonic()
        self.display = _display(self.stream, settings.nocolor) if _is_terminal(self.stream) else None

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message; a mistake in here never ends a run."""
        try:
            if self.default is not None:
                self.default.handle(record)
            elif record.levelno >= logging.WARNING:
                self._problem(record)
            elif not self.quiet:
                self._handle(record, time.monotonic())
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """End the display, and say how the run ended."""
        if self.display is not None:
            self.display.stop()
        if self.run is not None and self.run.failed:
            self._line(
                f"{jobs_text(self.run.failed)} of {self.run.jobs} failed: see above; {self.run.finished} are done."
            )
            self.run = None
        self._done()
        super().close()

    def _done(self) -> None:
        """Say once that all jobs are done, where they are."""
        run = self.run
        if run is not None and not run.failed and run.ended is not None and run.finished == run.jobs:
            self.run = None
            self._line(f"All jobs are done after {duration(run.ended - run.since)}.")

    def _handle(self, record: logging.LogRecord, now: float) -> None:
        from snakemake_interface_logger_plugins.common import LogEvent

        event = getattr(record, "event", None)
        told: dict[str, Any] = vars(record)
        if event is None:
            text = str(record.msg or "")
            if text and not text.startswith(LEFT_OUT):
                self._done()  # what the workflow says of its results comes last
                self._line(text)
            if text.startswith("Nothing to be done"):
                self._line(_summary())
        elif event == LogEvent.RUN_INFO:
            counts = {rule: int(count) for rule, count in told["stats"].items() if rule != "total"}
            self.run = Run.of_counts(counts, now)
            self._line(f"{jobs_text(self.run.jobs)} in {len(counts)} stages")
            if self.display is not None:
                self.display.start(self.run)
        elif self.run is None:
            return
        elif event == LogEvent.JOB_INFO:
            does = told["rule_msg"] or " ".join(map(str, told["wildcards"].values()))
            self.run.start(told["jobid"], Job(told["rule_name"], does, now, is_target=not told["output"]))
        elif event == LogEvent.JOB_FINISHED:
            job = self.run.running.get(told["job_id"])
            stage = self.run.finish(told["job_id"], now)
            if job is not None and stage is not None and not job.is_target:
                self._stage(job.rule, stage, now)
        if self.run is not None and self.display is None and now - self.last_line >= self._pause(now):
            running = ", ".join(sorted({job.rule for job in self.run.running.values()}))
            self._line(
                f"{time.strftime('%H:%M:%S')}  {state_text(self.run, now)}{'; running: ' * bool(running)}{running}"
            )

    def _pause(self, now: float) -> float:
        """Seconds without a line: a minute, and in long runs more, so that a run of days has few hundred lines."""
        return MINUTE if self.run is None else max(MINUTE, (now - self.run.since) / 20)

    def _stage(self, rule: str, stage: Stage, now: float) -> None:
        """The line of a finished stage."""
        if stage.started is None or self.run is None:
            return
        took = f"{jobs_text(stage.finished)}, {duration(now - stage.started)}"
        failed = f", {stage.failed} failed" if stage.failed else ""
        self._line(f"{time.strftime('%H:%M:%S')}  {rule + ':':<24} {took}{failed}  ({state_text(self.run, now)})")

    def _problem(self, record: logging.LogRecord) -> None:
        """A warning or an error, as Snakemake writes it."""
        from snakemake_interface_logger_plugins.common import LogEvent

        if self.run is not None and getattr(record, "event", None) == LogEvent.JOB_ERROR:
            self.run.fail(vars(record)["jobid"])
        text = self.formatter_of_errors.format(record)
        if text and text != "None":
            self._line(text, style="red" if record.levelno >= logging.ERROR else "yellow")

    def _line(self, text: str, style: str = "") -> None:
        self.last_line = time.monotonic()
        if self.display is not None:
            self.display.print(text, style)
        else:
            print(text, file=self.stream, flush=True)


def _display(stream: Any, nocolor: bool) -> LiveDisplay | None:
    """The live display; without the package that draws it there are lines."""
    try:
        from snakemake_logger_plugin_brownid.display import LiveDisplay
    except ImportError:
        return None
    return LiveDisplay(stream, nocolor)


def _summary() -> str:
    """What the finished run in this folder has made; the library beside this plugin may be of another version."""
    try:
        from brownid.planning.summary import summary
    except ImportError:
        return ""
    return summary(Path())


def _is_terminal(stream: Any) -> bool:
    """Whether a display can be redrawn on the stream: neither a file nor a pipe, a dumb terminal or CI."""
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")
