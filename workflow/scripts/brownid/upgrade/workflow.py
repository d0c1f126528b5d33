"""The jobs of a run, and what Snakemake has recorded of their results: the only place here that knows Snakemake."""

import io
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brownid
from brownid.runtime.errors import BrownidError, one_line, pip_install

PROJECT = Path(brownid.__file__).parents[3]


@dataclass(frozen=True)
class Job:
    """A job of the run's default target, as the present code and configuration define it."""

    rule: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    params: tuple[str, ...]  # as Snakemake records them: without names, as Python writes them
    logs: tuple[str, ...]  # log and benchmark
    state: str | None  # the folder of the state of an interrupted job


class Records:
    """Snakemake's records of the files of a run."""

    def __init__(self, persistence: Any):
        self._persistence = persistence

    def read(self, path: str) -> dict[str, Any] | None:
        """The record of an output file: `rule`, `params`, `input`, `input_checksums`, `endtime` and more."""
        record = self._persistence._read_record(path)
        return None if record is None else dict(record.items())

    def write(self, path: str, record: Mapping[str, Any]) -> None:
        """Replace the record of an output file."""
        from snakemake.persistence import MetadataRecord

        self._persistence._write_record(path, MetadataRecord.model_validate(record))
        self._persistence._clear_cache()

    def remove(self, path: str) -> None:
        """Remove the record of a file that is no more."""
        self._persistence._delete_record(path)
        self._persistence._clear_cache()

    def incomplete(self, paths: Sequence[str]) -> set[str]:
        """Those files that a job had begun to write, and did not finish."""
        return self._persistence._filter_incomplete_keys(paths)


@dataclass(frozen=True)
class Run:
    """All jobs of a run, each after those that it needs, and its records; within `open_run`."""

    jobs: list[Job]
    targets: list[str]  # the files of the default target
    records: Records
    seed: int | None  # of the configuration
    largest_checked: int  # bytes: inputs up to this size are compared by checksum
    lock: Any  # a context manager: no Snakemake may work in the folder


@contextmanager
def open_run(
    configfiles: Sequence[Path], values: Sequence[str] = (), directory: Path = Path(), project: Path = PROJECT
) -> Iterator[Run]:
    """The run of a configuration in `directory`, which is the current folder within the block.

    `values` are KEY=VALUE texts as those of --config. Raises `BrownidError` for a configuration that cannot be used.
    """
    if not (project / "Snakefile").is_file():
        raise BrownidError(f"There is no Snakefile in {project}: install brownid from a clone (pip install -e).")
    arguments = ["--snakefile", project / "Snakefile", "--directory", directory, "--dry-run", "--cores", "1"]
    arguments += ["--configfile", *configfiles] if configfiles else []
    arguments += ["--config", *values] if values else []
    path, environment = list(sys.path), dict(os.environ)
    try:
        with _workflow(list(map(str, arguments))) as (workflow, largest_checked):
            yield _run(workflow, largest_checked)
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)


@contextmanager
def _workflow(arguments: Sequence[str]) -> Iterator[tuple[Any, int]]:
    """Snakemake's workflow with the DAG of its jobs; nothing is executed."""
    try:
        from snakemake.api import SnakemakeApi
        from snakemake.cli import parse_args, parse_config
        from snakemake.exceptions import WorkflowError
        from snakemake.settings import types
    except ImportError:
        command = pip_install("snakemake>=9.20,<10")
        raise BrownidError(f"Snakemake is not installed in this environment: run {command}.") from None
    with redirect_stderr(io.StringIO()):
        _, options = parse_args(arguments)
    quiet = types.OutputSettings(dryrun=True, log_level_override=logging.ERROR, enable_file_logging=False)
    with SnakemakeApi(quiet) as api:
        try:
            workflow_api = api.workflow(
                types.ResourceSettings(cores=1),
                config_settings=types.ConfigSettings(
                    config=parse_config(options.config), configfiles=options.configfile, config_args=options.config
                ),
                workflow_settings=types.WorkflowSettings(
                    persistence_backend=options.persistence_backend,
                    persistence_backend_db_url=options.persistence_backend_db_url,
                ),
                snakefile=options.snakefile,
                workdir=options.directory,
            )
            largest_checked = options.max_checksum_file_size
            workflow_api.dag(
                types.DAGSettings(rerun_triggers=options.rerun_triggers, max_checksum_file_size=largest_checked)
            )
            workflow = workflow_api._workflow
            workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=False)
            workflow._build_dag()
        except SystemExit as refusal:  # of a configuration that cannot be used
            raise BrownidError(str(refusal.code).removeprefix("error: ")) from None
        except WorkflowError as error:
            raise BrownidError(f"Snakemake: {one_line(error)}.") from None
        yield workflow, largest_checked


def _run(workflow: Any, largest_checked: int) -> Run:
    persistence = workflow.persistence
    jobs = [job for level in workflow.dag.toposorted() for job in level]
    targets = [str(path) for job in jobs if job.rule.norun for path in job.input]
    return Run(
        [_job(job, persistence) for job in jobs if not job.rule.norun],
        targets,
        Records(persistence),
        workflow.globals["config"].get("seed"),
        largest_checked,
        persistence.lock,
    )


def _job(job: Any, persistence: Any) -> Job:
    return Job(
        rule=job.rule.name,
        outputs=tuple(map(str, job.output)),
        inputs=tuple(map(str, job.input)),
        params=tuple(persistence._params(job)),
        logs=tuple(map(str, [*job.log, *([job.benchmark] if job.benchmark else [])])),
        state=getattr(job.params, "state", None),
    )
