"""Aligned images move between templates by the templates' known points."""

import numpy as np
import pytest
import torch

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.alignment.warp import realign
from brownid.runtime.errors import BrownidError


def spots(points, image_size, radius=1.5):
    rows, columns = np.mgrid[:image_size, :image_size]
    image = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2)) for x, y in points)
    return np.repeat((255 * image).clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)


def test_the_same_template_at_the_same_side_returns_the_pixels():
    images = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    np.testing.assert_array_equal(realign(images, "arcface", "arcface", 112), images)


@pytest.mark.parametrize(
    ("source", "target", "image_size"),
    [("ffhq_published", "arcface", 112), ("ffhq", "two_eye", 112), ("arcface", "two_eye", 112)],
)
def test_the_eyes_of_one_template_land_on_those_of_the_other(source, target, image_size):
    images = spots(template(source, 256)[:2], 256, 4.0)[None]
    moved = realign(images, source, target, image_size)[0, ..., 0].astype(float)
    rows, columns = np.mgrid[:image_size, :image_size]
    for half, eye in ((columns < image_size / 2, 0), (columns >= image_size / 2, 1)):
        weights = moved * half
        centre = (columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()
        np.testing.assert_allclose(
            centre, template(target, image_size)[eye], atol=0.15
        )  # the arcface eyes are not level


def test_generated_and_genuine_images_are_moved_by_the_same_points():
    images = np.random.default_rng(5).integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)
    crop = FixedCrop(template("ffhq", 128), template("arcface", 56), 128, 56)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    cropped = ((crop(tensor)[0].permute(1, 2, 0) + 1) * 127.5).numpy()
    assert np.abs(realign(images, "ffhq", "arcface", 56)[0] - cropped).max() < 3  # of 255, by rounding


def test_five_known_points_are_all_used():
    images = spots(template("arcface", 224), 224, 3.0)[None]
    expected = spots(template("arcface", 112), 112, 1.5)
    assert np.abs(realign(images, "arcface", "arcface", 112)[0].astype(int) - expected).mean() < 1


def test_a_fine_checkerboard_shrinks_to_grey():
    board = (np.indices((1024, 1024)).sum(axis=0) % 2 * 255).astype(np.uint8)
    moved = realign(np.repeat(board[..., None], 3, axis=2)[None], "ffhq", "arcface", 112)
    assert np.abs(moved[:, 3:-3, 3:-3].astype(int) - 128).max() <= 8


def test_no_images_give_no_images_and_other_kinds_are_refused():
    assert realign(np.empty((0, 112, 112, 3), np.uint8), "arcface", "ffhq", 64).shape == (0, 64, 64, 3)
    with pytest.raises(BrownidError, match=r"uint8 \[number, S, S, 3\], not float64"):
        realign(np.zeros((1, 8, 8, 3)), "arcface", "ffhq", 64)
    with pytest.raises(BrownidError, match="no alignment template 'x'"):
        realign(np.zeros((1, 8, 8, 3), np.uint8), "x", "ffhq", 64)
