"""The within-class covariance of known data is recovered; its file gives it back."""

import dataclasses

import h5py
import numpy as np
import pytest
from sklearn.covariance import OAS

from brownid.covariates import within_class
from brownid.covariates.directions import save_covariates
from brownid.covariates.within_class import fit_within_class, load_within_class, save_within_class, stored_spaces
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


def test_a_known_covariance_is_recovered():
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(6, 6)))[0]
    variances = np.array([9.0, 4, 1, 0, 0, 0])
    persons = np.repeat(np.arange(500), 5)
    spread = random.normal(size=(2500, 6)) * np.sqrt(variances)
    found = fit_within_class(100 * random.normal(size=(500, 6))[persons] + spread @ axes.T, persons)
    assert found.rank == 3
    np.testing.assert_allclose(found.variances, [9, 4, 1], rtol=0.1)
    root = found.root()
    np.testing.assert_allclose(root.T @ root, axes * variances @ axes.T, atol=0.4)


@pytest.mark.parametrize("dimensions", [40, 4])  # more of them than images, and fewer
def test_the_estimate_is_that_of_the_whole_pooled_scatter_matrix(dimensions):
    random = np.random.default_rng(1)
    persons = np.array([0] * 2 + [1] * 5 + [2] * 3)
    latents = random.normal(size=(10, dimensions)) + 10 * random.normal(size=(3, dimensions))[persons]
    centred = latents - np.stack([latents[persons == person].mean(axis=0) for person in persons])
    scatter = centred.T @ centred / (10 - 3)
    found = fit_within_class(latents, persons)
    assert found.rank == min(7, dimensions)
    np.testing.assert_allclose(found.directions.T * found.eigenvalues @ found.directions, scatter, atol=1e-10)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(found.rank), atol=1e-10)
    mean = np.trace(scatter) / dimensions
    np.testing.assert_allclose(found.variances, (1 - found.shrinkage) * found.eigenvalues + found.shrinkage * mean)


def test_order_of_the_images_and_places_of_the_persons_do_not_matter():
    random = np.random.default_rng(2)
    persons = np.repeat(np.arange(4), 6)
    latents, order = random.normal(size=(24, 9)), random.permutation(24)
    moved = 5 * random.normal(size=(4, 9))[persons] + latents
    expected, found = fit_within_class(latents, persons), fit_within_class(moved[order], 7 - persons[order])
    np.testing.assert_allclose(found.variances, expected.variances, rtol=1e-9)
    np.testing.assert_allclose(found.directions, expected.directions, atol=1e-9)


def test_many_persons_are_centred_block_by_block(monkeypatch):
    random = np.random.default_rng(3)
    persons, latents = np.repeat(np.arange(9), 4), random.normal(size=(36, 3))
    whole = fit_within_class(latents, persons)
    monkeypatch.setattr(within_class, "BLOCK", 6)
    np.testing.assert_allclose(fit_within_class(latents, persons).eigenvalues, whole.eigenvalues)


def test_shrinkage_is_that_of_oas_on_samples_of_the_same_scatter():
    """Under Helmert contrasts, two images of a person are one sample: their difference over √2."""
    random = np.random.default_rng(4)
    latents = random.normal(size=(12, 5)) * [3, 2, 1, 1, 1]
    found = fit_within_class(latents, np.repeat(np.arange(6), 2))
    expected = OAS(assume_centered=True).fit((latents[::2] - latents[1::2]) / np.sqrt(2))
    kept = found.directions.T * found.variances @ found.directions  # of full rank: nothing is left out
    assert 0 < found.shrinkage < 1
    np.testing.assert_allclose(np.trace(kept), np.trace(expected.covariance_))
    # scikit-learn drops the term 2 / D of the published weight
    assert found.shrinkage == pytest.approx(expected.shrinkage_, rel=0.2)


def test_shrinkage_adds_no_isotropic_noise():
    """One direction in 300: shrunk, it is still the only one; without structure the variance goes with the mean."""
    latents = np.zeros((8, 300))
    latents[:, 0] = [1, -1, 2, -2, 1, -1, 2, -2]
    found = fit_within_class(latents, np.repeat(np.arange(4), 2))
    assert found.root().shape == (1, 300) and 0 < found.variances[0] < found.eigenvalues[0]
    noise = np.random.default_rng(5).normal(size=(8, 300))
    isotropic = fit_within_class(noise, np.repeat(np.arange(4), 2))
    assert isotropic.shrinkage > 0.9 and isotropic.variances.sum() < 0.2 * isotropic.eigenvalues.sum()


def test_a_share_of_the_variance_takes_the_leading_directions_that_hold_it():
    deviations = np.diag([np.sqrt(6), np.sqrt(3), 1])  # eigenvalues 6, 3 and 1, times one factor
    found = fit_within_class(np.concatenate([deviations, -deviations]), [0, 1, 2, 0, 1, 2])
    np.testing.assert_allclose(found.shares(), [0.6, 0.9, 1])
    assert [found.count(share) for share in (0.5, 0.6, 0.61, 0.9, 1)] == [1, 1, 2, 2, 3]
    np.testing.assert_allclose(np.abs(found.root(0.9)), np.diag(np.sqrt(found.variances))[:2], atol=1e-12)
    for share in (0, 1.01):
        with pytest.raises(BrownidError, match="must lie between 0 and 1"):
            found.root(share)
    few = dataclasses.replace(found, directions=found.directions[:2], variances=found.variances[:2])
    with pytest.raises(BrownidError, match=r"The 2 directions .* hold 0\.9000 of its variance"):
        few.root(0.95)


FOUND = fit_within_class(ON_A_LINE, TWO_PERSONS)


def test_a_file_gives_the_covariance_back(tmp_path):
    path = tmp_path / "within_class.h5"
    save_within_class(path, {"w": FOUND}, generator="world", settings={"iterations": 40})
    loaded = load_within_class(path, generator="world")
    for field in dataclasses.fields(FOUND):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(FOUND, field.name))
    assert stored_spaces(path) == ["w"]
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


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    good, broken = tmp_path / "good.h5", dataclasses.replace(FOUND, directions=2 * FOUND.directions)
    save_within_class(good, {"w": FOUND}, generator="world")
    (tmp_path / "truncated.h5").write_bytes(good.read_bytes()[:1000])
    save_covariates(tmp_path / "covariates.h5", {}, generator="world")
    save_within_class(tmp_path / "broken.h5", {"w": broken}, generator="world")
    save_within_class(tmp_path / "incomplete.h5", {"w": FOUND}, generator="world")
    with h5py.File(tmp_path / "incomplete.h5", "a") as file:
        del file["w"].attrs["shrinkage"]
    for name in ("truncated", "covariates", "broken", "incomplete", "missing"):
        with pytest.raises(BrownidError, match=f"{name}.h5"):
            load_within_class(tmp_path / f"{name}.h5")
