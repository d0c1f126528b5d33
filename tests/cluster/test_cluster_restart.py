"""Snakemake itself may be killed: its jobs go on, the next run waits for them, and does only what is left."""

import shutil

import pytest
from cluster import jobs, kill_hard, snakemake, start_snakemake, wait_for, with_accidents

UNFINISHED = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING"}
pytestmark = pytest.mark.nightly


@pytest.fixture
def running(place, finished, profile, configfile):
    """A run with a job that goes on when it is told to: its folder, configuration and Snakemake."""
    directory = place / "restarted"
    shutil.copytree(finished, directory)
    configfiles = with_accidents(configfile, directory, kept="wait")
    process = start_snakemake(directory, profile, "results/figures/dynamics/kept.png", configfiles=configfiles)
    wait_for((directory / "kept.started").exists)
    yield directory, configfiles, process
    (directory / "kept.released").touch()
    if process.poll() is None:
        kill_hard(process)


def test_a_killed_snakemake_loses_nothing_and_runs_nothing_twice(running, profile):
    directory, configfiles, process = running
    target = "results/figures/dynamics/kept.png"
    status, told = snakemake(directory, profile, target, configfiles=configfiles)
    assert status != 0 and "cannot be locked" in told  # a second run beside the first
    kill_hard(process)
    status, told = snakemake(directory, profile, target, configfiles=configfiles)
    assert status != 0 and "--unlock" in told
    status, told = snakemake(directory, profile, "--unlock", configfiles=configfiles)
    assert status == 0, told

    (left,) = jobs(directory, UNFINISHED)
    status, told = snakemake(directory, profile, target, configfiles=configfiles)
    assert status != 0
    assert "1 jobs of an earlier run in this folder are still in the queue" in told and str(left.id) in told

    (directory / "kept.released").touch()
    wait_for(lambda: not jobs(directory, UNFINISHED))
    status, told = snakemake(directory, profile, target, configfiles=configfiles)
    assert status == 0, told
    assert [job.name for job in jobs(directory)] == ["sample_references kept"]
    assert (directory / target).exists()
