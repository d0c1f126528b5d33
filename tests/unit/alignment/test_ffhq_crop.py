"""The oriented crop of FFHQ: its square by hand, the same face whatever the photograph, and what is beyond its edge."""

import numpy as np
import pytest

from brownid.alignment.photographs import align_ffhq, oriented_square
from brownid.runtime.errors import BrownidError

FACE = np.array([(-32.0, 0), (32, 0), (0, 40), (-22, 70), (22, 70)])  # eyes 64 apart, mouth 70 below


def placed(scale=1.0, angle=0.0, shift=(0, 0)):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * FACE @ turn.T + shift


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width].astype(float)
    waves = [np.sin(columns / 31), np.cos(rows / 23), np.sin((rows + columns) / 37)]
    return (127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def spot_at(point, image_size, radius):
    rows, columns = np.mgrid[:image_size, :image_size]
    spot = 255 * np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / (2 * radius**2))
    return np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)


def centre_of(image):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = image[..., 0].astype(float)
    return (columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()


def test_the_square_of_an_upright_face_is_that_of_the_dataset():
    centre, across = oriented_square(placed(shift=(132, 100)))
    np.testing.assert_allclose(centre, (132, 107))  # a tenth of the way to the mouth
    np.testing.assert_allclose(across, (128, 0))  # twice the eyes' distance, which beats 1.8 times 70


@pytest.mark.parametrize(("scale", "angle", "image_size"), [(1.0, 0.0, 256), (1.5, 0.6, 128), (6.0, -0.3, 128)])
def test_an_eye_lands_on_its_place_whatever_size_and_turn_the_face_has(scale, angle, image_size):
    landmarks = placed(scale, angle, (scale * 131.3, scale * 129.6))
    aligned = align_ffhq(spot_at(landmarks[0], int(scale * 260), 5 * scale), landmarks, image_size)
    share = (0.5 - 32 / 256, 0.5 - 7 / 256)  # in a square of 256 about a centre 7 below the eyes
    np.testing.assert_allclose(centre_of(aligned), np.array(share) * image_size - 0.5, atol=0.1)


def test_the_68_landmarks_of_the_metadata_give_the_crop_of_the_five():
    five = placed(1.2, 0.2, (300, 280))
    many = np.full((68, 2), np.nan)
    ring = np.array([(np.cos(t), np.sin(t)) for t in np.arange(6) * np.pi / 3])
    many[36:42], many[42:48], many[48], many[54] = five[0] + 8 * ring, five[1] + 6 * ring, five[3], five[4]
    many[np.isnan(many)] = 7.0  # chin, brows, nose and lips are not looked at
    photograph = smooth(600, 600)
    np.testing.assert_array_equal(align_ffhq(photograph, many, 128), align_ffhq(photograph, five, 128))


def test_inside_the_photograph_padding_changes_nothing():
    photograph, landmarks = smooth(600, 600), placed(1, 0.3, (300, 280))
    whole = align_ffhq(photograph, landmarks, 128)
    np.testing.assert_array_equal(whole, align_ffhq(photograph, landmarks, 128, padding=False))


def test_beyond_the_photograph_the_crop_mirrors_and_fades_instead_of_being_black():
    photograph, landmarks = smooth(300, 300), placed(1, 0.0, (60, 150))
    padded, plain = align_ffhq(photograph, landmarks, 128), align_ffhq(photograph, landmarks, 128, padding=False)
    beyond = (plain == 0).all(axis=2)
    assert 0.2 < beyond.mean() < 0.4
    assert padded[beyond].min() > 10
    assert np.abs(padded[:, 75:].astype(int) - plain[:, 75:]).max() <= 1  # far inside
    sharpness = np.abs(np.diff(padded.astype(int), axis=0)).mean(axis=(0, 2))
    assert sharpness[5] < sharpness[40] / 2  # blurred far out


def test_a_photograph_smaller_than_its_padding_keeps_a_constant_colour():
    photograph = np.full((90, 40, 3), (10, 120, 240), np.uint8)
    aligned = align_ffhq(photograph, placed(0.5, 0.1, (20, 30)), 64)
    assert np.abs(aligned.astype(int) - (10, 120, 240)).max() <= 1


def test_a_large_photograph_is_antialiased():
    board = (np.indices((1200, 1200)).sum(axis=0) % 2 * 255).astype(np.uint8)
    aligned = align_ffhq(np.repeat(board[..., None], 3, axis=2), placed(3.6, 0.1, (600, 550)), 64)
    assert np.abs(aligned.astype(int) - 127.5).max() < 8


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        (placed(shift=(5000, 0)), "off the image of 300 x 300"),
        (placed()[:4], "needs 5 or 68 landmarks, not 4"),
        (placed(0.001), "no face"),
    ],
)
def test_landmarks_that_give_no_square_are_refused(landmarks, words):
    with pytest.raises(BrownidError, match=words):
        align_ffhq(smooth(300, 300), landmarks, 64)
