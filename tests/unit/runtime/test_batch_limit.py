"""Batches whose largest activation GPU kernels can count: less than 2³¹ numbers."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from brownid.facemodel.batched import BatchedFaceModel
from brownid.facemodel.loading import render_in_batches
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.generator import random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import embed_images, largest_activation
from brownid.runtime import precision
from brownid.runtime.precision import Batching
from brownid.runtime.randomness import NoiseKey

SMALL2 = StyleGAN2Settings(resolution=32, z_dim=8, w_dim=8, channel_base=128, channel_max=16, mapping_layers=1)
SMALL3 = StyleGAN3Settings(
    img_resolution=32, z_dim=8, w_dim=8, mapping_layers=1, channel_base=512, channel_max=16, num_layers=4
)


class Largest(TorchDispatchMode):
    """Keeps the size of the largest tensor of a batch that an operation returns."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(found) if isinstance(x, torch.Tensor) and len(x.shape) == 4]
        self.numbers = max([self.numbers, *sizes])
        return found


@pytest.mark.parametrize("make", [lambda: random_stylegan2(SMALL2, 1), lambda: random_stylegan3(SMALL3, 1)])
def test_generators_know_their_largest_activation(make):
    generator = make()
    latents = generator.map(torch.ones(3, 8)).requires_grad_(True)
    with Largest() as largest:
        generator.render(latents).sum().backward()
    assert largest.numbers / 3 <= generator.largest_activation <= 2 * largest.numbers / 3


@pytest.mark.parametrize(("family", "architecture"), [("slim", "slim_iresnet"), ("insightface", "iresnet18")])
def test_the_largest_activation_of_a_network_is_bounded(family, architecture):
    network = backbone(family, architecture, 32, 16).eval()
    with torch.no_grad(), Largest() as largest:
        network(torch.zeros(2, 3, 32, 32))
    assert largest.numbers / 2 <= largest_activation(network)


def test_the_published_generator_of_1024_pixels_renders_fewer_than_64_at_once():
    settings = StyleGAN2Settings(resolution=1024, channel_base=32768, channel_max=512)
    assert Batching(64).limited(settings.largest_activation).size == 63
    assert Batching(64).limited(StyleGAN2Settings(resolution=256, channel_base=16384).largest_activation).size == 64
    assert Batching(8).limited(2**40).size == 1 and Batching(8).limited(0).size == 8


def test_batches_keep_within_the_limit_and_the_log_says_so(monkeypatch, caplog):
    generator = random_stylegan2(SMALL2, 1)
    monkeypatch.setattr(precision, "LARGEST", 3 * generator.largest_activation + 1)
    sizes = []
    crop = SimpleNamespace(render=generator.render)
    monkeypatch.setattr(generator, "render", lambda latents: sizes.append(len(latents)) or crop.render(latents))
    latents = generator.map(torch.randn(7, 8))
    with caplog.at_level("INFO", "brownid"):
        images = list(render_in_batches(generator, torch.nn.Identity(), latents, NoiseKey(1, range(7), None)))
    assert sizes == [3, 3, 1] and [len(part) for part in images] == sizes
    assert "3 images at a time instead of 64: the largest activation has" in caplog.text


def test_passes_of_a_face_model_and_of_a_network_keep_within_the_limit(monkeypatch):
    model = SimpleNamespace(largest_activation=100, embed=lambda latents: latents)
    monkeypatch.setattr(precision, "LARGEST", 250)
    assert BatchedFaceModel(model, 64).batching.size == 2
    network = backbone("slim", "slim_iresnet", 32, 16).eval()
    monkeypatch.setattr(precision, "LARGEST", 2 * largest_activation(network))
    batching = Batching(64)
    embed_images(network, torch.zeros(3, 3, 32, 32), batch_size=batching)
    assert batching.size == 2
