"""The procedural renderer: differentiable, the same at any side and in any batch."""

import pytest
import torch

from brownid.world import geometry as geometry_module
from brownid.world.anatomy import NUISANCE_NAMES
from brownid.world.generator import ProceduralGenerator
from brownid.world.geometry import gaussian_sum, softmax_mix
from brownid.world.primitives import Ellipse, EllipseTable, monomials


def test_an_ellipse_is_its_equation():
    single = Ellipse("single", a=0.3, b=-0.2, width=0.5, height=0.2, slope=0.4, curve=-0.7)
    pair = Ellipse("pair", a=0.6, b=0.1, width=0.3, height=0.4, slope=0.5, pair=True)
    table = EllipseTable([single, pair], ["nothing"]).double()
    a, b = torch.rand(2, 1, 50, dtype=torch.float64) * 2 - 1
    q = table.polynomials(table.slots(torch.zeros(1, 1, dtype=torch.float64))) @ monomials(a, b)
    p = a[0] - 0.3
    expected = (p / 0.5) ** 2 + ((b[0] + 0.2 - 0.4 * p + 0.7 * p**2) / 0.2) ** 2
    torch.testing.assert_close(q[0, 0], expected, rtol=1e-5, atol=1e-5)
    p = (a[0] ** 2 - 0.36) / 1.2
    torch.testing.assert_close(q[0, 1], (p / 0.3) ** 2 + ((b[0] - 0.1 - 0.5 * p) / 0.4) ** 2, rtol=1e-5, atol=1e-5)


def test_derivatives_by_hand_agree_with_finite_differences():
    torch.manual_seed(0)
    a, b = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True).unbind(0)
    exponents = (-torch.rand(2, 4, 9, dtype=torch.float64)).requires_grad_()
    outputs = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    level = torch.randn(2, 1, 4, dtype=torch.float64, requires_grad=True)
    powers = (0.5 * torch.randn(2, 8, 5, dtype=torch.float64)).requires_grad_()
    grid = torch.randn(9, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(monomials, (a, b))
    for function, channels in ((gaussian_sum, outputs), (gaussian_sum, level), (softmax_mix, outputs)):

        def of_powers(e, o, p, function=function):
            return function(e, o, torch.cat([torch.ones_like(p[:, :1]), p], dim=1))  # the first monomial is always 1

        assert torch.autograd.gradcheck(of_powers, (exponents, channels, powers))
    assert torch.autograd.gradcheck(lambda logits, colours: softmax_mix(logits, colours, grid), (exponents, outputs))


def test_gradients_agree_with_finite_differences(precise):
    torch.manual_seed(1)
    latents = precise.map(torch.randn(3, 160, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(3, 3, 20, 20, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((precise.render(latents) * weights).sum(), latents)
    step = torch.randn_like(latents) * 1e-6
    with torch.no_grad():
        difference = ((precise.render(latents + step) - precise.render(latents - step)) * weights).flatten(1).sum(1)
    torch.testing.assert_close((2 * gradient * step).sum(1), difference, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 2.0])
def test_every_parameter_moves_the_picture_even_far_from_neutral(shift):
    """No clamp kills a gradient: neither of an expression that is off, nor of a strong light."""
    precise = ProceduralGenerator(latent_dim=160, image_size=56).to(dtype=torch.float64)
    identity = torch.zeros(1, precise.identity_dim, dtype=torch.float64)
    nuisance = torch.full((1, precise.nuisance_dim), 0.3 * shift, dtype=torch.float64)
    raw = torch.cat([identity + 0.3 * shift, nuisance], dim=1)
    raw[0, precise.identity_dim + NUISANCE_NAMES.index("smile")] = shift
    raw[0, precise.identity_dim + NUISANCE_NAMES.index("light_strength")] = shift
    raw.requires_grad_()
    total = torch.zeros_like(raw)
    for seed in range(2):
        torch.manual_seed(seed)
        image = precise.render_parameters(raw[:, : precise.identity_dim], raw[:, precise.identity_dim :])
        (gradient,) = torch.autograd.grad((image * torch.randn_like(image)).sum(), raw)
        total += gradient.abs()
    assert (total > 1e-6).all(), (total <= 1e-6).nonzero().tolist()


def test_an_image_does_not_depend_on_its_batch(generator, latents):
    with torch.no_grad():
        together = generator.render(latents)
        alone = torch.cat([generator.render(latent[None]) for latent in latents])
        backwards = generator.render(latents.flip(0)).flip(0)
    assert together.shape == (6, 3, 32, 32)
    assert together.abs().max() <= 1
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)
    torch.testing.assert_close(together, backwards, rtol=0, atol=1e-3)


def test_an_empty_batch_gives_no_images(generator):
    assert generator.render(torch.empty(0, generator.latent_dim)).shape == (0, 3, 32, 32)


def test_the_world_is_the_same_at_every_side(latents):
    small, middle, large = (ProceduralGenerator(latent_dim=160, image_size=image_size) for image_size in (40, 80, 120))
    assert torch.equal(small.latent_mean, large.latent_mean)
    with torch.no_grad():
        low, twice, thrice = (generator.render(latents[:2]) for generator in (small, middle, large))
    torch.testing.assert_close(low, thrice[..., 1::3, 1::3], rtol=0, atol=2e-4)  # the same picture, sampled more often
    averaged = torch.nn.functional.avg_pool2d(twice, 2)
    assert (low - averaged).abs().mean() < 0.03


def test_three_evaluations_of_the_relief_are_close_to_twelve(latents, monkeypatch):
    generator = ProceduralGenerator(latent_dim=160, image_size=56)
    with torch.no_grad():
        few = generator.render(latents)
        monkeypatch.setattr(geometry_module, "ITERATIONS", 11)
        many = generator.render(latents)
    assert (few - many).abs().mean() < 0.01


def test_the_average_eyes_are_where_the_generator_says():
    generator = ProceduralGenerator(latent_dim=160, image_size=112)
    neutral = torch.zeros(1, generator.identity_dim), torch.zeros(1, generator.nuisance_dim)
    with torch.no_grad():
        image = generator.render_parameters(*neutral)[0].mean(0)
    for x, y in generator.eyes:
        patch = image[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
        darkness = (-0.55 - patch).clamp_min(0)  # the pupil
        rows, columns = torch.meshgrid(torch.arange(-4.0, 5.0), torch.arange(-4.0, 5.0), indexing="ij")
        found_x = round(x) + float((darkness * columns).sum() / darkness.sum())
        found_y = round(y) + float((darkness * rows).sum() / darkness.sum())
        assert abs(found_x - x) < 0.8 and abs(found_y - y) < 0.8, (found_x, found_y)


def test_positive_yaw_turns_to_the_image_right_and_positive_light_comes_from_there(generator, world):
    identity = torch.zeros(3, generator.identity_dim)
    nuisance = torch.stack([world.nuisance_named(), world.nuisance_named(yaw=30), world.nuisance_named(light_yaw=60)])
    with torch.no_grad():
        frontal, turned, lit = generator.render_parameters(identity, nuisance).mean(1)
    cheek_left, cheek_right = lit[18:22, 8:12].mean(), lit[18:22, 20:24].mean()
    assert cheek_right > cheek_left + 0.2
    assert (frontal - frontal.flip(1)).abs().mean() < 0.1 < (turned - turned.flip(1)).abs().mean()
    # hair, darker than skin, is seen on the side the face turned away from
    assert turned[10:18, 5:9].mean() < turned[10:18, 23:27].mean()
