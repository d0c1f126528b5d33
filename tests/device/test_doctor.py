"""`brownid doctor --device` on the simulated GPU: scenarios, timings and what is wrong."""

import pytest
import torch
from audit import simulated

from brownid.planning import scenarios
from brownid.planning.device import compared, examine_device, examine_gpus
from brownid.planning.doctor import Machine
from brownid.planning.scenarios import SCENARIOS
from brownid.planning.timings import MeasuredWork, read_timings

TINY = MeasuredWork(resolution=32, architecture="iresnet18", batch=2, channels=4, packed=50, width=32, crop=32)
MACHINE = Machine("simulated GPU", 140 * 2**30, torch.__version__, True, True)
FEW = {name: SCENARIOS[name] for name in ("embedding", "packing")}


@pytest.fixture(autouse=True)
def _one_gpu():
    with simulated():
        yield


def test_all_is_well_on_a_gpu_that_computes_as_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("brownid.planning.device.face_model", lambda where, _: scenarios.face_model(where, "fixed"))
    found = list(examine_device(tmp_path / "device.yaml", scenarios=FEW, work=TINY, machine=MACHINE, seconds=0))
    assert not [finding for finding in found if finding.level == "blocks"]
    said = "\n".join(finding.what for finding in found)
    assert "2 of 2 scenarios agree with the CPU" in said and "one GPU is visible: NCCL was not tried" in said
    assert read_timings(tmp_path / "device.yaml").device == "simulated GPU"


def test_a_scenario_that_fails_or_differs_on_the_gpu_is_named():
    def mixing(device):
        return [torch.ones(2, device=device) + torch.ones(2)]

    def differing(device):
        return [torch.ones(2, device=device) * (1.01 if device == "cuda" else 1.0)]

    def rounding(device):
        return [torch.ones(2, device=device) * (1.0001 if device == "cuda" else 1.0)]

    found = list(compared("cuda", {"first": mixing, "second": differing, "third": rounding}))
    assert [finding.level for finding in found] == ["blocks", "blocks", "fine"]
    assert found[0].what.startswith("first fails: MixedDevicesError: Expected all tensors")
    assert found[1].what.startswith("second: the results are 1.0e-02 from those of the CPU")
    assert found[2].what.startswith("1 of 3 scenarios agree with the CPU, up to 1e-04 (third)")


def test_what_a_gpu_cannot_do_is_said(monkeypatch):
    assert not list(examine_gpus())
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (7, 0))
    said = next(examine_gpus())
    assert "has no kernels for it (sm_80, sm_90)" in said.what and "older CUDA" in said.remedy
    monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_70", "sm_80", "sm_90"])
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda *_: (10 * 10**9, 16 * 10**9))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    said = [finding.what for finding in examine_gpus()]
    assert "6 GB of 16 GB are taken by other processes" in said[0]
    assert "neither TF32 nor bfloat16" in said[1]
    assert said[2].startswith("NVIDIA_TF32_OVERRIDE=0 turns TF32 off")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: (12, 0))
    assert "has no kernels for it (sm_70, sm_80, sm_90)" in next(examine_gpus()).what
