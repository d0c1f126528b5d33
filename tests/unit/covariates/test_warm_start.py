"""The warm start inverts a linear generator, survives a file, and refuses what does not fit it."""

import pytest
import torch
from safetensors.torch import save_file

from brownid.covariates.settings import WarmStartSettings
from brownid.covariates.warm_start import WarmStart, fit_warm_start
from brownid.runtime.errors import BrownidError

DIM, SIDE = 6, 8


class Linear:
    latent_dim = DIM
    latent_mean = torch.full((DIM,), 2.0)
    basis = torch.randn(DIM, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(0))

    def map(self, z, truncation=1.0):
        return self.latent_mean + truncation * z

    @property
    def generator(self):
        return self

    def render(self, latents, noise_key=None):
        return (latents @ self.basis).view(-1, 3, SIDE, SIDE)

    def embed_crops(self, images):
        return images.flatten(1)[:, :10]


WORLD = Linear()
SETTINGS = WarmStartSettings(samples=60, pixel_side=4, penalty=1e-8)
NEW = WORLD.latent_mean + torch.randn(4, DIM, generator=torch.Generator().manual_seed(1))


def fit(settings=SETTINGS, **others):
    return fit_warm_start(WORLD, settings, seed=3, **others)


def test_latents_of_unseen_images_are_recovered():
    torch.testing.assert_close(fit().predict(WORLD.render(NEW), WORLD.embed_crops), NEW, atol=1e-3, rtol=0)


def test_the_batch_size_changes_nothing():
    torch.testing.assert_close(fit().weight, fit(batch_size=7).weight, atol=1e-3, rtol=1e-3)


def test_every_setting_changes_the_regression():
    before = fit().predict(WORLD.render(NEW), WORLD.embed_crops)
    for change in ({"samples": 50}, {"pixel_side": 2}, {"truncation": 3.0}, {"penalty": 0.1}):
        values = {"samples": 60, "pixel_side": 4, "truncation": 1.5, "penalty": 1e-3} | change
        assert not torch.equal(before, fit(WarmStartSettings(**values)).predict(WORLD.render(NEW), WORLD.embed_crops))


def test_embeddings_of_another_width_are_refused():
    with pytest.raises(BrownidError, match="face-recognition network that it was fitted with"):
        fit().predict(WORLD.render(NEW), lambda images: images.flatten(1)[:, :9])


def test_a_saved_warm_start_predicts_the_same(tmp_path):
    warm_start = fit()
    warm_start.save(tmp_path / "warm.safetensors")
    images = WORLD.render(NEW)
    assert torch.equal(
        WarmStart.load(tmp_path / "warm.safetensors").predict(images, WORLD.embed_crops),
        warm_start.predict(images, WORLD.embed_crops),
    )


def test_equal_warm_starts_give_equal_bytes_and_a_flipped_bit_is_noticed(tmp_path):
    warm_start = fit()
    for name in "abcd":
        warm_start.save(tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1
    damaged = bytearray((tmp_path / "a").read_bytes())
    damaged[-9] ^= 1
    (tmp_path / "a").write_bytes(damaged)
    with pytest.raises(BrownidError, match=r"a: damaged: its content does not match its checksum"):
        WarmStart.load(tmp_path / "a")


def test_a_warm_start_of_the_version_without_a_checksum_is_read(tmp_path):
    warm_start = fit()
    metadata = {"format": "brownid warm start 1", "pixel_side": str(warm_start.pixel_side)}
    save_file({"weight": warm_start.weight, "bias": warm_start.bias}, tmp_path / "old", metadata)
    images = WORLD.render(NEW)
    assert torch.equal(
        WarmStart.load(tmp_path / "old").predict(images, WORLD.embed_crops),
        warm_start.predict(images, WORLD.embed_crops),
    )


def test_other_files_are_refused_by_name(tmp_path):
    (tmp_path / "text").write_text("no")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name in ("text", "other.safetensors", "missing"):
        with pytest.raises(BrownidError, match=name):
            WarmStart.load(tmp_path / name)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"pixel_side": 0}, {"truncation": 0.0}, {"penalty": -1.0}])
def test_a_wrong_setting_is_named_with_its_value(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BrownidError, match=f"{name} is {value}"):
        WarmStartSettings(**wrong)
