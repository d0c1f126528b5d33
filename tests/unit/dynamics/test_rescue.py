"""What is on the host is saved where SIGTERM arrives and the main thread waits for a GPU that never answers."""

import ctypes
import os
import signal
import threading

import pytest
from slow_dynamics import ToyFaceModel, random_latents

from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import LangevinSettings
from brownid.jobs import distributed
from brownid.jobs import iteration as loop
from brownid.jobs.rescue import rescuing
from brownid.jobs.resume import TERMINATED, StateFile, Terminated, read_owner, terminable

LIBC = ctypes.CDLL(None)
SETTINGS = LangevinSettings(iterations=6, repulsion_coefficient=2.0, random_force=0.1)


class LostGpu:
    """A call that no signal ends and no exception leaves, as those of NCCL; `answer` ends it from another thread."""

    def __init__(self):
        self.mutex = ctypes.create_string_buffer(128)
        LIBC.pthread_mutex_lock(self.mutex)

    def wait(self):
        """Wait, and get SIGTERM meanwhile: at once it would be answered before."""
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        LIBC.pthread_mutex_lock(self.mutex)

    def answer(self, *_):
        LIBC.pthread_mutex_unlock(self.mutex)


def test_a_main_thread_that_does_not_answer_is_saved_for_and_ended_with_the_code_of_sigterm():
    gpu, done = LostGpu(), []

    def end(code):
        done.append(code)
        gpu.answer()  # else this test would wait for ever

    with pytest.raises(Terminated), terminable(), rescuing(lambda: done.append("saved"), patience=0.01, end=end):
        gpu.wait()
    assert done == ["saved", TERMINATED]


def test_one_that_answers_saves_itself():
    done, threads = [], threading.active_count()
    with pytest.raises(Terminated), terminable(), rescuing(lambda: done.append("saved"), end=done.append) as answered:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            answered.set()
    assert not done and threading.active_count() == threads and signal.set_wakeup_fd(-1) == -1


def run(model, state=None):
    return langevin(model, random_latents(7, 6), SETTINGS, seed=3, batch_size=4, state=state)


def test_a_run_whose_gpu_is_lost_goes_on_from_the_copy_on_the_host(tmp_path, monkeypatch):
    gpu = LostGpu()

    class LosingModel(ToyFaceModel):
        def embed(self, latents):
            if len(self.batches) == 11:
                gpu.wait()
            return super().embed(latents)

    def impatient(save):
        return rescuing(save, patience=0.01, end=lambda code: ended.append(code) or gpu.answer())

    ended, state = [], StateFile(tmp_path / "state", {}, iterations=100)
    monkeypatch.setattr(loop, "_on_gpu", lambda tensors: True)
    monkeypatch.setattr(loop, "HOST_SECONDS", 0.0)
    monkeypatch.setattr(loop, "rescuing", impatient)
    with pytest.raises(Terminated):
        run(LosingModel(), state)
    assert ended == [TERMINATED] and StateFile(state.path, read_owner(state.path)).load().iteration == 3
    assert run(ToyFaceModel(), state).latents.equal(run(ToyFaceModel()).latents)


def test_processes_on_gpus_have_a_time_out_of_minutes_and_a_watchdog_that_ends_them(monkeypatch):
    options, devices = {}, []
    monkeypatch.setattr(distributed, "default_device", lambda: "cuda")
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(distributed.torch.cuda, "set_device", devices.append)
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(distributed.distributed, name, lambda **given: options.update(given))
    monkeypatch.setattr(distributed.distributed, "get_rank", lambda: 3)
    monkeypatch.setattr(distributed.distributed, "get_world_size", lambda: 4)
    for name in distributed.WATCHDOG:
        monkeypatch.setenv(name, "")  # to be put back
        monkeypatch.delenv(name)
    with distributed.joined({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}) as group:
        assert (group.rank, group.size, devices) == (3, 4, [1])
        assert {name: os.environ[name] for name in distributed.WATCHDOG} == distributed.WATCHDOG
    assert options["backend"] == "cpu:gloo,cuda:nccl"
    assert 60 <= options["timeout"].total_seconds() <= 1800
