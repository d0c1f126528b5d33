"""Jobs that are killed go on to the same bits; several processes give the result of one and fail with one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_world import FACE_MODEL, IDENTITIES

from brownid.facemodel.loading import load_face_model
from brownid.jobs.launch import run_in_processes
from brownid.jobs.resume import TERMINATED, open_state, state_path
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import load_statistics
from vary_references import vary_references

LANGEVIN = {"iterations": 40, "repulsion_coefficient": 5.0}
SHORT = {"iterations": 2, "timestep": 0.05}

# The job as its own process: what `sample_references` in this folder's conftest.py calls, saving at every iteration.
JOB = """
import json, sys
from brownid.runtime.process import start_process
start_process()
from sample_references import sample_references
sample_references(**json.loads(sys.argv[1]), saving={"iterations": 1})
"""


def langevin_settings(settings):
    entry = {"algorithm": "langevin", "identities": IDENTITIES, "settings": settings, "truncation": 0.7}
    return FACE_MODEL | {"references": entry}


def job(folder, weights, settings=LANGEVIN, **more):
    call = {"settings": langevin_settings(settings), "weights": str(weights), **more}
    call |= dict.fromkeys(("start", "guarded", "within_class"))
    call |= {name: str(folder / name) for name in ("samples", "statistics", "command", "state")}
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", JOB, json.dumps(call)]
    return subprocess.Popen(command, env=alone, stderr=subprocess.PIPE, text=True)


def wait_for_state(folder, process):
    while not list((folder / "state").glob("*.safetensors")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def test_a_job_killed_at_any_moment_goes_on_to_the_same_bits(tmp_path, weights):
    """Killed hard once and asked to stop once, and then left alone; compared with a job that nobody disturbed."""
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    undisturbed = job(calm, weights)
    first = job(killed, weights)
    wait_for_state(killed, first)
    first.kill()
    assert first.wait() == -signal.SIGKILL
    second = job(killed, weights)
    while second.poll() is None and not second.stderr.readline().rstrip().endswith(".safetensors"):
        pass  # until it says that it goes on from the state
    second.send_signal(signal.SIGTERM)
    rest = second.communicate()[1]
    assert second.returncode == TERMINATED and "run the same command again" in rest, rest
    assert not (killed / "samples").exists()
    third = job(killed, weights)
    assert third.wait() == 0 and undisturbed.wait() == 0
    assert "going on from iteration" in third.communicate()[1]
    for name in ("latents", "embeddings"):
        ours, theirs = (getattr(SampleCollection.load(folder / "samples"), name) for folder in (killed, calm))
        assert np.array_equal(ours, theirs)
    ours, theirs = (load_statistics(folder / "statistics") for folder in (killed, calm))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert not (killed / "state").exists()


def test_a_shard_of_variations_goes_on_to_the_same_bits(tmp_path, references, weights, monkeypatch):
    monkeypatch.setattr("brownid.jobs.iteration.HOST_SECONDS", 0)  # where there is a GPU, lose no iteration
    entry = {"algorithm": "dispersion", "settings": {"variations": 2, "iterations": 4}}
    passes = []

    def model_that_fails_at(number):
        model = load_face_model(FACE_MODEL, weights)
        embed = model.embed

        def counted(latents):
            passes.append(len(latents))
            if len(passes) == number:
                raise KeyboardInterrupt
            return embed(latents)

        model.embed = counted
        return lambda *_: model

    def run(name, state):
        path = tmp_path / f"{name}.h5"
        options = {"shard": 1, "shards": 2, "samples": path, "statistics": path.with_suffix(".stats"), "state": state}
        vary_references(
            FACE_MODEL | {"variations": entry}, references=references, weights=weights, covariates=None, **options
        )
        return SampleCollection.load(path)

    calm = run("calm", None)
    monkeypatch.setattr("vary_references.load_face_model", model_that_fails_at(4))
    with pytest.raises(KeyboardInterrupt):
        run("stopped", tmp_path / "state")
    assert len(list((tmp_path / "state").iterdir())) == 1
    passes.clear()
    monkeypatch.setattr("vary_references.load_face_model", model_that_fails_at(0))
    resumed = run("stopped", tmp_path / "state")
    assert len(passes) == 2  # the last iteration, and the embeddings of its end
    assert np.array_equal(resumed.latents, calm.latents) and np.array_equal(resumed.embeddings, calm.embeddings)
    assert not (tmp_path / "state").exists()


@pytest.mark.nightly  # tests of the dynamics fork two processes; nightly tests and those on a cluster launch them
def test_two_processes_by_torchrun_give_the_result_of_one_and_one_sentence_when_they_fail(tmp_path, weights, sample):
    whole = sample(tmp_path / "one", "langevin", SHORT)
    shared = sample(tmp_path / "two", "langevin", SHORT, processes=2, launcher="torchrun")
    np.testing.assert_allclose(shared.latents, whole.latents, atol=1e-3)
    np.testing.assert_allclose(shared.embeddings, whole.embeddings, atol=1e-3)
    whole.select([0, 1]).save(tmp_path / "two.h5")
    with pytest.raises(BrownidError, match=r"two\.h5 has 2 identities, but 5 are to start from it"):
        sample(tmp_path / "failed", "langevin", SHORT, start=tmp_path / "two.h5", processes=2, launcher="torchrun")


@pytest.mark.nightly
def test_a_process_that_is_lost_ends_the_job_with_a_sentence_and_the_next_one_goes_on(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lost, calm = (job(tmp_path / name, weights, processes=2, launcher="torchrun") for name in ("lost", "calm"))
    wait_for_state(tmp_path / "lost", lost)
    (launcher,) = children(lost.pid)
    os.kill(children(launcher)[-1], signal.SIGKILL)
    said = lost.communicate()[1]
    assert lost.returncode == 1 and "ended with exit code 1" in said and "goes on from the last state" in said, said
    assert not (tmp_path / "lost/samples").exists()
    again = job(tmp_path / "lost", weights, processes=2, launcher="torchrun")
    assert "going on from iteration" in again.communicate()[1] and again.returncode == 0
    assert calm.wait() == 0
    ours, theirs = (SampleCollection.load(tmp_path / name / "samples") for name in ("lost", "calm"))
    assert np.array_equal(ours.latents, theirs.latents)


def children(process):
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_an_unknown_launcher_is_refused():
    with pytest.raises(BrownidError, match="launcher is 'mpirun'"):
        run_in_processes(print, {}, 2, "mpirun")


def test_a_state_of_other_settings_is_named_in_the_log_and_not_used(tmp_path, caplog):
    caplog.set_level("INFO", logger="brownid")
    slow, fast = ({"folder": tmp_path, "belongs_to": {"settings": {"timestep": step}}} for step in (-0.3, -0.2))
    open_state(slow).save(3, {})
    chosen = open_state(fast)
    assert not chosen.path.exists() and chosen.path == state_path(tmp_path, {"settings": {"timestep": -0.2}})
    assert "settings.timestep is -0.3 there and -0.2 here" in caplog.text
    assert open_state(slow).path.exists()
