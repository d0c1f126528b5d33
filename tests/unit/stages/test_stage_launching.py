"""How several processes are started, which GPUs a job takes, and what it says about one that torch does not see."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
import torch

from brownid.jobs import launch
from brownid.runtime import gpus, process
from brownid.runtime.errors import BrownidError

ON_A_NODE = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "g1", "SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "2"}


def function(group=None):
    """What processes would run."""
    raise NotImplementedError


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The command and surroundings that would be started."""
    seen = {}

    def wait(command, environment, _):
        seen.update(command=command, environment=environment)
        return 0

    monkeypatch.setattr(launch, "_wait", wait)
    monkeypatch.setattr(launch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.chdir(tmp_path)
    for name in ON_A_NODE:
        monkeypatch.delenv(name, raising=False)
    return seen


def test_on_the_node_of_a_slurm_job_srun_starts_the_processes(started, resources, monkeypatch):
    resources({})
    for name, value in ON_A_NODE.items():
        monkeypatch.setenv(name, value)
    launch.run_in_processes(function, {}, 2)
    assert started["command"][0] == "srun" and "--ntasks=2" in started["command"]
    assert started["environment"]["SLURM_JOB_ID"] == "7"
    assert "SLURM_NTASKS" not in started["environment"]


def test_on_a_login_node_with_an_allocation_torchrun_does(started, resources, monkeypatch):
    resources({})
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    launch.run_in_processes(function, {}, 2)
    assert "torch.distributed.run" in started["command"]


@pytest.fixture(autouse=True)
def given_back():
    """What this process takes in a test, it gives back."""
    yield
    while gpus._held:
        gpus._held.pop().close()


@pytest.fixture
def resources(monkeypatch):
    """Grant a job its resources, as `start_job` does; nothing of Slurm is around before."""
    for name in (*ON_A_NODE, "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", gpus.VISIBLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(process.DEVICE, "auto")
    monkeypatch.setattr(process, "_granted", process.Granted())
    process.default_device.cache_clear()
    yield process._grant
    process.default_device.cache_clear()


def see_gpus(monkeypatch, count):
    """Let torch see as many GPUs of the machine's `count` as CUDA_VISIBLE_DEVICES lets through; all are free."""

    def visible():
        names = os.environ.get(gpus.VISIBLE)
        return count if names is None else min(count, len([name for name in names.split(",") if name]))

    mark = uuid4()
    monkeypatch.setattr(gpus, "_uuids", lambda: {str(number): f"{mark}/{number}" for number in range(count)})
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", visible)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: visible() > 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")


def test_several_nodes_get_as_many_processes_and_gpus_each(started, resources, monkeypatch):
    for name, value in ON_A_NODE.items():
        monkeypatch.setenv(name, value)
    resources({"gpu": 4, "nodes": 2, "device": "cpu"})
    launch.run_in_processes(function, {}, 4)
    assert {"--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--gpus-per-node=2"} <= set(started["command"])
    assert started["environment"]["MASTER_ADDR"] == socket.gethostname()
    with pytest.raises(BrownidError, match="3 processes cannot be shared equally by 2 nodes"):
        launch.run_in_processes(function, {}, 3)
    with pytest.raises(BrownidError, match="asks for 2 nodes, but torchrun starts processes on one"):
        launch.run_in_processes(function, {}, 4, "torchrun")


@pytest.mark.parametrize(("wanted", "there", "started_ones"), [(4, 2, 2), (2, 4, 2), (4, 0, 4)])
def test_there_are_never_more_processes_than_gpus(wanted, there, started_ones, started, resources, monkeypatch, caplog):
    see_gpus(monkeypatch, there)
    caplog.set_level("INFO", "brownid")
    resources({"gpu": wanted})
    launch.run_in_processes(function, {}, wanted)
    assert f"--nproc-per-node={started_ones}" in started["command"]
    assert ("2 processes instead of 4, one for each GPU" in caplog.text) == (started_ones < wanted)


def test_with_one_gpu_the_work_is_done_in_this_process(started, resources, monkeypatch):
    see_gpus(monkeypatch, 1)
    resources({"gpu": 2})
    with pytest.raises(NotImplementedError):  # here, not in a process of its own
        launch.run_in_processes(function, {}, 2)
    assert not started


@pytest.mark.parametrize(
    "evidence",
    [{"SLURM_JOB_GPUS": "0"}, {"SLURM_STEP_GPUS": "3"}, {"SLURM_GPUS_ON_NODE": "2"}, {gpus.VISIBLE: "1"}, {}],
    ids=lambda evidence: next(iter(evidence), "the rule alone"),
)
@pytest.mark.parametrize(("cuda", "reason"), [(None, "built without CUDA"), ("12.9", "too old for CUDA 12.9")])
def test_a_job_whose_torch_does_not_see_the_gpu_that_slurm_gave_it_ends_with_the_reason(
    evidence, cuda, reason, resources, monkeypatch
):
    for name, value in {**ON_A_NODE, **evidence}.items():
        monkeypatch.setenv(name, value)
    see_gpus(monkeypatch, 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(BrownidError, match=f"Slurm job 7 on g1 was given a GPU .*{reason}.* device: cpu"):
        resources({"gpu": 1})


@pytest.mark.parametrize(
    ("surroundings", "asked"),
    [
        ({gpus.VISIBLE: "0"}, {"gpu": 1}),  # no Slurm
        ({**ON_A_NODE, gpus.VISIBLE: "", "SLURM_GPUS_ON_NODE": "0"}, {}),
        ({**ON_A_NODE, "SLURM_JOB_GPUS": "0"}, {"gpu": 1, "device": "cpu"}),
        ({**ON_A_NODE, "SLURM_JOB_GPUS": "0", process.DEVICE: "cpu"}, {"gpu": 1}),
    ],
    ids=["no Slurm", "no GPU given", "by the profile", "by the environment"],
)
def test_a_job_works_on_the_cpu_where_no_gpu_was_given_or_one_says_so(surroundings, asked, resources, monkeypatch):
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    see_gpus(monkeypatch, 0)
    resources(asked)
    assert process.default_device() == "cpu"


def test_on_a_gpu_convolutions_are_in_tf32_and_matrix_products_in_float32(resources, monkeypatch):
    see_gpus(monkeypatch, 1)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = False, True
    resources({"gpu": 1})
    assert torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("asked", [{}, {"gpu": 1, "device": "cpu"}], ids=["no gpu", "device: cpu"])
def test_a_job_that_is_to_work_on_the_cpu_hides_the_gpus_that_are_there(asked, resources, monkeypatch):
    see_gpus(monkeypatch, 2)
    resources(asked)
    assert process.default_device() == "cpu" and not torch.cuda.is_available()
    assert os.environ[process.DEVICE] == "cpu"  # for the processes that it starts


@pytest.mark.parametrize(
    ("asked", "gpus_of_it"),
    [
        ({"gpu": 2, "nodes": 2, "slurm_extra": "--gpus-per-node=1"}, 2),
        ({"gpu": 0, "gres": "gpu"}, 1),
        ({"gres": "gpu:2", "nodes": 2}, 4),
        ({"gres": "gpu:h200:2"}, 2),
        ({"gres": "gpu:a100_80gb"}, 1),
        ({"slurm_extra": "--exclusive --gpus-per-node=h200:4"}, 4),
        ({"slurm_extra": "--gpus=3"}, 3),
        ({"gres": "lustre:1", "slurm_extra": "--constraint=no_gpus_here"}, 0),
    ],
)
def test_gpus_may_be_asked_for_in_slurms_own_words(asked, gpus_of_it, resources, monkeypatch):
    see_gpus(monkeypatch, 0)
    resources(asked)
    assert process.granted().gpus == gpus_of_it


def test_a_device_that_does_not_exist_is_refused(resources):
    with pytest.raises(BrownidError, match=r"device is 'gpu', but must be one of auto, cpu.*profile"):
        resources({"gpu": 1, "device": "gpu"})


def test_another_torch_than_where_snakemake_runs_is_a_warning(resources, monkeypatch, caplog):
    monkeypatch.setenv(process.SENT_WITH_TORCH, "1.0")
    process.default_device()
    assert "1.0 where Snakemake runs" in caplog.messages[-1]


HOLD = """
import sys
from brownid.runtime.gpus import take_gpus
print(*take_gpus(sys.argv[2:], int(sys.argv[1])), flush=True)
input()
"""


@pytest.fixture
def names():
    """GPUs that no other test knows."""
    return [f"{uuid4()}/{number}" for number in range(3)]


@pytest.fixture
def job():
    """Start a process that takes a number of GPUs and holds them until it ends."""
    begun = []

    def begin(count, names):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        surroundings = {**os.environ, "PYTHONPATH": str(Path(process.__file__).parents[2])}
        begun.append(subprocess.Popen([sys.executable, "-c", HOLD, str(count), *names], env=surroundings, **pipes))
        return begun[-1]

    yield begin
    for worker in begun:
        worker.kill()
        worker.communicate()


def taken_by(process):
    return process.stdout.readline().decode().split()


def test_concurrent_jobs_take_different_gpus_and_a_killed_one_gives_its_back(job, names, monkeypatch):
    first = job(2, names)
    assert taken_by(first) == names[:2]
    second = job(1, names)
    assert taken_by(second) == names[2:]
    third = job(2, names)
    second.kill()
    second.wait()  # one is free, which is not enough: none is taken meanwhile
    fourth = job(1, names)
    assert taken_by(fourth) == names[2:]
    first.kill()
    assert taken_by(third) == names[:2]


def test_a_child_holds_the_gpus_of_a_killed_job_as_long_as_it_works(names, monkeypatch):
    assert gpus.take_gpus(names, 1) == names[:1]
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=gpus.held_descriptors())
    gpus._held.pop().close()  # as when this process ends
    monkeypatch.setattr(gpus.time, "sleep", lambda seconds: child.communicate())
    assert gpus.take_gpus(names[:1], 1) == names[:1]
    assert child.returncode == 0  # it was waited for


def test_where_gpus_cannot_be_held_the_first_ones_are_taken_and_a_warning_says_so(names, monkeypatch, caplog):
    def forbidden(visible, count):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(gpus, "_attempt", forbidden)
    assert gpus.take_gpus(names, 2) == names[:2]
    assert "other jobs may take the same ones" in caplog.text


def test_a_job_keeps_to_its_own_gpus_of_those_that_the_user_lets_it_see(resources, names, monkeypatch):
    see_gpus(monkeypatch, 8)
    monkeypatch.setenv(gpus.VISIBLE, ",".join(names))
    gpus.take_gpus(names, 1)
    resources({"gpu": 1})
    assert os.environ[gpus.VISIBLE] == names[1] and process.default_device() == "cuda"


def test_the_gpus_that_slurm_gave_a_job_are_its_own_and_of_more_it_takes_its_part(resources, names, monkeypatch):
    see_gpus(monkeypatch, 8)
    for name, value in {**ON_A_NODE, "SLURM_JOB_GPUS": "5,6,7", gpus.VISIBLE: ",".join(names)}.items():
        monkeypatch.setenv(name, value)
    gpus.take_gpus(names, 1)
    resources({"gpu": 3})  # would wait for ever
    assert os.environ[gpus.VISIBLE] == ",".join(names)
    process.default_device.cache_clear()
    resources({"gpu": 2})  # Snakemake runs inside the job, and this is one of its own jobs
    assert os.environ[gpus.VISIBLE] == ",".join(names[1:])


@pytest.mark.parametrize(
    ("given", "there", "visible"),
    [
        (None, 2, ["0", "1"]),
        ("", 2, []),
        ("3, 1", 2, ["3", "1"]),
        ("1,7", 1, ["1"]),  # CUDA reads up to the first that is not there
        ("GPU-5f,GPU-8a", 2, ["GPU-5f", "GPU-8a"]),
        ("MIG-5f,MIG-8a", 1, ["MIG-5f", "MIG-8a"]),
    ],
)
def test_the_visible_gpus_are_those_of_the_user(given, there, visible, monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0 if given == "" else there)
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    if given is not None:
        monkeypatch.setenv(gpus.VISIBLE, given)
    assert gpus.visible_gpus() == visible


def test_a_torch_without_cuda_sees_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    monkeypatch.setenv(gpus.VISIBLE, "MIG-5f")
    assert gpus.visible_gpus() == []


def test_a_gpu_is_the_same_by_number_and_by_the_beginning_of_its_uuid(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-8a11-f0'\necho '1, GPU-8b22-e0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    number, part, unknown = gpus._places(["1", "GPU-8b", "7"]).values()
    assert number == part != unknown
