"""Boxes: overlap by hand, corrections in shares, squares on whole pixels."""

import numpy as np

from brownid.alignment.faces import corrected, squared, suppress_overlaps

BOXES = np.array(
    [
        (0, 0, 10, 10),
        (5, 0, 15, 10),  # shares 50 of a union of 150 with the first
        (0, 0, 10, 4),  # lies in the first: 40 of a union of 100, but all of itself
        (30, 30, 40, 40),
    ],
    dtype=float,
)
SCORES = np.array([0.9, 0.8, 0.7, 0.95])


def test_boxes_that_share_more_than_allowed_of_their_union_with_a_better_one_go():
    assert suppress_overlaps(BOXES, SCORES, 0.5).tolist() == [3, 0, 1, 2]
    assert suppress_overlaps(BOXES, SCORES, 0.35).tolist() == [3, 0, 1]
    assert suppress_overlaps(BOXES, SCORES, 0.3).tolist() == [3, 0]


def test_a_small_box_inside_a_better_one_goes_when_the_smaller_counts():
    assert suppress_overlaps(BOXES, SCORES, 0.7, of_smaller=True).tolist() == [3, 0, 1]


def test_a_box_that_went_removes_no_other():
    row = np.array([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)], dtype=float)
    assert suppress_overlaps(row, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_of_equal_scores_the_first_stays_and_nothing_stays_of_nothing():
    same = np.tile(BOXES[:1], (3, 1))
    assert suppress_overlaps(same, np.ones(3), 0.5).tolist() == [0]
    assert suppress_overlaps(np.empty((0, 4)), np.empty(0), 0.5).tolist() == []


def test_corrections_are_shares_of_width_and_height():
    moved = corrected(np.array([(10.0, 20, 30, 60)]), np.array([(0.1, -0.1, 0.5, 0.25)]))
    np.testing.assert_allclose(moved, [(12, 16, 40, 70)])


def test_squares_keep_the_centre_and_the_longer_side_on_whole_pixels():
    np.testing.assert_array_equal(squared(np.array([(10.0, 20, 30, 60)])), [(0, 20, 40, 60)])
    square = squared(np.array([(0.3, 0.4, 7.9, 5.2)]))
    np.testing.assert_array_equal(square, square.round())
    np.testing.assert_array_equal(square[:, 2:] - square[:, :2], 8)
    np.testing.assert_array_equal(
        squared(np.array([(5.0, 5, 5, 5)]))[:, 2:] - 1, squared(np.array([(5.0, 5, 5, 5)]))[:, :2]
    )
