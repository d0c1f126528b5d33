"""Similarity transforms are exact and proper; photographs are warped without aliasing; bad landmarks are sentences."""

import cv2
import numpy as np
import pytest

from brownid.alignment.templates import template
from brownid.alignment.warp import low_pass_kernel, similarity_from_points, warp_image
from brownid.runtime.errors import BrownidError

FIVE = template("arcface", 112)


def similarity(points, scale, angle, shift):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


@pytest.mark.parametrize("count", [2, 5])
def test_a_similarity_is_recovered_exactly_from_its_points(count):
    moved = similarity(FIVE[:count], 2.5, 0.7, (30, -4))
    matrix = similarity_from_points(FIVE[:count], moved)
    np.testing.assert_allclose(FIVE[:count] @ matrix[:, :2].T + matrix[:, 2], moved, atol=1e-9)
    np.testing.assert_allclose(np.hypot(*matrix[:, 0]), 2.5)


def test_mirrored_landmarks_get_a_proper_similarity_not_a_reflection():
    mirrored = FIVE * (-1, 1) + (112, 0)
    assert np.linalg.det(similarity_from_points(FIVE, mirrored)[:, :2]) > 0


def test_the_fit_is_the_least_squares_one():
    noisy = similarity(FIVE, 1.3, 0.2, (5, 6)) + np.random.default_rng(0).normal(size=(5, 2))
    best = similarity_from_points(FIVE, noisy)

    def error(matrix):
        return ((FIVE @ matrix[:, :2].T + matrix[:, 2] - noisy) ** 2).sum()

    for change in (1e-3, -1e-3):
        assert error(best) < error(best * (1 + change))
        assert error(best) < error(best + np.array([[0, 0, change], [0, 0, 0]]))


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        (np.full((5, 2), 7.0), "one point"),
        (np.array([[0, 0], [1, np.nan], [0, 0], [0, 0], [0, 0]]), "not finite"),
        (FIVE[:2], "2 landmarks cannot be aligned with a template of 5"),
        (FIVE[:1], "at least two points"),
    ],
)
def test_degenerate_landmarks_are_refused_with_a_sentence(landmarks, words):
    with pytest.raises(BrownidError, match=words):
        similarity_from_points(landmarks, FIVE)


def test_a_photograph_is_moved_onto_the_template():
    landmarks = similarity(FIVE, 3.0, 0.3, (60, 40))
    photograph = np.zeros((500, 500, 3), np.uint8)
    x, y = landmarks[0].round().astype(int)
    photograph[y - 2 : y + 3, x - 2 : x + 3] = 255
    aligned = warp_image(photograph, landmarks, FIVE, 112)
    weights = aligned[..., 0].astype(float)
    ys, xs = np.mgrid[:112, :112]
    centre = (xs * weights).sum() / weights.sum(), (ys * weights).sum() / weights.sum()
    np.testing.assert_allclose(centre, FIVE[0], atol=0.3)


def test_a_fine_checkerboard_shrinks_to_grey_in_a_photograph():
    board = (np.indices((448, 448)).sum(axis=0) % 2 * 255).astype(np.uint8)
    aligned = warp_image(np.repeat(board[..., None], 3, axis=2), FIVE * 3.3, FIVE, 112)
    assert np.abs(aligned[5:-5, 5:-5].astype(int) - 128).max() <= 8


@pytest.mark.parametrize("shrink", [2.3, 9.14, 36])
def test_a_shrunk_photograph_keeps_its_brightness(shrink):
    image_size, five = int(28 * shrink), template("arcface", 28)
    photograph = np.full((image_size, image_size, 3), (200, 13, 90), np.uint8)
    aligned = warp_image(photograph, five * shrink, five, 28)
    assert (aligned[1:-1, 1:-1] == (200, 13, 90)).all()


@pytest.mark.parametrize("cycles", [0.6, 0.75, 0.9, 1.0, 1.5, 2.5])  # a target pixel; above 0.5 it would alias
def test_waves_too_fine_for_the_target_vanish(cycles):
    shrink = 1024 / 112
    wave = 127.5 + 127 * np.sin(2 * np.pi * cycles / shrink * np.arange(1024))
    photograph = np.repeat(np.repeat(wave[None, :, None], 1024, axis=0), 3, axis=2).astype(np.uint8)
    aligned = warp_image(photograph, FIVE * shrink, FIVE, 112)[5:-5, 5:-5].astype(float)
    assert aligned.std() / (127 / np.sqrt(2)) < (0.35 if cycles < 0.7 else 0.12)


def test_only_the_part_that_is_seen_decides_and_it_is_what_the_whole_gives():
    photograph = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    landmarks = similarity(FIVE, 2.7, 0.4, (420, 210))
    aligned = warp_image(photograph, landmarks, FIVE, 112)
    matrix = similarity_from_points(landmarks, FIVE)
    kernel = low_pass_kernel(2.7)
    whole = cv2.sepFilter2D(photograph, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    whole = cv2.warpAffine(whole, matrix, (112, 112), flags=cv2.INTER_LINEAR)
    assert np.abs(aligned.astype(int) - whole).max() <= 1
    far = similarity(FIVE, 2.7, 0.4, (1900, 210))
    assert (warp_image(photograph, far, FIVE, 112) == 0).all()


def test_a_photograph_that_is_not_uint8_colour_is_refused():
    with pytest.raises(BrownidError, match="uint8 colour"):
        warp_image(np.zeros((50, 50)), FIVE, FIVE, 112)


def test_the_low_pass_vanishes_as_the_crop_stops_shrinking():
    assert low_pass_kernel(0.5).tolist() == low_pass_kernel(1.0).tolist() == [1.0]
    np.testing.assert_allclose(low_pass_kernel(1.001), [0, 1, 0], atol=3e-3)
    np.testing.assert_allclose(low_pass_kernel(2.0), [0.25, 0.5, 0.25])


def test_templates_scale_with_the_side_and_unknown_names_are_refused():
    np.testing.assert_array_equal(template("two_eye", 112), [[38.2946, 51.6], [73.5318, 51.6]])
    np.testing.assert_allclose(template("ffhq_published", 256), [[94.625, 119.625], [162.125, 119.625]])
    with pytest.raises(BrownidError, match="arcface, two_eye, ffhq, ffhq_published"):
        template("arc", 112)
    with pytest.raises(BrownidError, match="side of 0"):
        template("arcface", 0)
