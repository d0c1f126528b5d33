"""One real run of the tiny configuration, which the tests of the workflow then look at and dry-run against."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from filelock import FileLock
from snakemake.cli import args_to_api, parse_args
from snakemake.executors.dryrun import Executor

PROJECT = Path(__file__).parents[2]
TINY = PROJECT / "tests" / "tiny.yaml"
TARGETS = ("all", "default", "datasets", "images", "scores", "development", "figures", "release")
PARTS = ("Snakefile", "workflow", "envs", "profiles", "config", "tests/tiny.yaml")


def snakemake(directory, *arguments, project=PROJECT, configfiles=(TINY,), python=sys.executable):
    """Run Snakemake on the project with `directory` as the working directory; returns status and what it said."""
    command = [python, "-m", "snakemake", "--snakefile", project / "Snakefile", "--directory", directory]
    command += ["--cores", "2", "--scheduler", "greedy", *arguments]
    command += ["--configfile", *configfiles] if configfiles else []
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)  # the project finds its own library
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=600)
    return done.returncode, done.stdout + done.stderr


def dry_run(directory, *arguments, project=PROJECT, configfiles=(TINY,)):
    """As `snakemake --dry-run`, but in this process: starting Snakemake takes ten times as long as building the DAG."""
    command = ["--snakefile", project / "Snakefile", "--directory", directory, "--cores", "2", "--dry-run"]
    command += [*arguments, *(["--configfile", *configfiles] if configfiles else [])]
    before, path, environment, said = os.getcwd(), list(sys.path), dict(os.environ), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            parser, parsed = parse_args(list(map(str, command)))
            succeeded = args_to_api(parsed, parser)
        except SystemExit as refusal:  # of a configuration that is refused: Python would print it
            succeeded = print(refusal)
        finally:
            os.chdir(before)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(environment)
    return 0 if succeeded else 1, said.getvalue()


def pending(directory, *arguments, **options):
    """The jobs that would run now, by rule: `{rule: count}` without the target rules."""
    # Describing each job takes a quarter of the time; the table is enough.
    with mock.patch.object(Executor, "printjob"):
        status, said = dry_run(directory, *arguments, **options)
    assert status == 0, said
    if "Job stats:" not in said:
        assert "Nothing to be done" in said, said
        return {}
    table = said.split("Job stats:")[1].split("total")[0]
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {rule: count for rule, count in jobs.items() if rule not in TARGETS}


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, worker_id):
    """The working directory of a finished run, one for all workers; tests must leave it as it is."""
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "tiny-run"
    with FileLock(f"{directory}.lock"):
        if not (directory / "results/release/tiny.verified.txt").exists():
            status, said = snakemake(directory)
            assert status == 0, said
    return directory


@pytest.fixture
def copied_run(tiny_run, tmp_path):
    """A copy of the finished run, with the file times of the copying."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run", copy_function=shutil.copyfile))


@pytest.fixture
def clone(tmp_path):
    """A copy of the project, to edit."""
    for part in PARTS:
        target = tmp_path / "clone" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    return tmp_path / "clone"
