"""Augmentation: addressed by image and epoch, and each change by hand."""

import math

import pytest
import torch

from brownid.training import augmentation
from brownid.training.augmentation import (
    AREA,
    ASPECT,
    BRIGHTNESS,
    CONTRAST,
    DRAWS,
    ERASED_AREA,
    ERASED_ASPECT,
    ERASED_LEFT,
    ERASED_TOP,
    LEFT,
    RESOLUTION,
    SATURATION,
    SHIFT_X,
    SHIFT_Y,
    TOP,
    augment,
    draws,
)
from brownid.training.settings import TrainingSettings

OFF = {
    "flip_probability": 0.0,
    "crop_probability": 0.0,
    "low_resolution_probability": 0.0,
    "photometric_probability": 0.0,
    "erasing_probability": 0.0,
}


def only(**changes) -> TrainingSettings:
    return TrainingSettings(**(OFF | changes))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (12, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def floats(images: torch.Tensor) -> torch.Tensor:
    """[B, 3, S, S] in [-1, 1]"""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def test_numbers_belong_to_seed_image_and_epoch():
    numbers = draws(1, [4, 9], epoch=2)
    assert torch.equal(numbers[1:], draws(1, [9], epoch=2))
    for other in (draws(2, [4, 9], 2), draws(1, [4, 9], 3), draws(1, [5, 10], 2)):
        assert not torch.equal(numbers, other)


def test_augmentation_does_not_depend_on_the_batch(images):
    settings = only(**{name: 0.5 for name in OFF}, shift=0.1)
    whole = augment(images, draws(0, range(12), 0), settings)
    parts = [augment(images[i : i + 5], draws(0, range(12), 0)[i : i + 5], settings) for i in (0, 5, 10)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    assert not torch.allclose(whole, floats(images))


def test_on_a_gpu_all_images_are_changed_and_the_chosen_ones_kept(images, monkeypatch):
    settings = only(**{name: 0.5 for name in OFF}, shift=0.1)
    of_rows = augment(images, draws(0, range(12), 0), settings)
    monkeypatch.setattr(augmentation, "_changed_rows", augmentation._changed_everywhere)
    assert torch.allclose(augment(images, draws(0, range(12), 0), settings), of_rows, atol=1e-6)


def test_on_a_gpu_no_number_is_read_back_from_the_device(images):
    settings = only(**{name: 0.5 for name in OFF}, shift=0.1)
    augmented = augment(images.to("meta"), draws(0, range(12), 0).to("meta"), settings)  # where reading is an error
    assert augmented.shape == (12, 3, 16, 16) and augmented.is_meta


def test_probability_zero_changes_nothing(images):
    before = images.clone()
    assert torch.allclose(augment(images, draws(0, range(12), 0), only()), floats(images), atol=1e-6)
    augment(images, draws(0, range(12), 0), only(**{name: 1.0 for name in OFF}, shift=0.1))
    assert torch.equal(images, before)  # and never the input


def test_flips_happen_to_the_share_of_images_that_is_asked_for():
    images = torch.zeros(2000, 2, 2, 3, dtype=torch.uint8)
    images[:, :, 1] = 255
    left = augment(images, draws(0, range(2000), 0), only(flip_probability=0.3))[:, 0, 0, 0]
    assert (left > 0).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_a_crop_keeps_a_rectangle_in_place_and_blacks_out_the_rest(images):
    numbers = torch.zeros(1, DRAWS)
    numbers[0, [AREA, ASPECT, LEFT, TOP]] = torch.tensor([0.0625, 0.5, 1.0, 0.0])  # a quarter: the upper right corner
    cropped = augment(images[:1], numbers, only(crop_probability=1.0))
    kept = torch.zeros(16, 16, dtype=torch.bool)
    kept[:8, 8:] = True
    assert torch.allclose(cropped[0][:, kept], floats(images)[0][:, kept], atol=1e-6)
    assert (cropped[0][:, ~kept] == -1).all()


def test_every_crop_keeps_between_20_and_100_percent():
    white = torch.full((500, 40, 40, 3), 255, dtype=torch.uint8)
    shares = (augment(white, draws(0, range(500), 0), only(crop_probability=1.0))[:, 0] > 0).float().mean((1, 2))
    assert shares.min() > 0.17 and shares.max() <= 1.0 and shares.std() > 0.15


def test_erasing_makes_a_rectangle_grey(images):
    numbers = torch.zeros(1, DRAWS)
    area = (0.125 - 0.02) / 0.31  # an eighth of the image
    aspect = math.log(0.5 / 0.3) / math.log(3.3 / 0.3)  # half as high as wide
    numbers[0, [ERASED_AREA, ERASED_ASPECT, ERASED_LEFT, ERASED_TOP]] = torch.tensor([area, aspect, 1.0, 0.0])
    found = augment(images[:1], numbers, only(erasing_probability=1.0))
    erased = torch.zeros(16, 16, dtype=torch.bool)
    erased[:4, 8:] = True
    assert (found[0][:, erased] == 0).all()
    assert torch.allclose(found[0][:, ~erased], floats(images)[0][:, ~erased], atol=1e-6)


def test_erasing_takes_its_share_of_images_and_of_their_area():
    white = torch.full((1000, 40, 40, 3), 255, dtype=torch.uint8)
    grey = (augment(white, draws(0, range(1000), 0), only(erasing_probability=0.4))[:, 0] == 0).float()
    chosen = grey.amax((1, 2)) > 0
    shares = grey[chosen].mean((1, 2))
    assert chosen.float().mean() == pytest.approx(0.4, abs=0.05)
    assert shares.min() > 0.01 and shares.max() < 0.36 and shares.mean() == pytest.approx(0.175, abs=0.02)


def test_full_resolution_keeps_the_image_and_the_lowest_keeps_the_mean(images):
    numbers = torch.zeros(12, DRAWS)
    numbers[:, RESOLUTION] = 1.0
    settings = only(low_resolution_probability=1.0)
    assert torch.allclose(augment(images, numbers, settings), floats(images), atol=1e-5)
    numbers[:, RESOLUTION] = 0.0
    low = augment(images, numbers, settings)
    assert low.var() < 0.2 * floats(images).var()
    assert torch.allclose(low.mean((2, 3)), floats(images).mean((2, 3)), atol=0.1)


def test_low_resolution_equals_resizing_down_and_up(images):
    numbers = torch.zeros(1, DRAWS)
    numbers[0, RESOLUTION] = 0.375  # half of the side
    found = augment(images[:1], numbers, only(low_resolution_probability=1.0))
    resize = torch.nn.functional.interpolate
    expected = resize(
        resize(floats(images[:1]), 8, mode="bilinear", antialias=True), 16, mode="bilinear", antialias=True
    )
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "column, number, pixel, expected",
    [
        (BRIGHTNESS, 0.0, (250, 100, 0), (125, 50, 0)),  # half as bright
        (BRIGHTNESS, 1.0, (100, 100, 200), (150, 150, 255)),
        (CONTRAST, 0.0, (180, 180, 180), (180, 180, 180)),  # a flat image has no contrast to change
        (SATURATION, 1.0, (180, 180, 180), (180, 180, 180)),  # nor a grey one saturation
        (SATURATION, 0.0, (200, 0, 0), (129.9, 29.9, 29.9)),  # half way to its grey, 59.8
    ],
)
def test_a_photometric_change_by_hand(column, number, pixel, expected):
    numbers = torch.full((1, DRAWS), 0.5)
    numbers[0, column] = number
    image = torch.tensor(pixel, dtype=torch.uint8).expand(1, 4, 4, 3)
    changed = augment(image, numbers, only(photometric_probability=1.0))
    assert ((changed[0, :, 2, 2] + 1) * 127.5).tolist() == pytest.approx(expected, abs=0.01)


def test_a_shift_moves_whole_pixels_and_repeats_the_border(images):
    numbers = torch.full((1, DRAWS), 0.5)
    settings, before = only(shift=2 / 16), floats(images[:1])
    assert torch.allclose(augment(images[:1], numbers, settings), before, atol=1e-6)
    numbers[0, [SHIFT_X, SHIFT_Y]] = torch.tensor([0.999, 0.5])  # two pixels along x
    shifted = augment(images[:1], numbers, settings)
    assert torch.allclose(shifted[..., :-2], before[..., 2:], atol=1e-6)
    assert torch.allclose(shifted[..., -1], before[..., -1], atol=1e-6)


def test_a_flip_mirrors_left_and_right_with_a_shift_and_without(images):
    mirrored = floats(images).flip(3)
    numbers = torch.full((12, DRAWS), 0.5)
    for shift in (0.0, 2 / 16):
        assert torch.allclose(augment(images, numbers, only(flip_probability=1.0, shift=shift)), mirrored, atol=1e-6)
