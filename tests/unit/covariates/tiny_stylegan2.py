"""A StyleGAN2 of 16 pixels whose noise shows, and a face model around it."""

import torch
from torch import nn
from torch.nn import functional as F

from brownid.facemodel.model import GeneratorFaceModel
from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings

DIM, SIDE = 8, 16


class Reader(nn.Module):
    """A recognition network that looks at 4 x 4 averages."""

    def __init__(self):
        super().__init__()
        self.description = type("Description", (), {"image_size": SIDE // 2})()
        self.weight = nn.Parameter(torch.randn(5, 48, generator=torch.Generator().manual_seed(3)))

    def forward(self, images):
        return F.adaptive_avg_pool2d(images, 4).flatten(1) @ self.weight.T


def tiny_stylegan2(noise: str = "off") -> StyleGAN2:
    """16 pixels, at most 6 channels, 8 latent numbers; its noise strengths are not zero."""
    settings = StyleGAN2Settings(
        z_dim=DIM, w_dim=DIM, resolution=SIDE, channel_base=96, channel_max=6, mapping_layers=2
    )
    generator = random_stylegan2(settings, seed=1, noise=noise)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.1)
    return generator


def face_model(noise: str = "off", frame: str = "network") -> GeneratorFaceModel:
    """The generator, a crop to half its side, and a network that reads it."""
    return GeneratorFaceModel(tiny_stylegan2(noise), lambda images: F.avg_pool2d(images, 2), Reader(), frame=frame)


def make_tiny_stylegan2(device: str) -> StyleGAN2:
    """The generator as a factory of the configuration."""
    return tiny_stylegan2().to(device)
