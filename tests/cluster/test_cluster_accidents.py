"""Jobs that end too early are noticed, sent again with more, and go on from their state to the very same result."""

import numpy as np
import pytest
from cluster import jobs

from brownid.samples.collection import SampleCollection


def attempts(directory, name):
    return [job for job in jobs(directory) if job.name == f"sample_references {name}"]


def samples(directory, name):
    return SampleCollection.load(directory / f"results/references/{name}/samples.h5")


@pytest.mark.parametrize("name", ["cancelled", "overtime", "overweight"])
def test_a_disturbed_job_goes_on_from_its_state(disturbed, name):
    assert len(attempts(disturbed, name)) > 1
    assert attempts(disturbed, name)[0].state != "COMPLETED" == attempts(disturbed, name)[-1].state
    assert "going on from iteration" in (disturbed / f"logs/sample_references/{name}.log").read_text()


@pytest.mark.parametrize("name", ["cancelled", "overtime", "overweight"])
def test_a_disturbed_job_ends_with_the_result_of_an_undisturbed_one(disturbed, name):
    assert np.array_equal(samples(disturbed, name).latents, samples(disturbed, "undisturbed").latents)
    assert np.array_equal(samples(disturbed, name).embeddings, samples(disturbed, "undisturbed").embeddings)


def test_slurm_says_why_a_job_ended(disturbed):
    assert attempts(disturbed, "cancelled")[0].state == "CANCELLED"
    assert attempts(disturbed, "overtime")[0].state == "TIMEOUT"
    assert attempts(disturbed, "overweight")[0].state in {"FAILED", "OUT_OF_MEMORY", "CANCELLED"}


def test_another_attempt_asks_for_more_memory(disturbed):
    assert attempts(disturbed, "overweight")[0].memory != attempts(disturbed, "overweight")[1].memory


def test_two_processes_over_srun_yield_what_one_does(disturbed):
    (job,) = attempts(disturbed, "shared")
    assert job.gpus == 2
    assert "2 processes by srun" in (disturbed / "logs/sample_references/shared.log").read_text()
    for array in ("latents", "embeddings"):
        shared, alone = (getattr(samples(disturbed, name), array) for name in ("shared", "undisturbed"))
        assert np.allclose(shared, alone, rtol=0, atol=1e-3)
