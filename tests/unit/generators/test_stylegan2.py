"""StyleGAN2 computes what its definition says, in every number format, for W and W+."""

from functools import cache

import pytest
import slow_stylegan2 as slow
import torch

from brownid.generators.protocol import Generator
from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal

SMALL = {"resolution": 16, "z_dim": 12, "w_dim": 10, "mapping_layers": 2, "channel_base": 96, "channel_max": 12}


@cache
def trained(dtype: torch.dtype = torch.float64, **changes) -> StyleGAN2:
    """A small generator in which every number is drawn, filters too: nothing is zero, even or symmetric."""
    options = {name: changes.pop(name) for name in ("noise", "compute_dtype", "channels_last") if name in changes}
    generator = random_stylegan2(StyleGAN2Settings(**{**SMALL, **changes}), seed=3, **options).to(dtype)
    for name, tensor in generator.state_dict().items():
        if name.endswith(("bias", "noise_strength")):
            tensor.add_(0.3 * normal(4, name, [0], tuple(tensor.shape))[0])
        elif name.endswith("resample_filter"):
            tensor.add_(0.02 * normal(4, "filter", [0], (4, 4))[0])
    return generator


def latents_of(generator: StyleGAN2, number: int = 3) -> torch.Tensor:
    return generator.map(normal(5, "z", range(number), (generator.settings.z_dim,)))


def repeated(generator: StyleGAN2, w: torch.Tensor) -> torch.Tensor:
    return w[:, None].repeat(1, generator.settings.layers, 1)


@pytest.fixture(scope="module")
def precise() -> StyleGAN2:
    return trained()


@pytest.mark.parametrize("clamp", [None, 0.8])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_images_equal_those_of_the_definition(dtype, near, clamp):
    generator = trained(dtype, conv_clamp=clamp, noise="fixed")
    w_plus = repeated(generator, latents_of(generator)) + 0.3 * normal(6, "w+", range(3), (6, 10)).to(dtype)
    expected = slow.synthesised(generator.state_dict(), w_plus, 16, noise=True, clamp=clamp)
    assert (generator.render(w_plus) - expected).abs().max() < near
    assert clamp is None or (trained(dtype, noise="fixed").render(w_plus) - expected).abs().max() > 0.1


@pytest.mark.parametrize("clamp", [None, 0.8])
def test_gradients_equal_those_of_the_definition(clamp):
    generator = trained(conv_clamp=clamp)
    w = latents_of(generator).requires_grad_(True)
    weights = normal(7, "loss", range(3), (3, 16, 16)).double()
    (found,) = torch.autograd.grad((generator.render(w) * weights).sum(), w)
    images = slow.synthesised(generator.state_dict(), repeated(generator, w), 16, clamp=clamp)
    (expected,) = torch.autograd.grad((images * weights).sum(), w)
    assert (found - expected).abs().max() < 1e-9 * expected.abs().max()


def test_no_parameter_takes_a_gradient(precise):
    assert not any(p.requires_grad for p in precise.parameters())
    assert not precise.render(latents_of(precise)).requires_grad


def test_mapping_equals_its_definition(precise):
    z = normal(8, "z", range(4), (12,)).double()
    assert torch.allclose(precise.map(z), slow.mapped(precise.state_dict(), z, 2), rtol=1e-12)


def test_mapping_with_labels_equals_its_definition():
    generator = trained(c_dim=3, label_width=5, mapping_width=7)
    z, labels = normal(8, "z", range(4), (12,)).double(), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]
    expected = slow.mapped(generator.state_dict(), z, 2, labels)
    assert torch.allclose(generator.map(z, labels=labels), expected, rtol=1e-12)
    assert generator.mapping.fc0.weight.shape == (7, 17) and generator.mapping.embed.weight.shape == (5, 3)
    with pytest.raises(BrownidError, match="needs labels of 3 numbers"):
        generator.map(z)


def test_truncation_pulls_to_the_mean_latent(precise):
    z = normal(8, "z", range(4), (12,)).double()
    free, mean = precise.map(z), precise.latent_mean
    assert torch.allclose(precise.map(z, 0.7), mean + 0.7 * (free - mean))
    assert torch.allclose(precise.map(z, 0.0), mean.expand(4, -1))
    cut = precise.map(z, 0.7, cutoff=2)
    assert cut.shape == (4, 6, 10)
    assert torch.allclose(cut[:, :2], precise.map(z, 0.7)[:, None])
    assert torch.equal(cut[:, 2:], free[:, None].expand(-1, 4, -1))


def test_mean_latent_of_a_random_generator_is_that_of_mapped_vectors():
    generator = random_stylegan2(StyleGAN2Settings(**SMALL), seed=3)
    seen = generator.map(normal(9, "z", range(4000), (12,)))
    assert (seen.mean(dim=0) - generator.latent_mean).norm() < 0.1 * seen.std(dim=0).norm()


def test_one_latent_for_all_layers_is_the_same_repeated(precise):
    w = latents_of(precise)
    assert torch.equal(precise.render(w), precise.render(repeated(precise, w)))
    changed = repeated(precise, w)
    changed[:, 3:] += 1.0
    assert not torch.allclose(precise.render(w), precise.render(changed))


def test_an_image_does_not_depend_on_its_batch(precise):
    w = latents_of(precise, 4)
    alone = torch.cat([precise.render(row) for row in w.split(1)])
    assert torch.allclose(precise.render(w), alone, atol=1e-12)


def test_bfloat16_and_channels_last_change_little():
    plain, fast = trained(torch.float32), trained(torch.float32, compute_dtype=torch.bfloat16, channels_last=True)
    w = latents_of(plain)
    images, rounded = plain.render(w), fast.render(w)
    assert rounded.dtype == torch.float32
    assert 0 < (images - rounded).std() / images.std() < 0.02
    last = trained(torch.float32, channels_last=True)
    assert last.synthesis.b8.conv0.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(images, last.render(w), atol=1e-5)


def test_a_surrounding_autocast_changes_nothing():
    generator = trained(torch.float32)
    w = latents_of(generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = generator.render(w)
    assert torch.equal(inside, generator.render(w))


def test_it_follows_the_generator_protocol(precise):
    assert isinstance(precise, Generator)
    assert (precise.latent_dim, precise.resolution, precise.latent_mean.shape) == (10, 16, (10,))
    half = StyleGAN2(StyleGAN2Settings(**{**SMALL, "resolution": 8}))
    assert (
        half.eyes
        == half.landmarks[:2]
        == ((385.5 / 128 - 0.5, 485.5 / 128 - 0.5), (638.5 / 128 - 0.5, 487.5 / 128 - 0.5))
    )


def test_latents_of_another_size_are_refused(precise):
    for shape in [(2, 9), (2, 5, 10), (10,)]:
        with pytest.raises(BrownidError, match=r"takes \[batch, 10\] or \[batch, 6, 10\]"):
            precise.render(torch.zeros(shape))
    with pytest.raises(BrownidError, match=r"maps vectors \[batch, 12\]"):
        precise.map(torch.zeros(2, 10))
