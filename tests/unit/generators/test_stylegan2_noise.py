"""StyleGAN2's noise maps: off, of the file, of the item, of item and iteration, or given."""

import pytest
import torch

from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import NoiseKey

NAMES = ["b4.conv1", "b8.conv0", "b8.conv1"]


def generator_with(noise: str) -> StyleGAN2:
    settings = StyleGAN2Settings(resolution=8, z_dim=6, w_dim=6, channel_max=4, mapping_layers=2)
    generator = random_stylegan2(settings, seed=1, noise=noise)
    for layer in generator.synthesis.noisy_layers().values():
        layer.noise_strength.fill_(0.5)
    return generator


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(1, 6, generator=torch.Generator().manual_seed(2)).repeat(4, 1)


def test_off_and_fixed_maps_do_not_depend_on_the_item(latents):
    off, fixed = generator_with("off"), generator_with("fixed")
    assert not off.needs_noise_key and not fixed.needs_noise_key
    for generator in (off, fixed):
        images = generator.render(latents, NoiseKey(1, [1, 2, 3, 4], 0))
        assert torch.allclose(images, images[:1].expand_as(images), atol=1e-5)
        assert torch.equal(images, generator.render(latents))
    assert not torch.allclose(off.render(latents), fixed.render(latents))


def test_maps_of_an_item_are_its_own_in_every_iteration_and_batch(latents):
    generator = generator_with("item")
    assert generator.needs_noise_key
    images = generator.render(latents, NoiseKey(1, [7, 8, 9, 7], 0))
    assert torch.allclose(images[0], images[3], atol=1e-6) and not torch.allclose(images[0], images[1], atol=1e-2)
    later = torch.cat([generator.render(latents[:1], NoiseKey(1, [item], 5)) for item in (7, 8, 9)])
    assert torch.allclose(later, images[:3], atol=1e-5)
    assert torch.equal(generator.render(latents, NoiseKey(1, [7, 8, 9, 7], None)), images)
    assert not torch.allclose(generator.render(latents, NoiseKey(2, [7, 8, 9, 7], 0)), images, atol=1e-2)


def test_random_maps_change_with_item_and_iteration_but_not_with_the_batch(latents):
    generator = generator_with("random")
    images = generator.render(latents, NoiseKey(1, [7, 8, 9, 7], 0))
    assert torch.allclose(images[0], images[3], atol=1e-6) and not torch.allclose(images[0], images[1], atol=1e-2)
    assert torch.allclose(generator.render(latents[:2], NoiseKey(1, [9, 8], 0)), images[[2, 1]], atol=1e-5)
    assert not torch.allclose(generator.render(latents, NoiseKey(1, [7, 8, 9, 7], 1)), images, atol=1e-2)


def test_given_maps_replace_those_of_the_mode_and_take_gradients(latents):
    generator = generator_with("off")
    maps = {name: map_.requires_grad_(True) for name, map_ in generator.noise_maps().items()}
    assert list(maps) == NAMES
    images = generator.render(latents, noise=maps)
    assert torch.allclose(images, generator_with("fixed").render(latents), atol=1e-6)
    gradients = torch.autograd.grad(images.square().sum(), list(maps.values()))
    assert all(g.abs().sum() > 0 for g in gradients)
    step = torch.zeros(8, 8)
    step[3, 5] = 1e-2
    changed = generator.render(latents, noise={**maps, "b8.conv1": maps["b8.conv1"] + step})
    difference = (changed.square().sum() - images.square().sum()).item() / 1e-2
    assert difference == pytest.approx(gradients[2][3, 5].item(), rel=0.05)


def test_given_maps_may_differ_from_picture_to_picture(latents):
    generator = generator_with("fixed")
    maps = torch.stack([map_ := generator.noise_maps()["b8.conv0"], -map_, map_, map_])
    images = generator.render(latents, noise={"b8.conv0": maps})
    assert torch.allclose(images[0], generator.render(latents)[0], atol=1e-6)
    assert not torch.allclose(images[1], images[0], atol=1e-2)


def test_noise_that_makes_no_sense_is_refused(latents):
    with pytest.raises(BrownidError, match="one of off, fixed, item, random, not 'const'"):
        generator_with("const")
    with pytest.raises(BrownidError, match="give a noise key"):
        generator_with("item").render(latents)
    with pytest.raises(BrownidError, match="has 2 items for a batch of 4"):
        generator_with("random").render(latents, NoiseKey(1, [1, 2], 0))
    with pytest.raises(BrownidError, match=r"no noise map 'b4.conv0': use some of b4.conv1, b8.conv0"):
        generator_with("off").render(latents, noise={"b4.conv0": torch.zeros(4, 4)})
    with pytest.raises(BrownidError, match=r"has the shape \[4, 4\]: it must be \[8, 8\]"):
        generator_with("off").render(latents, noise={"b8.conv0": torch.zeros(4, 4)})


def test_a_generator_without_noise_maps_renders_in_every_mode(latents):
    settings = StyleGAN2Settings(resolution=8, z_dim=6, w_dim=6, channel_max=4, use_noise=False)
    images = [random_stylegan2(settings, 1, noise=n).render(latents, NoiseKey(1, range(4), 0)) for n in ("off", "item")]
    assert torch.equal(*images) and random_stylegan2(settings, 1).noise_maps() == {}
