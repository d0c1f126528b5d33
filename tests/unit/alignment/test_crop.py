"""The fixed crop puts eyes on eyes, is differentiable and antialiased, and treats images as the warp does."""

import numpy as np
import pytest
import torch

from brownid.alignment.crop import FixedCrop
from brownid.alignment.templates import template
from brownid.alignment.warp import similarity_from_points, warp_image
from brownid.runtime.errors import BrownidError

FFHQ_TO_112 = FixedCrop(template("ffhq", 256), template("arcface", 112), 256, 112)


def test_the_padding_that_can_be_compiled_is_the_same_to_the_last_bit(monkeypatch):
    images = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1)).requires_grad_()
    results = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        crops = FFHQ_TO_112(images)
        results.append((crops, *torch.autograd.grad(crops.square().sum(), images)))
    assert all(torch.equal(*both) for both in zip(*results, strict=True))


def blob(x, y, side, width):
    """A bright spot at (x, y) on black, `[1, 3, side, side]`."""
    rows = torch.arange(side, dtype=torch.float32)
    spot = torch.exp(-((rows[None, :] - x) ** 2 + (rows[:, None] - y) ** 2) / (2 * width**2))
    return (2 * spot - 1).expand(1, 3, -1, -1)


def centre_of(image):
    weights = (image[0, 0].double() + 1) / 2
    rows = torch.arange(weights.shape[0], dtype=torch.float64)
    return float((weights.sum(0) * rows).sum() / weights.sum()), float((weights.sum(1) * rows).sum() / weights.sum())


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (((95.0, 120.0), (162.5, 120.0)), template("two_eye", 112)),  # shrinks
        (((110.0, 120.0), (130.0, 125.0)), template("two_eye", 112)),  # grows and turns
    ],
)
def test_eyes_land_on_eyes(source, target):
    crop = FixedCrop(source, target, 256, 112)
    for eye, wanted in zip(source, target, strict=True):
        np.testing.assert_allclose(centre_of(crop(blob(*eye, 256, 3.0))), wanted, atol=0.02)


def test_five_landmarks_land_as_near_to_the_template_as_a_similarity_can():
    source, target = template("ffhq", 256), template("arcface", 112)
    best = np.column_stack([source, np.ones(5)]) @ similarity_from_points(source, target).T
    assert np.abs(best - target).max() < 3  # FFHQ's mean face and ArcFace's have other proportions
    crop = FixedCrop(source, target, 256, 112)
    for point, wanted in zip(source, best, strict=True):
        np.testing.assert_allclose(centre_of(crop(blob(*point, 256, 3.0))), wanted, atol=0.02)


def test_the_published_crop_puts_its_eyes_on_the_eyes_of_the_template():
    source, target = template("ffhq_published", 256), template("two_eye", 112)
    crop = FixedCrop(source, target, 256, 112)
    for eye, wanted in zip(source, target, strict=True):
        np.testing.assert_allclose(centre_of(crop(blob(*eye, 256, 3.0))), wanted, atol=0.02)


def test_the_identity_transform_returns_its_input():
    eyes = template("two_eye", 56)
    images = torch.rand(2, 3, 56, 56)
    assert FixedCrop(eyes, eyes, 56, 56)(images) is images


def test_the_gradient_agrees_with_finite_differences():
    crop = FixedCrop(((5.2, 6.1), (9.8, 6.4)), ((2.1, 2.6), (4.9, 2.6)), 16, 8)
    images = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(crop, (images,), atol=1e-6)


def test_a_fine_checkerboard_shrinks_to_grey():
    board = torch.from_numpy(np.indices((256, 256)).sum(axis=0) % 2 * 2.0 - 1).float().expand(1, 3, -1, -1)
    assert FFHQ_TO_112(board)[..., 3:-3, 3:-3].abs().max() < 0.06


def test_a_constant_image_keeps_its_colour():
    torch.testing.assert_close(FFHQ_TO_112(torch.full((1, 3, 256, 256), 0.3)), torch.full((1, 3, 112, 112), 0.3))


def test_beyond_the_source_image_the_crop_is_black():
    crop = FixedCrop(((0.0, 30.0), (35.0, 30.0)), template("two_eye", 112), 64, 112)
    assert crop(torch.ones(1, 3, 64, 64))[0, :, 50, 0].tolist() == [-1.0] * 3


def test_generated_and_genuine_images_are_aligned_alike():
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    cropped = ((FFHQ_TO_112(tensor)[0].permute(1, 2, 0) + 1) * 127.5).numpy()
    warped = warp_image(image, template("ffhq", 256), template("arcface", 112), 112)
    assert np.abs(cropped - warped).max() < 4  # OpenCV interpolates in steps of 1/32 pixel


def test_half_precision_images_are_cropped_in_full_precision():
    images = torch.rand(1, 3, 256, 256).bfloat16()
    torch.testing.assert_close(FFHQ_TO_112(images), FFHQ_TO_112(images.float()))


def test_the_crop_of_an_image_does_not_depend_on_its_batch():
    images = torch.rand(3, 3, 256, 256)
    torch.testing.assert_close(FFHQ_TO_112(images)[1:2], FFHQ_TO_112(images[1:2]))


def test_images_of_another_side_are_refused():
    with pytest.raises(BrownidError, match="256 x 256 pixels, but got 128 x 128"):
        FFHQ_TO_112(torch.zeros(1, 3, 128, 128))
