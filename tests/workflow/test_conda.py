"""`--software-deployment-method conda` makes one environment for each file, and each rule runs in its own."""

import os
import subprocess
import sys

import pytest
import stand_in_conda
import yaml
from conftest import PROJECT, TINY

pytestmark = pytest.mark.conda


@pytest.fixture(autouse=True)
def only_when_asked_for(request):
    if "conda" not in request.config.getoption("markexpr"):
        pytest.skip("makes environments: ask for it, pytest -m conda")


def snakemake(directory, *arguments):
    programs = stand_in_conda.install(directory / "conda")
    line = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile", "--directory", directory]
    line += ["--software-deployment-method", "conda", "--conda-prefix", directory / "environments", "--cores", "2"]
    line += ["--configfile", TINY, *arguments]
    surroundings = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, env=surroundings, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def environments(directory):
    """The packages of each environment that was made, and whether a job used it."""
    made = (path.parent for path in (directory / "environments").glob("*/described.yaml"))
    return {frozenset(packages(path / "described.yaml")): (path / "used").exists() for path in made}


def packages(path):
    return yaml.safe_load(path.read_text())["dependencies"]


def content(name):
    return frozenset(packages(PROJECT / f"envs/{name}.yaml"))


def test_one_environment_is_made_for_each_file_of_the_rules(tmp_path):
    snakemake(tmp_path, "--conda-create-envs-only")
    assert set(environments(tmp_path)) == {content(name) for name in ("plots", "torch", "torch-gpu")}


def test_a_rule_runs_in_its_own_environment(tmp_path):
    snakemake(tmp_path, "--", "results/databases/portraits/index.sqlite")
    assert environments(tmp_path) == {content("torch"): True}
