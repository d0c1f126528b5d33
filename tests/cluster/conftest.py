"""Runs on the real cluster, one for several tests: they are what costs time."""

import shutil
import tempfile
from pathlib import Path

import pytest
from cluster import (
    PROJECT,
    jobs,
    kill_hard,
    reason_to_skip,
    said,
    snakemake,
    start_snakemake,
    wait_for,
    with_accidents,
    write_profile,
)

HERE = Path(__file__).parent
ACCIDENTS = {"undisturbed": "none", "cancelled": "stall", "overtime": "stall", "overweight": "memory"}


def pytest_collection_modifyitems(config, items):
    """Skip these tests unless they are asked for, and where they cannot run."""
    here = [item for item in items if item.path.parent == HERE]
    if not here:
        return
    asked = "slurm" in config.getoption("markexpr")
    reason = reason_to_skip() if asked else "they send jobs to a cluster: ask for them, pytest -m slurm"
    for item in here:
        item.add_marker("slurm")
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def place():
    """A folder that the nodes see as well: below the project, since they need that anyway."""
    (PROJECT / ".snakemake").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=PROJECT / ".snakemake"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def profile(place):
    return write_profile(place / "profile")


@pytest.fixture(scope="session")
def finished(place, profile):
    """The working directory of the tiny configuration, run through sbatch; its results must stay as they are."""
    directory = place / "finished"
    directory.mkdir()
    status, told = snakemake(directory, profile)
    assert status == 0, told
    return directory


@pytest.fixture(scope="session")
def disturbed(place, finished):
    """A run of equal Langevin jobs: undisturbed, cancelled, too slow, too large, and in two processes."""
    directory = place / "disturbed"
    shutil.copytree(finished, directory)
    configfiles = with_accidents(directory, **ACCIDENTS)
    tight = {"mem_mb": "2000 * attempt", "runtime": "1 if attempt == 1 else 10"}
    profile = write_profile(place / "tight", **{"set-resources": {"sample_references": tight}})
    targets = [f"results/references/{name}/samples.h5" for name in [*ACCIDENTS, "shared"]]
    process = start_snakemake(directory, profile, *targets, configfiles=configfiles)
    try:
        wait_for((directory / "cancelled.started").exists)
        running = [job for job in jobs(directory) if job.wildcards == "cancelled"]
        said("scancel", str(running[-1].id))
        assert process.wait(timeout=600) == 0, (directory / "said.txt").read_text()
    finally:
        if process.poll() is None:
            kill_hard(process)
    return directory
