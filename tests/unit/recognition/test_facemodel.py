"""The face model: frozen parts, and a gradient that finite differences confirm."""

import os
import shutil
from collections.abc import Callable

import pytest
import torch
from torch import nn

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.facemodel import model as module
from brownid.facemodel.model import GeneratorFaceModel, WPlusFaceModel
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.recognition.backbones import backbone
from brownid.runtime.errors import BrownidError


class ToyGenerator(nn.Module):
    """A smooth map from latents of four numbers to images of 32 pixels."""

    resolution = 32
    latent_dim = 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(4, 3 * 32 * 32)
        self.register_buffer("latent_mean", torch.zeros(4))

    def render(self, latents):
        return torch.tanh(self.linear(latents)).reshape(-1, 3, 32, 32)


def half(images):
    return images * 0.5


def model(precision: str = "float32", dtype: torch.dtype = torch.float32) -> GeneratorFaceModel:
    torch.manual_seed(2)
    network = backbone("slim", "slim_iresnet", 32, 16).to(dtype)
    return GeneratorFaceModel(ToyGenerator().to(dtype), half, network, precision)


def test_the_parts_are_frozen_and_in_evaluation_mode():
    faces = model()
    parameters = [*faces.generator.parameters(), *faces.network.parameters()]
    assert parameters and not any(p.requires_grad for p in parameters)
    assert not faces.network.training and not faces.generator.training


def test_images_are_cropped_and_embeddings_are_unit_rows():
    faces = model()
    latents = torch.randn(3, 4)
    assert torch.equal(faces.latent_mean, torch.zeros(4))
    assert torch.equal(faces.render(latents), half(faces.generator.render(latents)))
    embeddings = faces.embed(latents)
    assert embeddings.shape == (3, 16)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(embeddings[1:2], faces.embed(latents[1:2]), atol=1e-5)


def test_the_gradient_agrees_with_finite_differences():
    faces = model(dtype=torch.float64)
    latents = torch.tensor([[0.3, -0.2, 0.5, 0.1]], dtype=torch.float64, requires_grad=True)
    direction = torch.linspace(-1, 1, 16, dtype=torch.float64)

    def height(points):
        return faces.embed(points) @ direction

    height(latents).backward()
    with torch.no_grad():
        steps = 1e-6 * torch.eye(4, dtype=torch.float64)
        numeric = (height(latents + steps) - height(latents - steps)) / 2e-6
    assert torch.allclose(latents.grad[0], numeric, rtol=1e-4, atol=1e-7)


def test_bfloat16_gives_float32_embeddings_and_gradients_that_point_the_same_way():
    latents = torch.randn(4, 4)
    gradients = []
    for precision in ("float32", "bfloat16"):
        points = latents.clone().requires_grad_()
        embeddings = model(precision).embed(points)
        assert embeddings.dtype == torch.float32
        embeddings[:, 0].sum().backward()
        gradients.append(points.grad)
    cosine = torch.nn.functional.cosine_similarity(*gradients)
    assert cosine.min() > 0.95


def test_the_layout_in_memory_changes_rounding_only():
    latents = torch.randn(3, 4)
    network = backbone("slim", "slim_iresnet", 32, 16)
    first = GeneratorFaceModel(ToyGenerator(), half, network, channels_last=False).embed(latents)
    assert network.conv1.weight.is_contiguous()
    last = GeneratorFaceModel(ToyGenerator(), half, network).embed(latents)
    assert network.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(first, last)


def toy_pair(compile: bool) -> GeneratorFaceModel:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 8), nn.PReLU(4), nn.Flatten(), nn.Linear(64, 5))
    return GeneratorFaceModel(ToyGenerator(), half, network, compile=compile)


def stylegan2_pair(compile: bool) -> GeneratorFaceModel:
    """A StyleGAN2 of 16 pixels under a crop of 8 that shrinks its images, hence filters and pads them."""
    settings = StyleGAN2Settings(z_dim=4, w_dim=4, resolution=16, channel_base=64, channel_max=4, mapping_layers=1)
    generator = random_stylegan2(settings, seed=1, noise="off")
    crop = FixedCrop(template("ffhq", 16), template("arcface", 8), 16, 8)
    assert len(crop.kernel) > 1
    torch.manual_seed(2)
    return GeneratorFaceModel(generator, crop, nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), compile=compile)


