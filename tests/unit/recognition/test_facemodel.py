"""The face model: frozen parts, and a gradient that finite differences confirm."""

import torch
from torch import nn

from brownid.recognition.backbones import backbone
from brownid.recognition.facemodel import FaceModel


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


def model(precision: str = "float32", dtype: torch.dtype = torch.float32) -> FaceModel:
    torch.manual_seed(2)
    network = backbone("slim", "slim_iresnet", 32, 16).to(dtype)
    return FaceModel(ToyGenerator().to(dtype), half, network, precision)


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
