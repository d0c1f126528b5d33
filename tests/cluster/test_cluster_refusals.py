"""What a cluster refuses is said in a sentence, at once, and before any work."""

import os
import subprocess

import pytest
from cluster import TINY, command, environment, jobs, snakemake, write_profile


def test_a_partition_that_the_cluster_has_not_is_named_with_those_it_has(place):
    directory = place / "refused"
    directory.mkdir()
    profile = write_profile(place / "unedited", **{"default-resources": {"slurm_partition": "nowhere"}})
    status, said = snakemake(directory, profile)
    assert status != 0
    assert "This cluster has no partition nowhere; it has " in said and "profiles/slurm/config.yaml" in said
    assert jobs(directory) == []


@pytest.mark.nightly
def test_a_slurm_that_does_not_answer_stops_the_run_with_a_sentence(place, profile, tmp_path):
    directory = place / "unreachable"
    directory.mkdir()
    dead = tmp_path / "squeue"
    dead.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2\nexit 1\n")
    dead.chmod(0o755)
    surroundings = {**environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    line = command(directory, profile, configfiles=(TINY,))
    done = subprocess.run(line, capture_output=True, text=True, env=surroundings, timeout=300)
    assert done.returncode != 0
    assert "Slurm does not answer (squeue: slurm_load_jobs error" in done.stdout + done.stderr
