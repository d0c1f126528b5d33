"""Runs on the real cluster, one for several tests: they are what costs time."""

import shutil
import tempfile
from pathlib import Path

import pytest
from cluster import (
    PROJECT,
    TINY,
    hold_a_gpu,
    jobs,
    kill_hard,
    memory_is_not_enforced,
    reason_to_skip,
    reduced,
    said,
    snakemake,
    start_snakemake,
    two_nodes_of_two_gpus,
    wait_for,
    wait_for_end,
    with_accidents,
    write_profile,
)

HERE = Path(__file__).parent
EXHAUSTED = {"overtime": "stall", "overweight": "memory"}


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


def write_small_profile(place):
    return write_profile(place / "small", **{"set-resources": {"sample_references": {"mem_mb": 2000}}})


@pytest.fixture(scope="session")
def configfile(place, request):
    """The tiny configuration; half of it where the tests of the night are left out."""
    short = "not nightly" in request.config.getoption("markexpr")
    return reduced(place / "reduced.yaml") if short else TINY


@pytest.fixture(scope="session")
def finished(place, profile, configfile):
    """The working directory of a whole run through sbatch; its results must stay as they are."""
    directory = place / "finished"
    directory.mkdir()
    status, told = snakemake(directory, profile, configfiles=(configfile,))
    assert status == 0, told
    return directory


@pytest.fixture(scope="session")
def disturbed(place, finished, configfile):
    """A run of two equal Langevin jobs, undisturbed and cancelled."""
    directory = place / "disturbed"
    shutil.copytree(finished, directory)
    accidents = {"undisturbed": "none", "cancelled": "stall"}
    configfiles = with_accidents(configfile, directory, **accidents)
    targets = [f"results/references/{name}/samples.h5" for name in accidents]
    process = start_snakemake(directory, write_small_profile(place), *targets, configfiles=configfiles)
    try:
        wait_for((directory / "cancelled.started").exists)
        running = [job for job in jobs(directory) if job.wildcards == "cancelled"]
        said("scancel", str(running[-1].id))
        assert wait_for_end(process) == 0, (directory / "said.txt").read_text()
    finally:
        if process.poll() is None:
            kill_hard(process)
    return directory


@pytest.fixture(scope="session")
def shared(place, finished, configfile):
    """The run of such a job in two processes, and whether it was sent while one GPU was free on each of two nodes."""
    directory = place / "shared"
    shutil.copytree(finished, directory)
    configfiles = with_accidents(configfile, directory, shared="none")
    holders = [hold_a_gpu(node) for node in two_nodes_of_two_gpus()]
    target = "results/references/shared/samples.h5"
    process = start_snakemake(directory, write_small_profile(place), target, configfiles=configfiles)
    try:
        if holders:
            wait_for(lambda: [job for job in jobs(directory) if job.reason != "None" or job.state != "PENDING"])
    finally:
        if holders:
            said("scancel", *holders)
    assert wait_for_end(process) == 0, (directory / "said.txt").read_text()
    return directory, bool(holders)


@pytest.fixture(scope="session")
def exhausted(place, finished, configfile):
    """A run of jobs that take more time, and, where Slurm notices, more memory than they asked for at first."""
    directory = place / "exhausted"
    shutil.copytree(finished, directory)
    kinds = dict(EXHAUSTED)
    if memory_is_not_enforced():
        del kinds["overweight"]
    configfiles = with_accidents(configfile, directory, **kinds)
    tight = {"mem_mb": "2000 * attempt", "runtime": "1 if attempt == 1 else 10"}
    profile = write_profile(place / "tight", **{"set-resources": {"sample_references": tight}})
    targets = [f"results/references/{name}/samples.h5" for name in kinds]
    status, told = snakemake(directory, profile, *targets, configfiles=configfiles)
    assert status == 0, told
    return directory


@pytest.fixture
def overweight(exhausted):
    reason = memory_is_not_enforced()
    if reason:
        pytest.skip(reason)
    return exhausted
