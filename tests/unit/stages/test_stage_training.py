"""The job of an FR training in two processes: asked to stop, it goes on, and ends as one process does."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from tiny_world import NETWORK, SIDE

from brownid.jobs.resume import TERMINATED
from brownid.samples.images import write_image_shard

TRAINING = {"embedding_dim": 8, "epochs": 40, "batch_size": 5, "precision": "float32", "learning_rate": 1e-5}
JOB = """
import json, sys
from brownid.runtime.process import start_process
start_process()
from train_recognition import train_recognition
train_recognition(**json.loads(sys.argv[1]), saving={"minutes": 0})
"""


def job(folder, images, **more):
    call = {"settings": {"seed": 3, "network": NETWORK | {"architecture": "slim_plain"}, "training": TRAINING}}
    call |= {"images": [str(images)], "code": "", "threads": 1, **more}
    names = ("weights", "checkpoint", "history", "command", "batch", "state", "steps")
    call |= {name: str(folder / name) for name in names}
    command = [sys.executable, "-c", JOB, json.dumps(call)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(command, env=alone, stderr=subprocess.PIPE, text=True, cwd=folder)


def batches(folder: Path) -> list[int]:
    with open(folder / "steps") as file:
        return [int(row["batch"]) for row in csv.DictReader(file)]


@pytest.mark.nightly
def test_a_training_in_two_processes_is_stopped_and_goes_on(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (10, SIDE, SIDE, 3), np.uint8)
    write_image_shard(tmp_path / "images.arrow", "x", range(10), ["a"] * 10, pixels)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    for folder in (alone, shared):
        folder.mkdir()
    whole = job(alone, tmp_path / "images.arrow")
    first = job(shared, tmp_path / "images.arrow", processes=2, launcher="torchrun")
    while not list((shared / "state").glob("*.safetensors")):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.01)
    first.send_signal(signal.SIGTERM)
    said = first.communicate()[1]
    assert first.returncode == TERMINATED and "SIGTERM: the training stops" in said, said
    assert not (shared / "weights").exists()
    second = job(shared, tmp_path / "images.arrow", processes=2, launcher="torchrun")
    said = second.communicate()[1]
    assert second.returncode == 0 and "going on from iteration" in said, said
    assert whole.wait() == 0, whole.communicate()[1]
    assert batches(shared) == batches(alone) == list(range(1, 81))
    ours, theirs = (load_file(folder / "weights") for folder in (shared, alone))
    assert all(np.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4) for name in theirs)
    assert not (shared / "state").exists()
