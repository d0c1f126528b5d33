"""Noise maps begin as noise, are penalised for what is not, and stay normalised."""

import pytest
import torch

from brownid.covariates.projection import autocorrelation, random_maps, renormalised

STRIPES = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 8, 8)  # upright, one pixel wide


def test_the_penalty_of_stripes_is_that_of_their_two_correlations():
    # along the rows each pixel meets its opposite, (-1)²; along the columns its like, 1²
    assert autocorrelation({"map": STRIPES}).tolist() == [2.0]


def test_coarser_resolutions_count_down_to_eight_pixels():
    wide = STRIPES.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)  # the stripes, after averaging once
    along, across = 1.0, 0.0  # at 16 pixels: a column meets its like; in a row half of them do, half the opposite
    assert autocorrelation({"map": wide}).tolist() == [along**2 + across**2 + 2.0]
    assert autocorrelation({"a": STRIPES, "b": wide}).tolist() == [5.0]


def test_maps_below_eight_pixels_count_once():
    assert autocorrelation({"map": torch.ones(3, 4, 4)}).tolist() == [2.0, 2.0, 2.0]


def test_noise_has_next_to_no_penalty_and_every_image_its_own():
    noise = random_maps({"map": (64, 64)}, seed=1, items=[0, 1])["map"]
    penalties = autocorrelation({"map": torch.cat([noise, torch.ones(1, 64, 64)])})
    assert penalties[:2].max() < 0.01 and penalties[2] == pytest.approx(8.0)  # 64, 32, 16 and 8 pixels


def test_maps_belong_to_their_item_and_layer():
    both = random_maps({"a": (4, 4), "b": (4, 4)}, seed=1, items=[0, 1])
    alone = random_maps({"b": (4, 4)}, seed=1, items=[1])
    assert torch.equal(both["b"][1:], alone["b"])
    assert not torch.equal(both["a"], both["b"]) and not torch.equal(both["b"][0], both["b"][1])


def test_renormalised_maps_have_zero_mean_and_unit_variance_each():
    maps = renormalised(torch.stack([3 + 2 * torch.randn(8, 8), 0.1 * torch.rand(8, 8)]))
    torch.testing.assert_close(maps.mean(dim=(1, 2)), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(maps.square().mean(dim=(1, 2)), torch.ones(2))
