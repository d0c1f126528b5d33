"""Where the project, its environment and its results may lie, and what the command line may change."""

import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, TINY, pending, snakemake

from brownid.configuration.loading import load_configuration
from brownid.configuration.products import job_counts

ODD = """the "clone's" $HOME (#1) föld\u00e9r"""


def environment(folder):
    """Python in an environment in `folder`: the packages of this one, and another brownid."""
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "these.pth").write_text(sysconfig.get_path("purelib"))
    (packages / "brownid.py").write_text("raise SystemExit('not the library of the project')")
    return python


def test_a_clone_in_a_folder_of_any_name_runs_its_own_library(clone, tmp_path):
    odd = shutil.move(clone, tmp_path / ODD)
    python = environment(odd / ".venv")
    target = "results/databases/portraits/index.sqlite"  # two jobs
    status, said = snakemake(tmp_path / f"{ODD} run", target, project=odd, python=python)
    assert status == 0, said
    assert (tmp_path / f"{ODD} run" / target).exists()


def test_a_clone_in_a_folder_with_a_brace_is_refused_in_a_sentence(clone, tmp_path):
    odd = shutil.move(clone, tmp_path / "{a}")
    status, said = snakemake(tmp_path / "run", "--dry-run", project=odd)
    assert status == 1 and f"error: Snakemake cannot run a workflow in {odd}" in said and "Traceback" not in said


def test_a_working_directory_runs_its_own_configuration_or_that_of_the_project(tmp_path):
    jobs = pending(tmp_path, configfiles=())
    config = load_configuration(yaml.safe_load((PROJECT / "config/config.yaml").read_text()))
    assert jobs["train_recognition"] == job_counts(config)["train_recognition"] > 2
    (tmp_path / "config").mkdir()
    shutil.copy(TINY, tmp_path / "config/config.yaml")
    assert pending(tmp_path, configfiles=())["train_recognition"] == 2


@pytest.mark.parametrize(("epochs", "trained"), [(1, 0), (3, 2)])
def test_one_number_of_the_command_line_is_as_if_it_stood_in_the_file(tiny_run, epochs, trained):
    values = f"training={{fr_varied: {{settings: {{epochs: {epochs}, learning_rate: 1e-2}}}}}}"
    assert pending(tiny_run, "--config", values).get("train_recognition", 0) == trained
