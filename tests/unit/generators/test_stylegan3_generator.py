"""StyleGAN3 as a generator: latents, truncation, independence of the batch, equivariance and the anchor."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from brownid.alignment.templates import template
from brownid.generators.protocol import Generator
from brownid.generators.stylegan3.generator import StyleGAN3, random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.runtime.errors import BrownidError

SMALL = StyleGAN3Settings(img_resolution=32, z_dim=12, w_dim=16, num_layers=6, channel_base=512, channel_max=24)
SMALL_R = dataclasses.replace(SMALL, conv_kernel=1, use_radial_filters=True)


@pytest.fixture(scope="module")
def small():
    return random_stylegan3(SMALL, seed=1)


@pytest.fixture(scope="module")
def small_r():
    return random_stylegan3(SMALL_R, seed=1)


@pytest.fixture(scope="module")
def latents(small):
    return small.map(torch.randn(3, 12, generator=torch.Generator().manual_seed(4)))


@pytest.fixture
def moved(small):
    """Renders with the user's transform."""

    def render(latents, matrix, generator=small):
        transform = generator.synthesis.input.transform
        transform.copy_(torch.tensor(matrix))
        try:
            return generator.render(latents)
        finally:
            transform.copy_(torch.eye(3))

    return render


def shift_by(x, y):
    return [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]


def test_it_is_a_generator(small, latents):
    assert isinstance(small, Generator)
    assert (small.latent_dim, small.resolution, small.latent_mean.shape, small.layers) == (16, 32, (16,), 8)
    images = small.render(latents)
    assert images.shape == (3, 3, 32, 32) and images.dtype == torch.float32
    assert 0.02 < images.std() < 1


def test_an_average_face_lies_where_ffhq_has_it(small):
    np.testing.assert_allclose(small.landmarks, template("ffhq", 32))
    assert small.eyes == small.landmarks[:2]


