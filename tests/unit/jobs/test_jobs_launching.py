"""How several processes are started, and what a job says about the GPU that Slurm gave it."""

import pytest

from brownid import runtime
from brownid.jobs import processes

ON_A_NODE = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "g1", "SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "2"}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The command and surroundings that would be started."""
    seen = {}

    def wait(command, environment):
        seen.update(command=command, environment=environment)
        return 0

    monkeypatch.setattr(processes, "_wait", wait)
    monkeypatch.setattr(processes.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.chdir(tmp_path)
    for name in ON_A_NODE:
        monkeypatch.delenv(name, raising=False)
    return seen


def test_on_the_node_of_a_slurm_job_srun_starts_the_processes(started, monkeypatch):
    for name, value in ON_A_NODE.items():
        monkeypatch.setenv(name, value)
    processes.run_in_processes("module:function", {}, 2)
    assert started["command"][0] == "srun" and "--ntasks=2" in started["command"]
    assert started["environment"]["SLURM_JOB_ID"] == "7"
    assert "SLURM_NTASKS" not in started["environment"]


def test_on_a_login_node_with_an_allocation_torchrun_does(started, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    processes.run_in_processes("module:function", {}, 2)
    assert "torch.distributed.run" in started["command"]


def test_a_gpu_that_torch_does_not_see_is_a_warning_with_the_reason(monkeypatch, caplog):
    monkeypatch.setenv("SLURM_JOB_GPUS", "3")
    runtime._compare_with_what_was_asked("cpu", cuda=None)
    runtime._compare_with_what_was_asked("cpu", cuda="12.9")
    assert "built without CUDA" in caplog.messages[0]
    assert "too old for CUDA 12.9" in caplog.messages[1]


def test_another_torch_than_where_snakemake_runs_is_a_warning(monkeypatch, caplog):
    monkeypatch.delenv("SLURM_JOB_GPUS", raising=False)
    monkeypatch.delenv("SLURM_STEP_GPUS", raising=False)
    monkeypatch.setenv(runtime.SENT_WITH_TORCH, "1.0")
    runtime._compare_with_what_was_asked("cpu", cuda=None)
    assert "1.0 where Snakemake runs" in caplog.messages[0]
