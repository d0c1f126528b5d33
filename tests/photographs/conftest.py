"""The published files, downloaded once, and one run of the workflow on them."""

import os
import subprocess
import sys
from pathlib import Path

import published
import pytest
from typer.testing import CliRunner

from brownid.cli import app

CONFIGURATION = published.HERE / "photographs.yaml"


def pytest_collection_modifyitems(config, items):
    """Skip these tests unless they are asked for: they download packages."""
    asked = "photographs" in config.getoption("markexpr")
    for item in items:
        if item.path.parent == published.HERE:
            item.add_marker("photographs")
            if not asked:
                item.add_marker(pytest.mark.skip(reason="they download packages: ask for them, pytest -m photographs"))


def pytest_terminal_summary(terminalreporter):
    """Say once why everything was skipped, not once a test."""
    if any(published.UNANSWERED in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(f"Skipped: {published.UNANSWERED}")


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> published.Published:
    """The files of `published.py`."""
    try:
        published.download()
    except published.NoRegistryError:
        pytest.skip(published.UNANSWERED)
    return published.unpack(tmp_path_factory.mktemp("photographs") / "files")


@pytest.fixture(scope="session")
def run(files) -> Path:
    """The working directory of a finished run of photographs.yaml."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", published.PROJECT / "Snakefile"]
    command += ["--directory", files.root, "--cores", "2", "--quiet", "progress", "rules"]
    # nothing in the default target needs the embeddings of the photographs that MTCNN aligned
    command += ["--configfile", CONFIGURATION, "--", "all", "results/embeddings/sface/orl_mtcnn.h5"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return files.root


@pytest.fixture(scope="session")
def brownid():
    """Run a `brownid` command that must succeed; returns what it printed."""

    def run_command(*words: object) -> str:
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run_command
