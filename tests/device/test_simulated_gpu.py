"""The simulated GPU refuses what CUDA refuses, accepts what it accepts, and counts what crosses."""

import copy

import numpy as np
import pytest
import torch
from simulated_gpu import TO_DEVICE, TO_HOST, WAITS, DeviceTensor, MixedDevicesError, SimulatedGPU

HOST = torch.arange(6.0).view(2, 3)


@pytest.fixture
def gpu():
    with SimulatedGPU() as simulated:
        yield simulated


@pytest.fixture
def counted(gpu, monkeypatch):
    """The crossings by kind, whatever their place."""
    monkeypatch.setattr("simulated_gpu._place", lambda: "here")
    return lambda: {crossing.kind: (gpu.crossings[crossing], gpu.bytes[crossing]) for crossing in gpu.crossings}


def test_what_is_made_there_says_that_it_is_there(gpu):
    for tensor in (
        torch.zeros(2, device="cuda"),
        HOST.cuda(),
        HOST.to("cuda"),
        torch.tensor([1.0], device="cuda"),
        torch.arange(3, device=torch.device("cuda")),
        HOST.to("cuda").new_zeros(3),
        torch.zeros_like(HOST.to("cuda")),
        HOST.to(torch.ones(1, device="cuda")),
    ):
        assert isinstance(tensor, DeviceTensor) and tensor.is_cuda and tensor.device == torch.device("cuda:0")
    assert HOST.to("cuda").cpu().equal(HOST)


@pytest.mark.parametrize(
    "mix",
    [
        lambda host, there: host + there,
        lambda host, there: there @ host.T,
        lambda host, there: torch.cat([host, there]),
        lambda host, there: torch.where(there > 1, there, host),
        lambda host, there: host[there[0].long()],
        lambda host, there: there.index_put_((torch.tensor([0]),), host[:1]),
        lambda host, there: torch.stack([there[0, 0], host[0, 0]]),
        lambda host, there: torch.nn.functional.linear(there, host),
        lambda host, there: there.addmm(host, there.T),
    ],
)
def test_operands_on_two_devices_are_refused(gpu, mix):
    with pytest.raises(MixedDevicesError):
        mix(HOST, HOST.to("cuda"))


def test_numpy_of_a_device_tensor_is_refused(gpu):
    there = HOST.to("cuda")
    for read in (there.numpy, lambda: np.asarray(there), lambda: torch.from_numpy(there)):
        with pytest.raises(TypeError):
            read()


def test_host_numbers_and_host_indices_are_accepted_as_cuda_accepts_them(gpu):
    there = HOST.to("cuda")
    assert (there * torch.tensor(2.0)).cpu().equal(HOST * 2)
    assert there[torch.tensor([1])].cpu().equal(HOST[[1]])
    assert there[[1]].cpu().equal(HOST[[1]])
    assert there[np.array([1])].cpu().equal(HOST[[1]])
    there[0] = HOST[1]
    there[1, 0] = 7.0
    assert there.cpu().tolist() == [[3, 4, 5], [7, 4, 5]]


def test_copies_and_waits_are_counted(gpu, counted):
    there = HOST.to("cuda")
    assert counted() == {TO_DEVICE: (1, 24)}
    there.cpu()
    there.tolist()
    assert counted() == {TO_DEVICE: (1, 24), TO_HOST: (2, 48)}
    assert float(there.sum()) == 15 and bool(there[0, 0] == 0)
    assert len(there.nonzero()) == 5 and len(there[there > 2]) == 3
    assert counted()[WAITS][0] == 4


def test_setting_by_a_mask_does_not_wait_and_reading_by_one_does(gpu, counted):
    there = torch.zeros(4, device="cuda")
    there[there > 1] = 2.0
    assert WAITS not in counted()
    there[there > 1]
    assert counted()[WAITS][0] == 1


def test_gradients_and_modules_work_there(gpu):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.PReLU())
    images = torch.randn(2, 3, 8, 8)
    moved = copy.deepcopy(network).to("cuda")
    for there, place in ((network, images), (moved, images.to("cuda"))):
        there(place).square().sum().backward()
    for here, there in zip(network.parameters(), moved.parameters(), strict=True):
        assert there.is_cuda and there.grad.cpu().equal(here.grad)
    assert {name: value.is_cuda for name, value in moved.state_dict().items()} == dict.fromkeys(
        network.state_dict(), True
    )


def test_autocast_casts_there(gpu):
    there = torch.ones(2, 2, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert (there @ there).dtype == torch.bfloat16
        assert (there @ there).sum().dtype == torch.float32


def test_outside_the_context_torch_is_as_before():
    with SimulatedGPU():
        pass
    assert not torch.cuda.is_available()
    with torch.inference_mode():
        assert torch.ones(1).is_inference()
