"""Images of a database come to the wanted template by a resize, from another template, or by their landmarks."""

import numpy as np
import pytest

from brownid.alignment.faces import Detection
from brownid.alignment.photographs import align_landmarks
from brownid.alignment.templates import template
from brownid.alignment.warp import realign
from brownid.databases import reading
from brownid.databases.index import Sample
from brownid.databases.reading import five_of_68, image_aligner, landmark_points, landmark_text, squared
from brownid.runtime.errors import BrownidError

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
POINTS = template("arcface", 60) + 25
WITHOUT = Sample("a", "a.png", 0)
WITH = Sample("a", "a.png", 0, {"landmarks": landmark_text(POINTS)})
PHOTOGRAPHS = {"to": "arcface", "template": None}


class Finder:
    """Finds the face in images that are not black."""

    def detect(self, image):
        return [Detection((30, 30, 80, 80), 0.9, POINTS)] if image.any() else []


@pytest.fixture
def specs(monkeypatch):
    opened = []
    monkeypatch.setattr(reading, "detector", lambda *arguments: opened.append(arguments) or Finder())
    return opened


def test_aligned_crops_are_resized():
    assert image_aligner(None, 40, None)(IMAGE, WITH).shape == (40, 40, 3)


def test_crops_on_another_template_are_moved():
    align = image_aligner({"to": "two_eye", "template": "ffhq"}, 40, None)
    np.testing.assert_array_equal(align(IMAGE, WITH), realign(IMAGE[None], "ffhq", "two_eye", 40)[0])
    with pytest.raises(BrownidError, match=r"120 x 100 pixels.* set `not_square`"):
        align(IMAGE[:100], WITHOUT)


@pytest.mark.parametrize("alignment", [None, {"to": "two_eye", "template": "arcface"}])
@pytest.mark.parametrize("how", ["pad", "stretch", "crop"])
def test_crops_that_are_not_square_become_so_before_they_are_moved(alignment, how):
    square = squared(IMAGE[:, :100], how)
    expected = image_aligner(alignment, 40)(square, WITHOUT)
    np.testing.assert_array_equal(image_aligner(alignment, 40, not_square=how)(IMAGE[:, :100], WITHOUT), expected)


def test_landmarks_of_the_index_come_before_detection(specs):
    align = image_aligner(PHOTOGRAPHS, 40, {"family": "yunet", "file": "f"})
    expected = align_landmarks(IMAGE, landmark_points(landmark_text(POINTS)), "arcface", 40)
    black = np.zeros_like(IMAGE)
    np.testing.assert_array_equal(align(IMAGE, WITH), expected)
    assert align(black, WITH).shape == (40, 40, 3)
    with pytest.raises(BrownidError, match="no face was detected"):
        align(black, WITHOUT)
    np.testing.assert_array_equal(align(IMAGE, WITHOUT), align_landmarks(IMAGE, POINTS, "arcface", 40))
    assert specs == [({"family": "yunet", "file": "f"},)]


def test_without_landmarks_and_detector_an_image_fails_with_the_reason():
    align = image_aligner(PHOTOGRAPHS, 40, None)
    with pytest.raises(BrownidError, match="no landmarks of it, and no detector"):
        align(IMAGE, WITHOUT)
    with pytest.raises(BrownidError, match="'1,2' in the index are not five points"):
        align(IMAGE, Sample("a", "a.png", 0, {"landmarks": "1,2"}))


def test_five_landmarks_stand_for_68():
    points = np.zeros((68, 2))
    points[36:42] = np.arange(12).reshape(6, 2)
    points[[30, 48, 54]] = [(1, 2), (3, 4), (5, 6)]
    assert five_of_68(points).tolist() == [[5, 6], [0, 0], [1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("wanted", ["arcface", "two_eye", "ffhq"])
@pytest.mark.parametrize("size", [1e5, 1e9, 1e30, 1e300])
def test_landmarks_far_off_the_image_are_a_failure_of_that_image(wanted, size):
    align = image_aligner({"to": wanted, "template": None}, 40, None)
    one = POINTS.copy()
    one[1, 0] = size  # an eye, which every template looks at
    for points in (POINTS * size, POINTS + size, one):
        with pytest.raises(BrownidError):
            align(IMAGE, Sample("a", "a.png", 0, {"landmarks": landmark_text(points)}))