def test_truncation_pulls_towards_the_mean(small):
    z = torch.randn(4000, 12, generator=torch.Generator().manual_seed(5))
    free, half, none = (small.map(z, psi) for psi in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half, (free + small.latent_mean) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(none, small.latent_mean.expand_as(none), rtol=0, atol=1e-6)
    assert (free.mean(0) - small.latent_mean).abs().max() < 0.1
    torch.testing.assert_close(small.map(7 * z), free, rtol=0, atol=1e-4)  # only the direction of z matters


def test_equal_latents_for_every_layer_are_the_image_of_one(small, latents):
    repeated = latents[:, None].repeat(1, 8, 1)
    torch.testing.assert_close(small.render(repeated), small.render(latents), rtol=0, atol=1e-6)
    changed = repeated[:1].repeat(8, 1, 1)
    changed[range(8), range(8)] += 1  # another layer in every row
    difference = small.render(changed) - small.render(repeated[:1])
    assert (difference.abs().amax(dim=(1, 2, 3)) > 1e-3).all()


def test_an_image_does_not_depend_on_its_neighbours(small, latents):
    far = torch.cat([latents, 1000 * latents[:1]])
    torch.testing.assert_close(small.render(far)[:1], small.render(latents[:1]), rtol=0, atol=2e-6)
    torch.testing.assert_close(small.render(far)[1:3], small.render(latents[1:3]), rtol=0, atol=2e-6)


@pytest.mark.parametrize(("pixels", "tolerance"), [((4, 0), 1e-3), ((0, -3), 1e-3), ((2.5, 1.5), 0.1)])
def test_a_translated_input_translates_the_image(small, latents, moved, pixels, tolerance):
    still = small.render(latents)
    x, y = pixels
    # the transform says where a pixel reads from, so the picture goes the other way
    image = moved(latents, shift_by(-x / 32, -y / 32))
    frequencies = torch.fft.fftfreq(32)
    phase = torch.exp(-2j * math.pi * (frequencies[:, None] * y + frequencies[None, :] * x))
    expected = torch.fft.ifft2(torch.fft.fft2(still) * phase).real
    inner = slice(8, 24)  # away from what comes in over the edge
    error = (image - expected)[:, :, inner, inner].square().mean().sqrt()
    change = (image - still)[:, :, inner, inner].square().mean().sqrt()
    assert error < tolerance * change


def test_config_r_turns_with_its_input_and_config_t_does_not(small, small_r, latents, moved):
    quarter = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    turned = moved(latents, quarter, small_r)
    torch.testing.assert_close(turned, small_r.render(latents).rot90(1, (2, 3)), rtol=0, atol=1e-5)
    assert (moved(latents, quarter) - small.render(latents).rot90(1, (2, 3))).abs().max() > 0.01


def test_frequencies_that_the_sampling_rate_cannot_hold_fade_out(small, latents):
    waves = small.synthesis.input
    waves.transform.copy_(torch.diag(torch.tensor([1e3, 1e3, 1.0])))
    field = waves(latents)
    waves.transform.copy_(torch.eye(3))
    assert field.abs().max() == 0


def test_the_anchor_holds_the_pose_and_nothing_else():
    generator = random_stylegan3(SMALL, seed=2)
    latents = generator.map(torch.randn(2, 12, generator=torch.Generator().manual_seed(6)))
    free, waves = generator.render(latents), generator.synthesis.input
    predicted = waves.reading_positions(latents)
    assert (predicted[0] - predicted[1]).abs().max() > 0.01
    names = list(generator.state_dict())

    assert generator.anchor() is generator
    held = waves.reading_positions(latents)
    torch.testing.assert_close(held[0], held[1], rtol=0, atol=0)
    torch.testing.assert_close(held, waves.reading_positions(generator.latent_mean.expand(2, -1)), rtol=0, atol=0)
    anchored = generator.render(latents)
    with_mean_first = latents[:, None].repeat(1, 8, 1)
    with_mean_first[:, 0] = generator.latent_mean
    torch.testing.assert_close(generator.release().render(with_mean_first), anchored, rtol=0, atol=1e-5)

    generator.anchor(latents[0])
    torch.testing.assert_close(generator.render(latents)[0], free[0], rtol=0, atol=1e-5)
    assert (generator.render(latents)[1] - free[1]).abs().max() > 0.01
    generator.anchor(with_mean_first[1])
    torch.testing.assert_close(generator.render(latents), anchored, rtol=0, atol=1e-5)
    assert list(generator.state_dict()) == names
    torch.testing.assert_close(generator.release().render(latents), free, rtol=0, atol=0)


def test_an_anchored_generator_gives_no_gradient_to_the_first_latent():
    generator = random_stylegan3(SMALL, seed=2).anchor()
    latents = torch.randn(1, 8, 16, requires_grad=True)
    generator.render(latents).square().sum().backward()
    assert latents.grad[:, 0].abs().max() == 0
    assert (latents.grad[:, 1:].abs().amax(dim=2) > 0).all()


def test_a_state_dictionary_goes_round_and_a_wrong_one_is_refused(small, latents):
    other = StyleGAN3(SMALL)
    other.load_state_dict(small.state_dict(), strict=True)
    torch.testing.assert_close(other.render(latents), small.render(latents), rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(random_stylegan3(SMALL_R, seed=0).state_dict())


def test_random_weights_depend_on_the_seed_alone(small, latents):
    torch.manual_seed(0)
    again = random_stylegan3(SMALL, seed=1)
    assert all(torch.equal(value, small.state_dict()[name]) for name, value in again.state_dict().items())
    assert not torch.equal(random_stylegan3(SMALL, seed=2).latent_mean, small.latent_mean)
    assert small.synthesis.input.freqs.norm(dim=1).max() <= small.synthesis.input.bandwidth


def test_bfloat16_signals_give_nearly_the_same_float32_images(small, latents):
    other = StyleGAN3(SMALL, compute_dtype=torch.bfloat16)
    other.load_state_dict(small.state_dict())
    moving = latents.clone().requires_grad_()
    images = other.render(moving)
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, small.render(latents), rtol=0, atol=0.05)
    images.sum().backward()
    assert moving.grad.isfinite().all() and moving.grad.abs().max() > 0


def test_autocast_does_not_touch_it(small, latents):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images = small.render(latents)
    torch.testing.assert_close(images, small.render(latents), rtol=0, atol=0)


def test_wrong_shapes_are_refused(small):
    with pytest.raises(BrownidError, match=r"shape \[batch, 12\], but got \[2, 16\]"):
        small.map(torch.zeros(2, 16))
    for shape in ((2, 12), (2, 7, 16), (16,)):
        with pytest.raises(BrownidError, match="renders latents of shape"):
            small.render(torch.zeros(shape))
    with pytest.raises(BrownidError, match="anchored with one latent"):
        small.anchor(torch.zeros(2, 16))
