"""Jobs that end too early are noticed, sent again with more, and go on from their state to the very same result."""

import re
import shutil

import numpy as np
import pytest
from cluster import jobs, snakemake, two_nodes_of_two_gpus, with_accidents, write_profile

from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import load_statistics

NO_TWO_NODES = "needs two GPU nodes with two GPUs each, all of them idle"


def attempts(directory, name):
    return [job for job in jobs(directory) if job.name == f"sample_references {name}"]


def samples(directory, name):
    return SampleCollection.load(directory / f"results/references/{name}/samples.h5")


def assert_it_went_on_to_the_same(directory, name, calm):
    assert attempts(directory, name)[-1].state == "COMPLETED"
    assert "going on from iteration" in (directory / f"logs/sample_references/{name}.log").read_text()
    assert np.array_equal(samples(directory, name).latents, samples(calm, "undisturbed").latents)
    assert np.array_equal(samples(directory, name).embeddings, samples(calm, "undisturbed").embeddings)


def test_a_cancelled_job_goes_on_from_its_state_to_the_result_of_an_undisturbed_one(disturbed):
    assert [job.state for job in attempts(disturbed, "cancelled")] == ["CANCELLED", "COMPLETED"]
    assert_it_went_on_to_the_same(disturbed, "cancelled", disturbed)


def assert_processes_yield_what_one_does(directory, processes, disturbed):
    assert f"{processes} processes by srun" in (directory / "logs/sample_references/shared.log").read_text()
    ours, alone = (
        load_statistics(folder / f"results/references/{name}/stats.h5")
        for folder, name in ((directory, "shared"), (disturbed, "undisturbed"))
    )
    for name in alone:  # of the first two iterations: nothing but sums in another order
        np.testing.assert_allclose(ours[name][:2], alone[name][:2], rtol=0, atol=1e-4, err_msg=name)
    for array in ("latents", "embeddings"):
        ours, alone = getattr(samples(directory, "shared"), array), getattr(samples(disturbed, "undisturbed"), array)
        # Six iterations make rounding a hundred times larger; one process in batches of 3 is 2e-3 from one batch of 6.
        assert np.allclose(ours, alone, rtol=0, atol=1e-2)


def test_two_processes_over_srun_yield_what_one_does(shared, disturbed):
    assert_processes_yield_what_one_does(shared[0], 2, disturbed)


def test_two_gpus_are_waited_for_until_one_node_has_both(shared):
    directory, apart = shared
    if not apart:
        pytest.skip(NO_TWO_NODES)
    (job,) = attempts(directory, "shared")
    assert job.gpus == 2 and job.state == "COMPLETED" and re.fullmatch(r"[\w-]+", job.node)


@pytest.mark.nightly
def test_four_gpus_are_two_on_each_of_two_nodes_where_the_profile_says_so(place, finished, configfile, disturbed):
    if not two_nodes_of_two_gpus():
        pytest.skip(NO_TWO_NODES)
    directory = place / "two-nodes"
    shutil.copytree(finished, directory)
    configfiles = with_accidents(configfile, directory, processes=4, shared="none")
    documented = {"nodes": 2, "tasks_per_node": 2, "slurm_extra": "--gpus-per-node=2", "mpi": "srun", "mem_mb": 2000}
    profile = write_profile(place / "on-two-nodes", **{"set-resources": {"sample_references": documented}})
    status, told = snakemake(directory, profile, "results/references/shared/samples.h5", configfiles=configfiles)
    assert status == 0, told
    (job,) = attempts(directory, "shared")
    assert job.gpus == 4 and re.fullmatch(r"\w+\[.+\]|\w+,\w+", job.node)
    assert_processes_yield_what_one_does(directory, 4, disturbed)


@pytest.mark.nightly
def test_a_job_out_of_time_is_sent_again_and_goes_on(exhausted, disturbed):
    assert attempts(exhausted, "overtime")[0].state == "TIMEOUT"
    assert_it_went_on_to_the_same(exhausted, "overtime", disturbed)


@pytest.mark.nightly
def test_a_job_out_of_memory_is_sent_again_with_more_and_goes_on(overweight, disturbed):
    first, second = attempts(overweight, "overweight")
    assert first.state in {"FAILED", "OUT_OF_MEMORY", "CANCELLED"} and first.memory != second.memory
    assert_it_went_on_to_the_same(overweight, "overweight", disturbed)
