"""Embeddings: colour order, mirror fusion, batches and forms of input."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import as_bytes, as_network_input, embed_images
from brownid.runtime.errors import BrownidError
from brownid.runtime.precision import Batching, compute_dtype, resolve_precision
from brownid.runtime.settings import PRECISIONS


class ReadsColours(nn.Module):
    """Embeds an image as the three channel means of its left half, each plus two."""

    def __init__(self, colour_order: str = "RGB", split: bool = False):
        super().__init__()
        self.colour_order = colour_order
        self.split = split

    def forward(self, images):
        means = images[..., : images.shape[-1] // 2].mean((2, 3)) + 2
        if not self.split:
            return means
        norms = torch.linalg.vector_norm(means, dim=1, keepdim=True)
        return means / norms, norms


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = backbone("slim", "slim_iresnet", 32, 16)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
    return network


def test_a_network_that_reads_bgr_is_given_bgr(images):
    rgb, bgr = embed_images(ReadsColours("RGB"), images), embed_images(ReadsColours("BGR"), images)
    assert torch.allclose(rgb, bgr.flip(1))
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 255
    assert embed_images(ReadsColours("RGB"), red)[0].argmax() == 0
    assert embed_images(ReadsColours("BGR"), red)[0].argmax() == 2


@pytest.mark.parametrize(
    ("family", "architecture", "place_of_red"),
    [("insightface", "iresnet18", 0), ("nizhib", "iresnet34", 0), ("adaface", "ir_18", 2), ("slim", "slim_iresnet", 0)],
)
def test_each_family_reads_the_colours_it_was_trained_on_from_minus_one_to_one(family, architecture, place_of_red):
    network = backbone(family, architecture, 32, 4)
    read = []
    network.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 255
    embed_images(network, red)
    expected = -torch.ones(1, 3, 32, 32)
    expected[:, place_of_red] = 1
    assert torch.equal(read[0], expected)


def test_the_mirror_image_adds_its_unnormalised_embedding(images):
    network = ReadsColours()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    expected = F.normalize(network(pixels) + network(pixels.flip(3)))
    assert torch.allclose(embed_images(network, images, mirror=True), expected, atol=1e-6)
    assert torch.allclose(embed_images(ReadsColours(split=True), images, mirror=True), expected, atol=1e-6)
    assert not torch.allclose(embed_images(network, images), expected, atol=1e-3)


def test_embeddings_do_not_depend_on_the_batch_size(network, images):
    whole = embed_images(network, images, batch_size=7)
    for batch_size in (1, 3):
        assert torch.allclose(embed_images(network, images, batch_size=batch_size), whole, atol=1e-6)
    assert torch.linalg.vector_norm(whole, dim=1) == pytest.approx([1] * 7, abs=1e-5)


def test_bytes_and_floats_of_the_same_image_agree(network, images):
    floats = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 127.5 - 1
    assert torch.allclose(embed_images(network, images), embed_images(network, floats.float()), atol=1e-5)
    assert torch.equal(embed_images(network, images), embed_images(network, torch.from_numpy(images)))


def test_embedding_uses_the_running_statistics_and_leaves_the_mode(network, images):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert network.training
    embed_images(network, images)
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_no_images_give_no_rows(network):
    assert embed_images(network, np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, 16)


def test_bfloat16_is_near_float32(network, images):
    near = embed_images(network, images, precision="bfloat16")
    assert near.dtype == torch.float32
    assert (near * embed_images(network, images)).sum(1).min() > 0.995


def test_images_of_another_side_or_layout_are_refused(network, images):
    with pytest.raises(BrownidError, match="32 pixels, not 16×16"):
        embed_images(network, images[:, :16, :16])
    with pytest.raises(BrownidError, match="uint8"):
        embed_images(network, images.transpose(0, 3, 1, 2))
    with pytest.raises(BrownidError, match="float"):
        embed_images(network, images.astype(np.float32))
    with pytest.raises(BrownidError, match="batch_size"):
        embed_images(network, images, batch_size=0)


def test_float_images_of_another_range_are_refused(network, images):
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    with pytest.raises(BrownidError, match=r"lie in \[-1, 1\] where they are float, but these reach 255"):
        embed_images(network, pixels)
    embed_images(network, pixels / 127.5 - 1.2)  # a generator exceeds the range by a little


def test_a_batch_that_does_not_fit_into_the_memory_is_halved(images):
    class Small(ReadsColours):
        def forward(self, images):
            if len(images) > 2:
                raise MemoryError
            return super().forward(images)

    batching = Batching(7)
    assert torch.equal(embed_images(Small(), images, batching), embed_images(ReadsColours(), images))
    assert batching.size == 2


def test_precision_is_resolved_for_the_device():
    assert resolve_precision("float32", "cpu") == "float32"
    assert resolve_precision("auto", "cpu") in ("float32", "bfloat16")
    assert compute_dtype("bfloat16", "cpu") == torch.bfloat16 and compute_dtype("float32", "cpu") == torch.float32
    with pytest.raises(BrownidError, match=", ".join(PRECISIONS)):
        resolve_precision("float16", "cpu")


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_a_gpu_computes_in_it_and_not_where_it_is_emulated(monkeypatch, native, expected):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert resolve_precision("auto", "cuda") == expected


@pytest.mark.parametrize(
    ("gpu", "capability", "expected"),
    [("V100", 7, "float32"), ("T4", 7, "float32"), ("A100", 8, "bfloat16"), ("H200", 9, "bfloat16")],
)
def test_auto_is_float32_on_gpus_before_compute_capability_8(monkeypatch, gpu, capability, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    properties = SimpleNamespace(name=gpu, major=capability)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: properties)
    assert resolve_precision("auto", "cuda") == expected
    assert compute_dtype("auto", "cuda") == getattr(torch, expected)


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_a_cpu_computes_in_it(monkeypatch, native, expected):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: native)
    assert resolve_precision("auto", "cpu") == expected


def test_bytes_become_network_input_and_bytes_again():
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    np.testing.assert_array_equal(as_bytes(as_network_input(torch.from_numpy(images))), images)
    beyond = torch.tensor([-1.5, 1.5, 0.0]).view(1, 3, 1, 1)
    assert as_bytes(beyond).ravel().tolist() == [0, 255, 128]
