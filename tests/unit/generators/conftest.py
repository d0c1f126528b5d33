"""Small worlds for the generator tests."""

import pytest
import torch

from brownid.world.generator import ProceduralGenerator
from brownid.world.people import GenuineWorld


@pytest.fixture(scope="session")
def generator() -> ProceduralGenerator:
    return ProceduralGenerator(latent_dim=160, image_size=32, world_seed=1)


@pytest.fixture(scope="session")
def precise() -> ProceduralGenerator:
    return ProceduralGenerator(latent_dim=160, image_size=20, world_seed=1).to(dtype=torch.float64)


@pytest.fixture(scope="session")
def latents(generator) -> torch.Tensor:
    z = torch.randn(6, generator.latent_dim, generator=torch.Generator().manual_seed(7))
    return generator.map(z)


@pytest.fixture(scope="session")
def world(generator) -> GenuineWorld:
    return GenuineWorld(generator, seed=5)
