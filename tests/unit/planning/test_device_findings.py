"""`brownid doctor --device` where there is no GPU, and what its timings say; on a GPU see tests/device."""

import os

import pytest
import torch

from brownid.jobs.distributed import SINGLE
from brownid.jobs.launch import _wait
from brownid.planning import device, scenarios
from brownid.planning.collectives import examine_group, wrong_reductions
from brownid.planning.device import difference, examine_device, judged
from brownid.planning.resources import Finding
from brownid.planning.timings import DeviceTimings, MeasuredWork, read_timings
from brownid.runtime.errors import BrownidError

TINY = MeasuredWork(resolution=32, architecture="iresnet18", batch=2, channels=4, packed=50, width=32, crop=32)
TIMINGS = DeviceTimings(
    device="H200",
    force_pass_images_per_second=1000.0,
    noise_images_per_second=400.0,
    packing_iterations_per_second=500.0,
    depthwise_milliseconds=2.0,
    encode_images_per_second_per_core=1000.0,
    decode_images_per_second_per_core=3000.0,
)


def test_without_a_gpu_it_says_so_and_measures_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(
        device, "examine_group", lambda processes, where: Finding("fine", "", f"{processes} on {where}")
    )
    monkeypatch.setattr(device, "face_model", lambda where, _: scenarios.face_model(where, "fixed"))
    one = {"a sum": lambda where: [torch.ones(3, device=where).sum()]}
    found = list(examine_device(tmp_path / "device.yaml", scenarios=one, work=TINY, seconds=0))
    assert [finding.level for finding in found] == [
        "note",
        "fine",
        *["fine"] * 2,
        *["note"] * (len(found) - 6),
        "fine",
        "fine",
    ]
    said = [finding.what for finding in found]
    assert "no GPU here" in said[0] or "sees no GPU" in said[0] or "built for CPUs only" in said[0]
    assert said[1].endswith("which is the device itself: nothing is shown by it")
    assert said[-1] == "2 on cpu" and "there is no GPU" in said[-3]
    assert read_timings(tmp_path / "device.yaml").force_pass_images_per_second > 0


def test_a_job_whose_gpu_torch_does_not_see_is_one_finding(monkeypatch):
    def refuse():
        raise BrownidError("Slurm job 1 was given a GPU, but torch sees none.")

    monkeypatch.setattr(device, "default_device", refuse)
    (only,) = examine_device()
    assert only.level == "blocks" and "torch sees none" in only.what


@pytest.mark.parametrize(
    ("capability", "kernels", "remedies"),
    [
        ((9, 0), ["sm_80", "sm_90", "sm_90a", "compute_90"], []),
        ((8, 6), ["sm_80"], []),
        ((6, 1), ["sm_75", "sm_120"], ["install a torch for an older CUDA"]),
        ((12, 0), ["sm_75", "sm_90a"], ["install a torch for a newer CUDA"]),
        ((9, 0), ["gfx90a", "gfx1100"], []),
        ((9, 0), [], []),
    ],
)
def test_a_gpu_without_kernels_is_told_which_torch_has_them(monkeypatch, capability, kernels, remedies):
    answers = {
        "get_arch_list": kernels,
        "device_count": 1,
        "get_device_capability": capability,
        "get_device_name": "GPU",
        "mem_get_info": (1, 1),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    found = [finding.remedy for finding in device.examine_gpus() if finding.level == "blocks"]
    assert [remedy.partition(" (")[0] for remedy in found] == remedies


def test_a_scenario_that_fails_on_the_cpu_is_a_finding_and_the_next_one_is_tried():
    def fails(where):
        raise RuntimeError(f"no {where}")

    found = list(device.compared("cpu", {"a product": fails, "a sum": lambda where: [torch.ones(3).sum()]}))
    assert [finding.level for finding in found] == ["blocks", "fine"]
    assert found[0].what == "a product on the CPU fails: RuntimeError: no cpu"


def test_slow_noise_and_too_few_cores_are_noticed():
    found = list(judged(TIMINGS, rendered=3000.0, copied=1.0, cores=2))
    assert [finding.level for finding in found] == ["fine", "fine", "note", "note"]
    assert found[1].what == "2 processor cores encode 2e+03 images/s of 112 pixels and decode 6e+03"
    assert found[2].remedy.startswith("give render_images 3 threads")
    assert found[3].what == "drawing random noise maps takes 250% of a force pass"


def test_a_difference_is_a_share_and_a_pixel_may_be_rounded():
    assert difference([torch.tensor([1.0, 2.02])], [torch.tensor([1.0, 2.0])]) == pytest.approx(0.01)
    pixels = torch.tensor([10, 200], dtype=torch.uint8)
    assert difference([pixels + 1], [pixels]) == 0
    assert difference([pixels + 3], [pixels]) == pytest.approx(2 / 200)
    nan = torch.tensor([float("nan"), 1.0])
    assert difference([nan], [nan]) == 0
    assert difference([nan], [torch.ones(2)]) == float("inf")


def test_reductions_that_are_wrong_are_named():
    class Broken:
        rank, size = 0, 1

        def sum(self, values):
            return values + 1

        minimum = maximum = SINGLE.minimum

    assert wrong_reductions(SINGLE, "cpu") == []
    assert wrong_reductions(Broken(), "cpu") == ["sum (torch.float32)", "sum (torch.float64)", "sum (torch.int64)"]


def test_processes_that_wait_for_each_other_are_ended():
    with pytest.raises(BrownidError, match=r"did not end within 0\.2 seconds"):
        _wait(["sleep", "60"], os.environ, 0.2)


def test_a_group_that_fails_is_a_finding(monkeypatch):
    def refuse(*_, **__):
        raise BrownidError("The processes did not end within 90 seconds: one of them waits.")

    monkeypatch.setattr("brownid.planning.collectives.run_in_processes", refuse)
    found = examine_group(2, "cpu")
    assert found.level == "blocks" and found.what.startswith(
        "gloo between processes on the CPU fails: The processes did"
    )


@pytest.mark.nightly
def test_processes_on_the_cpu_agree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = examine_group(2, "cpu")
    assert found.level == "fine" and "2 processes agree" in found.what
