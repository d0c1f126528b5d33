"""What a run has done, does and has left: counts and seconds per stage (rule), from the events of Snakemake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ENOUGH = 0.05  # share of the jobs that must be finished before a remaining time is stated


@dataclass
class Stage:
    """The jobs of one rule."""

    jobs: int
    finished: int = 0
    failed: int = 0
    seconds: float = 0.0  # of the finished jobs together
    started: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether no job of the stage is left."""
        return self.finished + self.failed >= self.jobs


@dataclass(frozen=True)
class Job:
    """A running job, and in words what it does."""

    rule: str
    does: str
    since: float
    is_target: bool = False  # it makes no file


@dataclass
class Run:
    """The state of a run; times are seconds of any clock that only moves forward."""

    stages: dict[str, Stage]
    since: float
    running: dict[int, Job] = field(default_factory=dict)
    failures: set[int] = field(default_factory=set)  # jobs that failed and were not started again
    ended: float | None = None  # when the last of the finished jobs did

    @classmethod
    def of_counts(cls, counts: Mapping[str, int], now: float) -> Run:
        """A run of so many jobs per rule, which starts now."""
        return cls({rule: Stage(count) for rule, count in counts.items()}, now)

    @property
    def jobs(self) -> int:
        """All jobs of the run."""
        return sum(stage.jobs for stage in self.stages.values())

    @property
    def finished(self) -> int:
        """Jobs that ended well."""
        return sum(stage.finished for stage in self.stages.values())

    @property
    def failed(self) -> int:
        """Jobs that ended with an error and were not repeated."""
        return sum(stage.failed for stage in self.stages.values())

    def start(self, number: int, job: Job) -> None:
        """A job starts, for the first time or again; one that a checkpoint added was not counted yet."""
        stage = self.stages.setdefault(job.rule, Stage(0))
        if number in self.running:
            return
        if number in self.failures:
            self.failures.remove(number)
            stage.failed -= 1
        stage.started = job.since if stage.started is None else stage.started
        self.running[number] = job
        running = sum(other.rule == job.rule for other in self.running.values())
        stage.jobs = max(stage.jobs, stage.finished + stage.failed + running)

    def finish(self, number: int, now: float) -> Stage | None:
        """A job ended well; returns its stage where this job was the last of it."""
        job = self.running.pop(number, None)
        if job is None:
            return None
        stage = self.stages[job.rule]
        stage.finished += 1
        stage.seconds += now - job.since
        self.ended = now
        return stage if stage.is_over else None

    def fail(self, number: int) -> None:
        """A job ended with an error."""
        job = self.running.pop(number, None)
        if job is not None:
            self.failures.add(number)
            self.stages[job.rule].failed += 1

    def seconds_left(self, now: float) -> float | None:
        """The time until the last job ends, None before enough jobs have finished.

        A job takes as long as the finished ones of its stage did on average, or, in a stage without a finished job,
        as those of all stages; as many jobs run side by side as did so far.
        """
        ended, elapsed = self.finished, now - self.since
        done = sum(stage.seconds for stage in self.stages.values())
        if ended < max(3, ENOUGH * self.jobs) or elapsed <= 0 or done <= 0:
            return None
        mean = {rule: stage.seconds / stage.finished for rule, stage in self.stages.items() if stage.finished}
        ahead = {rule: stage.jobs - stage.finished - stage.failed for rule, stage in self.stages.items()}
        running = list(self.running.values())
        left = sum(max(0, count) * mean.get(rule, done / ended) for rule, count in ahead.items())
        left -= sum(min(now - job.since, mean.get(job.rule, done / ended)) for job in running)
        side_by_side = max(1.0, (done + sum(now - job.since for job in running)) / elapsed)
        return max(0.0, left) / side_by_side


def duration(seconds: float) -> str:
    """Seconds in words: `41 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def about(seconds: float) -> str:
    """Seconds in round words, since they are a guess: `30 s`, `4 min`, `2 h 10 min`."""
    if seconds < 55:
        return f"{max(10, 10 * round(seconds / 10))} s"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    return duration(600 * round(seconds / 600))


def jobs_text(count: int) -> str:
    """`1 job`, `12 jobs`."""
    return "1 job" if count == 1 else f"{count} jobs"


def state_text(run: Run, now: float) -> str:
    """How far a run is: `45 of 95 jobs done, about 4 min left`."""
    text = f"{run.finished} of {jobs_text(run.jobs)} done"
    if run.failed:
        text += f", {run.failed} failed"
    left = run.seconds_left(now)
    return text if left is None or run.finished + run.failed >= run.jobs else f"{text}, about {about(left)} left"