def compare_with_compiled(pair: Callable[[bool], GeneratorFaceModel]) -> int:
    """Compare embeddings and gradients for batches of several sizes; returns the number of programs."""
    counted = torch._dynamo.utils.counters["stats"]
    before = counted["unique_graphs"]
    models = [pair(compile) for compile in (False, True)]
    for count in (3, 2, 5, 1, 4):
        latents = torch.randn(count, 4)
        found = []
        for faces in models:
            points = latents.clone().requires_grad_()
            embeddings = faces.embed(points)
            embeddings[:, 0].sum().backward()
            found.append((embeddings.detach(), points.grad))
        torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)
    return counted["unique_graphs"] - before


def test_a_compiled_model_gives_the_same_with_few_programs_for_all_batch_sizes(monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "eager")  # traces and guards as ever, but needs no C++ compiler
    assert compare_with_compiled(toy_pair) == 4  # rendering and embedding, a batch of one and all others


@pytest.mark.nightly
@pytest.mark.parametrize("pair", [toy_pair, stylegan2_pair])
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
def test_a_model_compiled_to_machine_code_gives_the_same(pair):
    assert compare_with_compiled(pair) == 4


def test_a_generator_that_cannot_be_compiled_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(module, "BACKEND", "eager")
    generator, compiling_while_rendering = ToyGenerator(), []
    generator.compiles = False
    render = generator.render

    def noted(latents):
        compiling_while_rendering.append(torch.compiler.is_compiling())
        return render(latents)

    generator.render = noted
    GeneratorFaceModel(generator, half, nn.Flatten(), compile=True).render(torch.zeros(2, 4))
    assert compiling_while_rendering == [False]


def test_without_a_compiler_compiling_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BrownidError, match="needs a C\\+\\+ compiler, and there is no 'no-such-compiler'"):
        GeneratorFaceModel(ToyGenerator(), half, nn.Flatten(), compile=True)


def test_what_cannot_be_compiled_is_a_sentence(monkeypatch):
    def refuse(graph, inputs):
        raise RuntimeError("no registers left")

    monkeypatch.setattr(module, "BACKEND", refuse)
    faces = GeneratorFaceModel(ToyGenerator(), half, nn.Flatten(), compile=True)
    with pytest.raises(BrownidError, match=r"torch\.compile failed \(.*no registers left.*set compile: false"):
        faces.render(torch.zeros(2, 4))


class LayeredGenerator(ToyGenerator):
    """One latent per layer, three of them, each with weights of its own."""

    layers = 3

    def render(self, latents):
        latents = latents.unsqueeze(1).expand(-1, 3, -1) if latents.ndim == 2 else latents
        return super().render((latents * torch.tensor([[1.0], [2.0], [-0.5]], dtype=latents.dtype)).sum(dim=1))


def layered() -> GeneratorFaceModel:
    network = model(dtype=torch.float64).network
    return GeneratorFaceModel(LayeredGenerator().double(), half, network)


def test_w_lies_in_w_plus_with_its_images_and_distances():
    faces, w = layered(), torch.randn(5, 4, dtype=torch.float64)
    w_plus = WPlusFaceModel(faces)
    latents = w_plus.from_w(w)
    assert latents.shape == (5, 12) and w_plus.latent_mean.shape == (12,)
    torch.testing.assert_close(torch.pdist(latents), torch.pdist(w))
    torch.testing.assert_close(w_plus.to_w_plus(latents), w[:, None].expand(-1, 3, -1))
    torch.testing.assert_close(w_plus.embed(latents), faces.embed(w))
    each = torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(w_plus.to_w_plus(w_plus.from_w_plus(each)), each)
    torch.testing.assert_close(w_plus.render(w_plus.from_w_plus(each)), faces.render(each))


def test_a_force_in_w_plus_moves_the_mean_over_the_layers_as_in_w():
    faces, w = layered(), torch.randn(2, 4, dtype=torch.float64)
    w_plus = WPlusFaceModel(faces)

    def step(embed, latents):
        leaf = latents.clone().requires_grad_(True)
        return torch.autograd.grad(embed(leaf)[:, 0].sum(), leaf)[0]

    moved = w_plus.to_w_plus(w_plus.from_w(w) + 0.1 * step(w_plus.embed, w_plus.from_w(w)))
    torch.testing.assert_close(moved.mean(dim=1), w + 0.1 * step(faces.embed, w))
    assert (moved - moved.mean(dim=1, keepdim=True)).abs().max() > 1e-4


def test_a_generator_without_layers_has_no_w_plus():
    with pytest.raises(BrownidError, match="the generator ToyGenerator takes one latent per image: use the space w"):
        WPlusFaceModel(model())
