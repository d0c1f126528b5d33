"""Photographs: which face is taken, what a failure is, and that the template's own crop is used."""

import numpy as np
import pytest

from brownid.alignment.faces import Detection, choose_face
from brownid.alignment.photographs import AlignedImage, NotAligned, align_ffhq, align_landmarks, align_photograph
from brownid.alignment.templates import template
from brownid.alignment.warp import warp_image
from brownid.runtime.errors import BrownidError

FIVE = template("arcface", 112) * 2 + 40
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (300, 320, 3), dtype=np.uint8)


class Finds:
    """A detector that always finds the same faces."""

    def __init__(self, *faces):
        self.faces = list(faces)

    def detect(self, image):
        return self.faces


def face(left, top, side, score=0.9, points=FIVE):
    return Detection((left, top, left + side, top + side), score, points)


def test_the_largest_face_is_taken_unless_it_is_far_out():
    central, small, outer = face(80, 80, 140), face(140, 140, 20, 0.99), face(0, 0, 150)
    assert choose_face([small, outer, central], 300, 300) is central
    assert choose_face([small, face(30, 80, 160)], 300, 300).box[2] == 190
    assert choose_face([], 300, 300) is None


def test_of_equal_faces_the_first_is_taken():
    first, second = face(50, 100, 100), face(150, 100, 100)
    assert choose_face([first, second], 300, 300) is first


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("arcface", lambda image: warp_image(image, FIVE, template("arcface", 64), 64)),
        ("two_eye", lambda image: warp_image(image, FIVE[:2], template("two_eye", 64), 64)),
        ("ffhq", lambda image: align_ffhq(image, FIVE, 64)),
        ("ffhq_published", lambda image: align_ffhq(image, FIVE, 64)),
    ],
)
def test_every_template_has_its_own_crop(name, expected):
    result = align_photograph(PHOTOGRAPH, Finds(face(60, 60, 150)), name, 64)
    assert isinstance(result, AlignedImage) and result.face.score == 0.9
    np.testing.assert_array_equal(result.image, expected(PHOTOGRAPH))


def test_two_landmarks_are_the_eyes_in_every_template():
    for name in ("arcface", "ffhq"):
        expected = warp_image(PHOTOGRAPH, FIVE[:2], template(name, 64)[:2], 64)
        np.testing.assert_array_equal(align_landmarks(PHOTOGRAPH, FIVE[:2], name, 64), expected)


def test_a_photograph_without_a_face_is_a_value_with_a_reason():
    assert align_photograph(PHOTOGRAPH, Finds(), "arcface", 112) == NotAligned("no face was detected")


@pytest.mark.parametrize("name", ["arcface", "ffhq"])
def test_a_face_whose_landmarks_are_useless_is_a_value_too(name):
    result = align_photograph(PHOTOGRAPH, Finds(face(60, 60, 150, points=np.full((5, 2), 9.0))), name, 112)
    assert isinstance(result, NotAligned) and "one point" in result.reason


def test_what_concerns_every_photograph_is_an_error():
    with pytest.raises(BrownidError, match="no alignment template 'x'"):
        align_photograph(PHOTOGRAPH, Finds(), "x", 112)
