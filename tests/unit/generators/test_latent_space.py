"""The latent space: its scales, and the ground truth of identity, nuisance and attributes."""

import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.world.anatomy import IDENTITY_NAMES, NUISANCE, NUISANCE_NAMES
from brownid.world.generator import ATTRIBUTES, ProceduralGenerator


def test_raw_parameters_have_the_documented_scales():
    generator = ProceduralGenerator(latent_dim=512, image_size=16)
    latents = generator.map(torch.randn(4000, 512, generator=torch.Generator().manual_seed(2)))
    assert (latents - generator.latent_mean).norm(dim=1).mean() == pytest.approx(10, rel=0.01)
    assert (latents.mean(0) - generator.latent_mean).abs().max() < 0.05
    identity, nuisance = generator.identity_of(latents), generator.nuisance_of(latents)
    torch.testing.assert_close(identity.std(0), torch.ones(88), rtol=0.06, atol=0)
    expected = torch.tensor([amount.generator_std for amount in NUISANCE.values()])
    torch.testing.assert_close(nuisance.std(0), expected, rtol=0.06, atol=0)
    assert {"yaw": 0.2, "smile": 0.2, "light_yaw": 0.2, "camera_gain": 0.5}.items() <= {
        name: amount.generator_std for name, amount in NUISANCE.items()
    }.items()


def test_latents_from_inverts_identity_and_nuisance(generator):
    identity, nuisance = torch.randn(5, generator.identity_dim), torch.randn(5, generator.nuisance_dim)
    latents = generator.latents_from(identity, nuisance)
    torch.testing.assert_close(generator.identity_of(latents), identity, rtol=0, atol=1e-4)
    torch.testing.assert_close(generator.nuisance_of(latents), nuisance, rtol=0, atol=1e-4)
    with torch.no_grad():
        images = generator.render(latents), generator.render_parameters(identity, nuisance)
    torch.testing.assert_close(*images, rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_direction_moves_one_parameter_alone(generator, latents, name):
    direction = generator.attribute_direction(name)
    assert direction.norm().item() == pytest.approx(1, abs=1e-5)
    moved = latents + 3 * direction
    torch.testing.assert_close(generator.identity_of(moved), generator.identity_of(latents), rtol=0, atol=1e-4)
    change = generator.nuisance_of(moved) - generator.nuisance_of(latents)
    column = NUISANCE_NAMES.index({"pose": "yaw", "illumination": "light_yaw"}.get(name, name))
    assert (change[:, column] > 0.5).all()
    change[:, column] = 0
    assert change.abs().max() < 1e-4


def test_reset_nuisance_keeps_the_identity_and_everything_else(generator, latents):
    reset = generator.reset_nuisance(latents)
    assert generator.nuisance_of(reset).abs().max() < 1e-4
    torch.testing.assert_close(generator.identity_of(reset), generator.identity_of(latents), rtol=0, atol=1e-4)
    torch.testing.assert_close(generator.reset_nuisance(reset), reset, rtol=0, atol=1e-4)


def test_identity_and_nuisance_share_the_coordinates_of_the_latent(generator):
    for name in ("smile", "pose"):
        assert (generator.attribute_direction(name).abs() > 0.01).float().mean() > 0.7


def test_truncation_scales_the_distance_to_the_mean(generator):
    z = torch.randn(4, generator.latent_dim)
    full, mean = generator.map(z), generator.latent_mean
    torch.testing.assert_close(generator.map(z, 0.7) - mean, 0.7 * (full - mean), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(generator.map(z, 0.0), mean.expand_as(z), rtol=0, atol=1e-5)


def test_the_seed_makes_the_world():
    again, other = (ProceduralGenerator(latent_dim=160, image_size=32, world_seed=seed) for seed in (1, 2))
    first = ProceduralGenerator(latent_dim=160, image_size=32, world_seed=1)
    assert torch.equal(first.latent_mean, again.latent_mean)
    assert not torch.equal(first.latent_mean, other.latent_mean)


def test_an_unknown_attribute_is_refused(generator):
    with pytest.raises(BrownidError, match="'grin' is unknown"):
        generator.attribute_direction("grin")


def test_every_parameter_has_one_name():
    names = IDENTITY_NAMES + NUISANCE_NAMES
    assert len(set(names)) == len(names) == 113
