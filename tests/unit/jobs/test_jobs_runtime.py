"""The process around a job: its log, the sentences for what goes wrong, signs of life."""

import errno
import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from brownid import runtime
from brownid.configuration.fingerprint import reached_definitions
from brownid.errors import BrownidError, sentence_of
from brownid.runtime import progress

SCRIPTS = Path(runtime.__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "last"),
    [
        ("OSError(28, 'x', 'out.h5')", "error: out.h5: No space left on device; make room there, then run again."),
        ("BrownidError('a.h5 is damaged.')", "error: a.h5 is damaged."),
        ("ZeroDivisionError('a defect')", "ZeroDivisionError: a defect"),
    ],
)
def test_a_log_begins_with_the_settings_and_ends_with_the_error(tmp_path, error, last):
    code = f"""
from brownid.errors import BrownidError
from brownid.runtime import start_job
start_job("log/job.log", 1, {{"seed": 3, "name": "é"}})
raise {error}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)})
    lines = (tmp_path / "log" / "job.log").read_text(encoding="utf-8").splitlines()
    assert done.returncode == 1
    assert lines[1].endswith('settings {"name": "é", "seed": 3}')
    assert lines[-1].endswith(last) and ("Traceback" in "".join(lines)) == ("defect" in error)


def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "log").write_text("a file where the folder should be")
    code = "from brownid.runtime import start_job; start_job('log/job.log', 1)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("error: log"), done.stderr
    assert "choose another place" in done.stderr and "Traceback" not in done.stderr


def test_what_the_machine_refuses_is_a_sentence_and_a_defect_is_none():
    assert sentence_of(BrownidError("so it is")) == "so it is"
    assert sentence_of(PermissionError(errno.EACCES, "x", "/shut/a")).startswith("/shut/a: Permission denied; see to")
    assert "No space left" in sentence_of(RuntimeError("while serializing: I/O error: x (os error 28)"))
    assert "its disk or network file system fails" in sentence_of(OSError(errno.ESTALE, "x", "/nfs/a"))
    assert sentence_of(ConnectionResetError(errno.ECONNRESET, "x")) is None
    assert sentence_of(KeyError("x")) is None


def test_a_terminal_gets_a_bar_and_a_command_without_one_is_silent(monkeypatch, capsys):
    monkeypatch.setattr(runtime.logger, "level", logging.WARNING)
    assert list(runtime.progress(range(3), "counting")) == [0, 1, 2] and not capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(runtime.progress(range(3), "counting")) == [0, 1, 2] and "counting" in capsys.readouterr().err


def test_a_long_loop_shows_life_in_a_log_and_a_short_one_nothing(monkeypatch, caplog):
    clock = iter(range(0, 1000, 10))  # ten seconds each time one looks
    monkeypatch.setattr(runtime.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO, "brownid")
    assert list(progress(range(9), "dispersion")) == list(range(9))
    assert caplog.messages == [
        "dispersion: 2 it of 9, 1 min 45 s left, 15 s each",
        "dispersion: 5 it of 9, 48 s left, 12 s each",
        "dispersion: 8 it of 9, 11 s left, 11.2 s each",
    ]
    caplog.clear()
    assert list(progress(iter("ab"), "short")) == ["a", "b"]
    assert not caplog.messages


@pytest.mark.parametrize(
    ("script", "rooms"),
    [
        ("capture_database", ["recognition", "benchmark", "dynamics"]),
        ("index_database", ["generators", "recognition"]),
        ("plot_dynamics", ["benchmark", "dynamics", "generators"]),
        ("render_images", ["recognition", "dynamics", "covariates"]),
        ("plot_distances", ["benchmark.audit", "dynamics"]),
        ("sample_references", ["covariates", "databases"]),
        ("fit_covariates", ["recognition", "generators"]),
        ("package_release", ["release.verify", "generators"]),
    ],
)
def test_a_script_does_not_depend_on_what_its_stage_does_not_run(script, rooms):
    modules = {found.module for found in reached_definitions(SCRIPTS / f"{script}.py", SCRIPTS, {"procedural"})}
    assert f"brownid.jobs.{script}" in modules
    assert not [name for name in modules for room in rooms if f"{name}.".startswith(f"brownid.{room}.")]


@pytest.mark.parametrize("folder", ["/home/me/My Projects", "/it's", "/a$b", "/plain"])
def test_snakemake_starts_python_in_a_folder_of_any_name(tmp_path, monkeypatch, folder):
    python = tmp_path / folder.strip("/") / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", "/mine")
    for _ in range(2):  # an included Snakefile does it again
        runtime.prepare_snakemake(tmp_path)
        assert shlex.split(sys.executable) == [str(python)]
        assert os.environ["PYTHONPATH"] == f"{tmp_path}/workflow/scripts:/mine"


def test_a_project_in_a_folder_with_a_brace_is_refused():
    with pytest.raises(BrownidError, match=r"cannot run a workflow in /home/\{me\}: rename it"):
        runtime.prepare_snakemake(Path("/home/{me}"))
