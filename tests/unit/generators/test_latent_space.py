"""The latent space: its scales, and the ground truth of identity, nuisance and attributes."""

import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal
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


@pytest.fixture(scope="module")
def warped():
    return ProceduralGenerator(latent_dim=160, image_size=20, warp=0.4).to(dtype=torch.float64)


def slow_linear(generator, latents):
    """w = v + s A₂ tanh(A₁ (v - v̄) / τ), one latent after the other."""
    warp, rows = generator._space.warp, []
    for latent in latents:
        bent = torch.tanh(warp.first @ (latent - generator.latent_mean) / 0.5)
        rows.append(latent + 0.4 * warp.second @ bent)
    return torch.stack(rows)


def test_a_warp_bends_the_latents_of_the_linear_world(warped, precise):
    z = normal(1, "z", range(6), (160,)).double()
    latents, linear = warped.map(z), precise.map(z)
    torch.testing.assert_close(slow_linear(warped, latents), linear, rtol=0, atol=1e-12)
    bent = (latents - linear).norm(dim=1) / (linear - precise.latent_mean).norm(dim=1)
    assert bent.min() > 0.3 and bent.max() < 0.5
    torch.testing.assert_close(warped.map(z, 0.7), warped.latent_mean + 0.7 * (latents - warped.latent_mean))
    torch.testing.assert_close(warped.latent_mean, precise.latent_mean, rtol=0, atol=0)


def test_the_same_person_and_nuisance_look_the_same_in_a_warped_world(warped, precise):
    identity, nuisance = normal(1, "i", range(2), (88,)).double(), normal(1, "n", range(2), (25,)).double()
    latents = warped.latents_from(identity, nuisance)
    torch.testing.assert_close(warped.identity_of(latents), identity, rtol=0, atol=1e-6)
    torch.testing.assert_close(warped.nuisance_of(latents), nuisance, rtol=0, atol=1e-6)
    images = precise.render(precise.latents_from(identity, nuisance))
    torch.testing.assert_close(warped.render(latents), images, rtol=0, atol=1e-9)
    neutral = warped.reset_nuisance(latents)
    torch.testing.assert_close(neutral, warped.latents_from(identity, torch.zeros_like(nuisance)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("strength", "atol"), [(0.1, 1e-6), (0.45, 2e-5)])
def test_the_inverse_of_a_warp_converges_in_float32_also_far_from_the_mean(strength, atol):
    space = ProceduralGenerator(latent_dim=160, image_size=20, warp=strength)._space
    linear = torch.cat([space.mean[None], space.mean + 20 * normal(1, "far", range(5), (160,))])
    torch.testing.assert_close(space.linear(space.warped(linear)), linear, rtol=1e-6, atol=atol)
    assert space.warped(linear[:0]).shape == (0, 160)
    # each row by itself, up to rounding
    torch.testing.assert_close(space.warped(linear)[:2], space.warped(linear[:2]), rtol=1e-6, atol=1e-5)


def test_the_gradient_through_a_warp_and_its_inverse_is_that_of_finite_differences(warped):
    linear = warped.latent_mean + normal(1, "linear", range(2), (160,)).double()
    weight = normal(1, "weight", range(2), (160,)).double()
    directions = normal(1, "directions", range(3), (2, 160)).double()
    for function in (warped._space.warped, warped._space.linear, warped.reset_nuisance):
        variable = linear.clone().requires_grad_()
        (gradient,) = torch.autograd.grad((weight * function(variable)).sum(), variable)
        for direction in directions:
            ahead, behind = ((weight * function(linear + step * direction)).sum() for step in (1e-5, -1e-5))
            assert (gradient * direction).sum().item() == pytest.approx(((ahead - behind) / 2e-5).item(), rel=1e-7)


def test_an_attribute_direction_of_a_warped_world_is_the_tangent_at_the_mean(warped):
    direction, mean = warped.attribute_direction("smile"), warped.latent_mean[None]
    assert direction.norm().item() == pytest.approx(1, abs=1e-12)
    change = (warped._space.parameters_of(mean + 1e-4 * direction) / 1e-4)[0]
    column = 88 + NUISANCE_NAMES.index("smile")
    assert change[column] > 0.1
    change[column] = 0
    assert change.abs().max() < 1e-6


def test_a_world_without_warp_is_the_linear_world_to_the_last_bit(generator, latents):
    space, z = generator._space, normal(1, "z", range(3), (160,))
    assert torch.equal(
        space.map(z, 1.0), torch.nn.functional.leaky_relu(z @ space.first.T, 0.2) @ space.output.T + space.bias
    )
    raw = (latents - space.mean) @ space.rows.T * space.scales
    assert torch.equal(generator.nuisance_of(latents), raw[:, 88:])
    raw[:, :88] = 0
    assert torch.equal(
        generator.reset_nuisance(latents), latents - (space.mean + (raw / space.scales) @ space.rows - space.mean)
    )


def test_a_warp_that_cannot_be_inverted_is_refused():
    with pytest.raises(BrownidError, match=r"warp is 0\.5, but must be a number, at least 0 and at most 0\.45"):
        ProceduralGenerator(latent_dim=160, image_size=20, warp=0.5)


def test_an_unknown_attribute_is_refused(generator):
    with pytest.raises(BrownidError, match="'grin' is unknown"):
        generator.attribute_direction("grin")


def test_every_parameter_has_one_name():
    names = IDENTITY_NAMES + NUISANCE_NAMES
    assert len(set(names)) == len(names) == 113
