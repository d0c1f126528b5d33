"""What a run shows: lines in a log, a display in a terminal, Snakemake's own output for a dry run."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from snakemake_logger_plugin_brownid import LogHandler
from snakemake_logger_plugin_brownid.display import rendered
from snakemake_logger_plugin_brownid.progress import Job, Run, about, duration, state_text


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    @staticmethod
    def strftime(pattern):
        return "12:00:00"


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("snakemake_logger_plugin_brownid.time", made)
    return made


class Log:
    """A handler whose stream is a file, and messages for it."""

    def __init__(self, monkeypatch, **settings):
        self.stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", self.stream)
        common = {"stdout": False, "quiet": None, "show_failed_logs": True, "nocolor": False}
        common |= {"dryrun": False, "verbose": False, "printshellcmds": False, "debug_dag": False}
        self.handler = LogHandler(SimpleNamespace(**common | settings), None)

    def tell(self, message=None, level=logging.INFO, **extra):
        record = logging.LogRecord("snakemake", level, __file__, 1, message, None, None)
        vars(record).update(extra)
        self.handler.handle(record)

    def begin(self, **counts):
        self.tell("Job stats", event=LogEvent.RUN_INFO, stats={**counts, "total": sum(counts.values())})

    def start(self, number, rule, output=("made",)):
        info = {"jobid": number, "rule_name": rule, "rule_msg": f"Do {rule}", "wildcards": {}, "output": list(output)}
        self.tell("Rule", event=LogEvent.JOB_INFO, **info)

    def finish(self, number):
        self.tell("Finished", event=LogEvent.JOB_FINISHED, job_id=number)

    def fail(self, number, rule):
        error = {"jobid": number, "rule_name": rule, "rule_msg": None, "input": [], "output": ["made"], "log": []}
        error |= {"conda_env": None, "shellcmd": None, "aux": {}, "indent": False}
        self.tell(f"Error in rule {rule}", logging.ERROR, event=LogEvent.JOB_ERROR, **error)

    @property
    def lines(self):
        return [line for line in self.stream.getvalue().splitlines() if line]


@pytest.fixture
def log(monkeypatch, clock):
    return Log(monkeypatch)


def test_a_log_has_one_line_per_finished_stage_and_none_per_job(log, clock):
    log.tell("Using shell: /usr/bin/bash")
    log.begin(render=3, train=1, all=1)
    for number, rule in enumerate(["render", "render", "render", "train"]):
        log.tell("Select jobs to execute...")
        log.tell("Execute 1 jobs...", event=LogEvent.JOB_STARTED, jobs=[number])
        log.start(number, rule)
        clock.now += 10
        log.finish(number)
        log.tell(event=LogEvent.PROGRESS, done=number + 1, total=5)
    log.start(4, "all", output=())
    log.finish(4)
    log.tell("Complete log(s): x")
    log.handler.close()
    assert log.lines == [
        "5 jobs in 3 stages",
        f"12:00:00  {'render:':<24} 3 jobs, 30 s  (3 of 5 jobs done, about 20 s left)",
        f"12:00:00  {'train:':<24} 1 job, 10 s  (4 of 5 jobs done, about 10 s left)",
        "All jobs are done after 40 s.",
    ]


def test_a_stage_of_many_jobs_is_seen_to_go_on_once_a_minute(log, clock):
    log.begin(train=40)
    for number in range(10):
        log.start(number, "train")
        clock.now += 31
        log.start(100 + number, "train")
        log.finish(number)
    minutes = [line for line in log.lines if line.endswith("; running: train")]
    assert len(minutes) == 5 and minutes[0].startswith("12:00:00  1 of 40 jobs done")


def test_a_run_of_a_day_has_few_lines(log, clock):
    log.begin(train=1441)
    for number in range(1440):
        log.start(number, "train")
        clock.now += 60
        log.finish(number)
    assert 60 < len(log.lines) < 120


def test_the_profile_asks_for_a_plugin_that_snakemake_finds():
    registry = LoggerPluginRegistry()
    asked = yaml.safe_load((Path(__file__).parents[3] / "profiles/local/config.yaml").read_text())["logger"]
    assert registry.get_plugin(asked).log_handler is LogHandler


def test_a_failed_job_is_told_as_snakemake_tells_it_and_counted_until_it_runs_again(log):
    log.begin(train=2)
    log.start(1, "train")
    log.fail(1, "train")
    assert "Error in rule train:" in log.lines
    log.handler.close()
    assert log.lines[-1] == "1 job of 2 failed: see above; 0 are done."


def test_what_a_workflow_says_of_its_results_comes_last(log):
    log.begin(train=1)
    log.start(1, "train")
    log.finish(1)
    log.tell("results/report.html")
    log.handler.close()
    assert [line.partition(" after")[0] for line in log.lines[-2:]] == ["All jobs are done", "results/report.html"]


def test_a_repeated_job_is_no_failure(log):
    log.begin(train=1)
    log.start(1, "train")
    log.fail(1, "train")
    log.start(1, "train")
    log.finish(1)
    log.handler.close()
    assert log.lines[-1].startswith("All jobs are done")


def test_jobs_that_checkpoints_add_are_counted_and_the_last_line_is_printed_once(log, clock):
    log.begin(split=1)
    for number, rule in enumerate(["split", "join", "join"]):
        log.start(number, rule)
        clock.now += 10
        log.finish(number)
    assert (log.handler.run.jobs, log.handler.run.finished) == (3, 3)
    log.handler.close()
    log.handler.close()
    assert [line for line in log.lines if "All jobs" in line] == ["All jobs are done after 30 s."]
    run = Run.of_counts({}, now=0.0)
    for number in range(3):
        run.start(number, Job("late", "", 0.0))
    run.fail(0)
    assert run.finish(1, 1.0) is None and run.finish(2, 2.0) is run.stages["late"]
    assert (run.jobs, run.finished, run.failed) == (3, 2, 1)


def test_warnings_and_what_is_not_known_are_shown(log):
    log.tell("Something of a new Snakemake")
    log.tell("Low on disk", logging.WARNING)
    assert log.lines == ["Something of a new Snakemake", "Low on disk"]


def test_a_run_without_work_ends_with_the_results_that_are_there(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/images").mkdir(parents=True)
    log.tell("Nothing to be done (all requested files are present and up to date).")
    assert log.lines[-1] == "results/images/"


def test_quiet_leaves_errors(monkeypatch):
    log = Log(monkeypatch, quiet={Quietness.ALL})
    log.tell("Building DAG of jobs...")
    log.begin(train=1)
    log.tell("No report could be written", logging.ERROR)
    assert log.lines == ["No report could be written"]


def test_a_dry_run_has_the_output_of_snakemake(monkeypatch):
    log = Log(monkeypatch, dryrun=True)
    log.tell("Job stats:\njob  count", event=LogEvent.RUN_INFO, stats={"train": 1, "total": 1})
    assert log.lines == ["Job stats:", "job  count"]


def test_time_left_follows_the_measured_seconds_of_each_stage():
    run = Run.of_counts({"short": 4, "long": 3}, now=0.0)
    clock = 0.0
    for number in range(4):
        run.start(number, Job("short", "", clock))
        clock += 1
        run.finish(number, clock)
    run.start(4, Job("long", "", clock))
    assert run.seconds_left(clock) == pytest.approx(3)  # nothing is known of long yet: as short
    clock += 20
    run.finish(4, clock)
    assert run.seconds_left(clock) == pytest.approx(40)
    run.start(5, Job("long", "", clock))
    run.start(6, Job("long", "", clock))
    assert 20 < run.seconds_left(clock + 1) < 40  # two side by side
    assert Run.of_counts({"short": 4}, now=0.0).seconds_left(9.0) is None


def test_the_display_names_what_runs(clock):
    run = Run.of_counts({"render": 30}, now=0.0)
    for number in range(10):
        run.start(number, Job("render", f"Render shard {number}", float(number)))
    console = Console(file=io.StringIO(), width=100)
    console.print(rendered(run, now=70.0))
    text = console.file.getvalue()
    assert "Render shard 0" in text and "1 min 10 s" in text and "and 2 more" in text
    assert "0 of 30 jobs done" in text


def test_durations_are_in_words():
    assert [duration(s) for s in (0.4, 61, 120, 3600, 7500)] == ["0 s", "1 min 1 s", "2 min", "1 h", "2 h 5 min"]
    assert [about(s) for s in (3, 44, 100, 8000)] == ["10 s", "40 s", "2 min", "2 h 10 min"]
    run = Run.of_counts({"one": 1}, now=0.0)
    assert state_text(run, 1.0) == "0 of 1 job done"


def test_what_an_older_snakemake_or_an_environment_may_lack_is_imported_where_it_is_used():
    code = "import sys; sys.modules |= dict.fromkeys(['rich', 'snakemake.logging', 'snakemake.settings.enums'])\n"
    code += "import snakemake_logger_plugin_brownid as plugin; print(plugin._display(sys.stderr, True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_a_library_of_another_version_does_not_stop_snakemake_which_imports_every_plugin(tmp_path):
    (tmp_path / "brownid").mkdir()
    (tmp_path / "brownid/__init__.py").touch()
    plugins = Path(__file__).parents[3] / "workflow/scripts"
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(plugins)!r}]\n"
    code += (
        "import brownid, snakemake_logger_plugin_brownid as plugin; print(repr(plugin._summary()), brownid.__file__)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout.split(), done.stderr) == (["''", str(tmp_path / "brownid/__init__.py")], "")
