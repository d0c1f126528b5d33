"""Loading a generator from its description."""

import dataclasses
import sys
import types

import numpy as np
import pytest
import torch
from checkpoint_files import network, write_network_pickle
from torch import Tensor

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.facemodel.loading import crop_for, load_generator
from brownid.generators.protocol import Generator
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.generator import random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import NoiseKey
from brownid.weights.generator_files import convert, read_generator_file, save_generator_file

RANDOM = {"resolution": 16, "latent_dim": 6, "mapping_layers": 2, "channel_base": 64, "channel_max": 4}
STYLEGAN2 = {"family": "stylegan2", "random": RANDOM, "seed": 3}
STYLEGAN3 = {"family": "stylegan3", "random": {**RANDOM, "layers": 3}, "seed": 3}
ARGUMENTS = {"z_dim": 6, "c_dim": 0, "w_dim": 6, "img_resolution": 16, "img_channels": 3}
ARGUMENTS |= {"mapping_kwargs": {"num_layers": 2}}
CHANNELS = {"channel_base": 64, "channel_max": 4}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny StyleGAN2 and StyleGAN3 with random weights, and NVIDIA pickles of them: {family: (generator, path)}."""
    folder = tmp_path_factory.mktemp("generators")
    sizes2 = StyleGAN2Settings(resolution=16, z_dim=6, w_dim=6, mapping_layers=2, **CHANNELS)
    sizes3 = StyleGAN3Settings(img_resolution=16, z_dim=6, w_dim=6, num_layers=3, **CHANNELS)
    made = {"stylegan2": random_stylegan2(sizes2, 5), "stylegan3": random_stylegan3(sizes3, 5)}
    keywords = {
        "stylegan2": {**ARGUMENTS, "synthesis_kwargs": CHANNELS},
        "stylegan3": {**ARGUMENTS, **CHANNELS, "num_layers": 3},
    }
    return {
        family: (
            generator,
            write_network_pickle(folder / f"{family}.pkl", network(generator.state_dict(), keywords=keywords[family])),
        )
        for family, generator in made.items()
    }


def latents(generator, count: int = 2) -> Tensor:
    return generator.map(torch.randn(count, generator.latent_dim, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("family", ["stylegan2", "stylegan3"])
def test_a_published_file_and_its_conversion_give_the_images_of_the_network_that_was_saved(files, tmp_path, family):
    saved, path = files[family]
    convert(path, tmp_path / "converted")  # no suffix: the content tells
    for file in (path, tmp_path / "converted"):
        loaded = load_generator({"family": family, "file": str(file)})
        assert isinstance(loaded, Generator)
        torch.testing.assert_close(loaded.render(latents(loaded)), saved.render(latents(saved)))


@pytest.mark.parametrize("spec", [STYLEGAN2, STYLEGAN3], ids=lambda spec: spec["family"])
def test_random_weights_follow_from_sizes_and_seed(spec):
    first, again, other = (load_generator({**spec, "seed": seed}) for seed in (3, 3, 4))
    assert isinstance(first, Generator) and (first.latent_dim, first.resolution) == (6, 16)
    assert torch.equal(first.render(latents(first)), again.render(latents(again)))
    assert not torch.allclose(first.render(latents(first)), other.render(latents(other)))


@pytest.mark.parametrize("spec", [STYLEGAN2, STYLEGAN3], ids=lambda spec: spec["family"])
def test_bfloat16_renders_nearly_the_same_images_in_float32(spec):
    whole, half = load_generator(spec), load_generator({**spec, "precision": "bfloat16"})
    images, near = whole.render(latents(whole)), half.render(latents(half))
    assert near.dtype == torch.float32 and not torch.equal(images, near)
    assert (images - near).abs().max() < 0.05 * images.abs().max()


def test_noise_and_layout_of_a_stylegan2_are_settings():
    noisy = load_generator({**STYLEGAN2, "noise": "item", "channels_last": False})
    assert noisy.needs_noise_key and not load_generator(STYLEGAN2).needs_noise_key
    assert noisy.render(latents(noisy), NoiseKey(1, [4, 5], None)).shape == (2, 3, 16, 16)


FIVE = [[5, 6], [10, 6.5], [7, 8], [6, 11], [9, 11]]


@pytest.mark.parametrize("spec", [STYLEGAN2, STYLEGAN3], ids=["stylegan2", "stylegan3"])
def test_where_an_average_face_lies_is_a_template_or_points_of_the_users(spec):
    assert len(load_generator(spec).landmarks) == 5
    published = load_generator({**spec, "template": "ffhq_published"})
    assert published.landmarks == published.eyes == ((380.5 / 64 - 0.5, 7.0078125), (650.5 / 64 - 0.5, 7.0078125))
    assert load_generator({**spec, "eyes": FIVE[:2]}).landmarks == ((5.0, 6.0), (10.0, 6.5))
    whole = load_generator({**spec, "landmarks": FIVE})
    assert whole.landmarks == tuple(map(tuple, FIVE)) and whole.eyes == ((5.0, 6.0), (10.0, 6.5))


def test_a_crop_matches_all_points_that_generator_and_template_know():
    plain, eyes = load_generator(STYLEGAN2), load_generator({**STYLEGAN2, "eyes": FIVE[:2]})
    for generator, name, count in ((plain, "arcface", 5), (plain, "two_eye", 2), (eyes, "arcface", 2)):
        expected = FixedCrop(generator.landmarks[:count], template(name, 8)[:count], 16, 8)
        np.testing.assert_array_equal(crop_for(generator, name, 8).matrix, expected.matrix)
    assert not np.allclose(crop_for(plain, "arcface", 8).matrix, crop_for(eyes, "arcface", 8).matrix)


def test_a_stylegan3_may_be_anchored():
    plain = load_generator(STYLEGAN3)
    anchored = load_generator({**STYLEGAN3, "anchored": True})
    assert not torch.allclose(anchored.render(latents(plain)), plain.render(latents(plain)))
    torch.testing.assert_close(anchored.render(plain.latent_mean[None]), plain.render(plain.latent_mean[None]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "a.pkl"}, "either 'file'"),
        ({"random": None, "seed": None}, "either 'file'"),
        ({"seed": None}, "needs a 'seed'"),
        ({"random": {"width": 3}}, "random: there is no setting 'width'"),
        ({"random": {"resolution": 24}}, "resolution is 24, but must be one of 4, 8"),
        ({"noise": "loud"}, "noise is 'loud', but must be one of off"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"anchored": True}, "family 'stylegan2': there is no setting 'anchored'"),
        ({"eyes": [[9, 5], [2, 5]]}, r"eyes are \[\[9, 5\], \[2, 5\]\]: give two points"),
        ({"eyes": [[1, 5], [float("nan"), 5]]}, "give two points"),
        ({"landmarks": FIVE[:4]}, "give five points"),
        ({"landmarks": [*FIVE[:3], *FIVE[:2:-1]]}, "give five points .*corners of the mouth"),
        ({"eyes": FIVE[:2], "landmarks": FIVE}, "`eyes` or `landmarks`"),
        ({"template": "dlib"}, "template is 'dlib'"),
        ({"random": None, "seed": None, "file": "nowhere.pkl"}, "nowhere.pkl: cannot read"),
    ],
)
def test_wrong_settings_of_a_stylegan_are_refused_in_a_sentence(changes, message):
    with pytest.raises(BrownidError, match=message):
        load_generator({**STYLEGAN2, **changes})


def test_a_file_of_another_family_says_which(files):
    with pytest.raises(BrownidError, match=r"stylegan3\.pkl: the file holds a stylegan3, not a stylegan2"):
        load_generator({"family": "stylegan2", "file": str(files["stylegan3"][1])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c_dim": 4}, "takes class labels"),
        ({"z_dim": 5}, "6 numbers are mapped from 5"),
        ({"img_resolution": 32}, "missing: synthesis.b32"),
        ({"synthesis_kwargs": {**CHANNELS, "architecture": "resnet"}}, "architecture = 'resnet'"),
    ],
)
def test_a_file_that_this_project_cannot_use_is_named(files, tmp_path, change, message):
    keywords = {**ARGUMENTS, "synthesis_kwargs": CHANNELS, **change}
    write_network_pickle(tmp_path / "odd.pkl", network(files["stylegan2"][0].state_dict(), keywords=keywords))
    with pytest.raises(BrownidError, match=rf"odd\.pkl.*{message}"):
        load_generator({"family": "stylegan2", "file": str(tmp_path / "odd.pkl")})


def test_the_procedural_family_is_a_generator():
    generator = load_generator({"family": "procedural", "latent_dim": 128, "image_size": 32, "world_seed": 3})
    assert isinstance(generator, Generator)
    assert (generator.latent_dim, generator.resolution, generator.latent_mean.shape) == (128, 32, (128,))


def test_a_factory_gets_the_other_keys_and_the_device(monkeypatch):
    module = types.ModuleType("a_user_module")

    class Flat:
        latent_dim, latent_mean, resolution, eyes = 2, torch.zeros(2), 4, ((1, 1), (2, 1))

        def __init__(self, shade, device):
            self.shade, self.device = shade, device

        def map(self, z, truncation=1.0):
            return z

        def render(self, latents):
            return torch.full((len(latents), 3, 4, 4), self.shade)

    module.build = Flat
    module.broken = lambda device: object()
    monkeypatch.setitem(sys.modules, "a_user_module", module)
    generator = load_generator({"factory": "a_user_module:build", "shade": 0.5}, device="cpu")
    assert generator.shade == 0.5 and generator.device == "cpu"
    with pytest.raises(BrownidError, match="lacks latent_dim"):
        load_generator({"factory": "a_user_module:broken"})
    with pytest.raises(BrownidError, match="no function 'nothing'"):
        load_generator({"factory": "a_user_module:nothing"})
    with pytest.raises(BrownidError, match="does not take the settings"):
        load_generator({"factory": "a_user_module:build"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "exactly one of"),
        ({"family": "procedural", "factory": "a:b"}, "exactly one of"),
        ({"family": "procedual"}, "'procedual' is unknown"),
        ({"factory": "no_colon"}, "not of the form"),
        ({"factory": "no.such.module:f"}, "cannot be imported"),
        ({"family": "procedural", "image_sizes": 56}, "no setting 'image_sizes'; did you mean 'image_size'"),
        ({"family": "procedural", "image_size": "56"}, "image_size is '56'"),
        ({"family": "procedural", "latent_dim": 64}, "latent_dim is 64, but must be a whole number, at least 128"),
        ({"family": "procedural", "world_seed": True}, "world_seed is True"),
    ],
)
def test_a_wrong_description_is_refused_in_a_sentence(spec, message):
    with pytest.raises(BrownidError, match=message):
        load_generator(spec)


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("stylegan2", {"w_dim": 10**12, "z_dim": 10**12}),
        ("stylegan2", {"w_dim": 10**5, "z_dim": 10**5}),
        ("stylegan2", {"img_resolution": 2**40, "synthesis_kwargs": {"channel_base": 2**41}}),
        ("stylegan2", {"mapping_kwargs": {"num_layers": 10**9}}),
        ("stylegan2", {"mapping_kwargs": 5}),
        ("stylegan3", {"w_dim": 10**5, "z_dim": 10**5}),
        ("stylegan3", {"num_layers": 10**9}),
        ("stylegan3", {"filter_size": 10**9}),
        ("stylegan3", {"img_resolution": 2**40}),
        ("stylegan3", {"first_cutoff": "a"}),
    ],
    ids=str,
)
def test_sizes_that_a_file_cannot_hold_are_refused_before_memory_is_taken(files, tmp_path, family, change):
    content = read_generator_file(files[family][1])
    described = dataclasses.replace(content, constructor={**content.constructor, **change})
    save_generator_file(tmp_path / "a.safetensors", described)
    with pytest.raises(BrownidError, match=r"a\.safetensors: "):
        load_generator({"family": family, "file": str(tmp_path / "a.safetensors")})
