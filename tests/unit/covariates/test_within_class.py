"""The within-class covariance of known data is recovered; its file gives it back."""

import dataclasses

import numpy as np
import pytest

from brownid.covariates.directions import load_covariates, save_covariates
from brownid.covariates.within_class import fit_within_class, load_within_class
from brownid.runtime.errors import BrownidError

ON_A_LINE = np.array([[-1.0, 0, 5], [1, 0, 5], [8, 2, 0], [8, 2, 0], [12, 2, 0], [12, 2, 0]])  # along the first axis
TWO_PERSONS = [4, 4, 9, 9, 9, 9]


def test_two_persons_on_a_line_have_one_direction_and_its_pooled_variance():
    found = fit_within_class(ON_A_LINE, TWO_PERSONS)
    np.testing.assert_allclose(found.directions, [[1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(found.eigenvalues, [(1 + 1 + 4 * 4) / (6 - 2)])
    assert (found.rank, found.persons, found.images, found.fewest_images, found.most_images) == (1, 2, 6, 2, 4)


def test_persons_with_one_image_are_left_out_and_counted():
    alone = np.vstack([ON_A_LINE, [[100.0, 100, 100]]])
    found = fit_within_class(alone, [*TWO_PERSONS, 1])
    np.testing.assert_allclose(found.eigenvalues, fit_within_class(ON_A_LINE, TWO_PERSONS).eigenvalues)
    assert (found.excluded_persons, found.persons, found.images) == (1, 2, 6)


@pytest.mark.parametrize(
    ("latents", "persons", "words"),
    [
        (ON_A_LINE, [1, 1, 2, 3, 4, 5], "5 persons, 1 of them"),
        (ON_A_LINE, [1] * 6, "1 persons, 1 of them"),
        (ON_A_LINE[:0], [], "0 persons, 0 of them"),
        (np.ones((4, 3)), [1, 1, 2, 2], "same latents"),
        (np.full((4, 3), np.nan), [1, 1, 2, 2], "not finite"),
        (ON_A_LINE, [1, 2], "do not fit"),
    ],
)
def test_too_few_persons_or_images_are_refused_with_a_sentence(latents, persons, words):
    with pytest.raises(BrownidError, match=words):
        fit_within_class(latents, persons)


def test_a_file_gives_the_covariance_back(tmp_path):
    path, found = tmp_path / "covariates.h5", fit_within_class(ON_A_LINE, TWO_PERSONS)
    save_covariates(path, {}, generator="world", within_class={"w": found})
    loaded = load_within_class(path, generator="world")
    for field in dataclasses.fields(found):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(found, field.name))
    assert load_covariates(path) == {}
    with pytest.raises(BrownidError, match="no within-class covariance of the space w_plus"):
        load_within_class(path, space="w_plus")
    with pytest.raises(BrownidError, match="'world', not to 'other'"):
        load_within_class(path, generator="other")


def test_the_leading_directions_are_told_by_number_or_by_the_variance_that_they_hold():
    axes = np.repeat(np.diag([3.0, 2, 1, 0]), 2, axis=0) * np.array([1, -1] * 4)[:, None]
    found = fit_within_class(axes, [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(found.leading(directions=2), found.directions[:2])
    np.testing.assert_array_equal(found.leading(variance_share=13 / 14), found.directions[:2])
    for wrong in ({"directions": 0}, {"directions": 4}, {"directions": 1, "variance_share": 0.5}, {}):
        with pytest.raises(BrownidError, match="leading within-class directions"):
            found.leading(**wrong)
