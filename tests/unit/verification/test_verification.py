"""Verification: folds, thresholds chosen elsewhere, and cases that one can solve by hand."""

import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.verification.accuracy import (
    THRESHOLDS,
    _stratified,
    fold_decisions,
    folded_accuracy,
    squared_distances,
    verification_accuracy,
)


def unit(n, dimension=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, dimension))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_squared_distances_of_unit_vectors_run_from_0_to_4():
    first = np.array([[1.0, 0], [1, 0], [1, 0], [2, 0]])
    second = np.array([[1.0, 0], [0, 1], [-1, 0], [5, 0]])
    np.testing.assert_allclose(squared_distances(first, second), [0, 2, 4, 0])


def test_there_are_400_thresholds_from_0_in_steps_of_a_hundredth():
    assert len(THRESHOLDS) == 400
    np.testing.assert_allclose(THRESHOLDS[[0, 1, 399]], [0, 0.01, 3.99])


def test_equal_genuine_and_orthogonal_impostor_pairs_are_all_verified():
    embeddings = np.eye(20)
    same = np.array([True, False] * 10)
    second = np.where(same[:, None], embeddings, np.roll(embeddings, 1, axis=0))
    result = verification_accuracy(embeddings, second, same)
    assert result.accuracy == 1 and result.std == 0
    np.testing.assert_allclose(result.thresholds, 0.01)  # the smallest that accepts distance 0: below, not equal


def test_accuracies_and_thresholds_are_those_worked_out_by_hand():
    """Two folds of three. Fold 0 alone is best from 0.51 on to 1, fold 1 alone from 1.51 to 2."""
    distances = np.array([0.5, 0.2, 1.0, 1.5, 1.2, 2.0])
    same = np.array([True, True, False] * 2)
    result = folded_accuracy(distances, same, folds=2)
    np.testing.assert_allclose(result.thresholds, [1.51, 0.51])
    np.testing.assert_allclose(result.accuracies, [2 / 3, 1 / 3])
    assert result.accuracy == pytest.approx(0.5)
    assert result.std == pytest.approx(1 / 6)
    assert result.threshold == pytest.approx(1.01)


def test_the_weighted_decisions_of_the_pairs_add_up_to_the_accuracy():
    distances = np.array([0.5, 0.2, 1.0, 1.5, 1.2, 2.0])
    correct, weights = fold_decisions(distances, [True, True, False] * 2, folds=2)
    np.testing.assert_array_equal(correct, [True, True, False, False, False, True])
    np.testing.assert_allclose(weights, 1 / 6)
    random = np.random.default_rng(0)
    distances, same = 4 * random.random(47), random.random(47) < 0.5
    correct, weights = fold_decisions(distances, same)  # folds of five and of four pairs
    assert weights @ correct == pytest.approx(folded_accuracy(distances, same).accuracy)


def test_a_threshold_chosen_on_the_judged_fold_too_would_score_higher():
    """The two folds above: by its own best threshold each is perfect, by the best one of all pairs 5 of 6 are right."""
    distances = np.array([0.5, 0.2, 1.0, 1.5, 1.2, 2.0])
    same = np.array([True, True, False] * 2)
    right = (distances[None] < THRESHOLDS[:, None]) == same
    assert right[:, :3].mean(axis=1).max() == right[:, 3:].mean(axis=1).max() == 1
    assert right.mean(axis=1).max() == pytest.approx(5 / 6)
    assert folded_accuracy(distances, same, folds=2).accuracy == pytest.approx(1 / 2)


def test_the_pairs_of_a_fold_do_not_move_its_own_threshold():
    random = np.random.default_rng(0)
    distances, same = random.random(100) * 4, random.random(100) < 0.5
    changed = distances.copy()
    changed[:10] = 4 - changed[:10]
    assert folded_accuracy(changed, same).thresholds[0] == folded_accuracy(distances, same).thresholds[0]


def test_swapping_the_images_of_pairs_changes_nothing():
    first, second = unit(60), unit(60, seed=1)
    same = np.random.default_rng(2).random(60) < 0.5
    forth, back = verification_accuracy(first, second, same), verification_accuracy(second, first, same)
    np.testing.assert_array_equal(forth.accuracies, back.accuracies)
    np.testing.assert_array_equal(forth.thresholds, back.thresholds)


def test_the_length_of_an_embedding_does_not_matter():
    first, second = unit(40), unit(40, seed=1)
    same = np.arange(40) % 2 == 0
    scaled = verification_accuracy(first * np.linspace(1, 9, 40)[:, None], second * 3, same)
    assert scaled.accuracy == verification_accuracy(first, second, same).accuracy


def test_embeddings_that_know_nothing_score_near_one_half():
    same = np.arange(6000) % 2 == 0
    assert abs(verification_accuracy(unit(6000), unit(6000, seed=1), same).accuracy - 0.5) < 0.03


def test_the_fast_count_equals_the_definition():
    random = np.random.default_rng(3)
    distances, same = np.round(random.random(97) * 4, 2), random.random(97) < 0.5
    result = folded_accuracy(distances, same, folds=7)
    folds = np.array_split(np.arange(97), 7)
    for fold, accuracy, threshold in zip(folds, result.accuracies, result.thresholds, strict=True):
        others = np.setdiff1d(np.arange(97), fold)
        scores = [((distances[others] < t) == same[others]).mean() for t in THRESHOLDS]
        assert threshold == THRESHOLDS[int(np.argmax(scores))]
        assert accuracy == pytest.approx(((distances[fold] < threshold) == same[fold]).mean())


@pytest.mark.parametrize(
    ("first", "second", "same", "message"),
    [
        (unit(10), unit(9), [True] * 10, "shape"),
        (unit(10), unit(10), [True] * 9, "9 same/different labels"),
        (unit(9), unit(9), [True] * 9, "9 pairs cannot be cut into 10 folds"),
        (np.zeros((10, 4)), unit(10, 4), [True] * 10, "Embedding 0 is zero or not finite"),
        (np.full((10, 4), np.nan), unit(10, 4), [True] * 10, "not finite"),
        (unit(10)[0], unit(10)[0], [True], "expected"),
    ],
)
def test_what_cannot_be_verified_is_refused(first, second, same, message):
    with pytest.raises(BrownidError, match=message):
        verification_accuracy(first, second, same)


def drawn(same, seed=0):
    """Squared distances of pairs, impostors a little further apart; both kinds overlap."""
    random = np.random.default_rng(seed)
    return np.where(same, random.normal(1.2, 0.2, len(same)), random.normal(1.5, 0.2, len(same))).clip(0, 4)


def test_pairs_sorted_by_label_get_a_note_a_warning_and_a_stratified_accuracy_that_no_order_changes_much(caplog):
    same = np.arange(2000) < 1000
    distances, order = drawn(same), np.random.default_rng(1).permutation(2000)
    sorted_pairs, shuffled = (
        folded_accuracy(distances, same, name="own.bin"),
        folded_accuracy(distances[order], same[order]),
    )
    assert sorted_pairs.accuracy < shuffled.accuracy - 0.01
    assert sorted_pairs.stratified_accuracy == pytest.approx(shuffled.accuracy, abs=0.015)
    assert "in the 10 contiguous folds runs from 0.00 to 1.00 (0.50 in all)" in sorted_pairs.note
    assert caplog.text.count("own.bin: the share of genuine pairs") == 1
    assert shuffled.note is None


def test_in_the_published_order_of_lfw_the_stratified_folds_are_the_contiguous_ones(caplog):
    same = np.tile(np.arange(600) < 300, 10)
    result = folded_accuracy(drawn(same), same)
    np.testing.assert_array_equal(result.stratified, result.accuracies)
    assert result.note is None and not caplog.text


@pytest.mark.parametrize("pairs", [40, 100, 600, 6000, 6007])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_sorted_pairs_are_noticed_and_random_orders_are_not_whatever_their_number_and_balance(pairs, share):
    same = np.arange(pairs) < share * pairs
    distances = drawn(same)
    assert folded_accuracy(distances, same).note and folded_accuracy(distances, same[::-1]).note
    for seed in range(20):
        assert folded_accuracy(distances, np.random.default_rng(seed).permutation(same)).note is None


def test_twenty_pairs_sorted_by_label_are_noticed_and_twelve_could_be_so_by_chance():
    same = np.arange(20) < 10
    assert "from 0.00 to 1.00" in folded_accuracy(drawn(same), same).note
    assert folded_accuracy(drawn(same[4:16]), same[4:16]).note is None
    for seed in range(20):
        assert folded_accuracy(drawn(same), np.random.default_rng(seed).permutation(same)).note is None


def test_one_fold_of_one_kind_among_balanced_ones_is_noticed():
    same = np.arange(6000) % 2 == 0
    same[1200:1800] = True
    assert "to 1.00 (0.55 in all)" in folded_accuracy(drawn(same), same).note


def test_small_differences_between_many_pairs_are_not_far():
    """Folds of 48 and 52 per cent: no chance among 60 000 pairs, but of no weight either."""
    same = np.concatenate([np.random.default_rng(0).permutation(np.arange(6000) < n) for n in (2880, 3120) * 5])
    assert folded_accuracy(drawn(same), same).note is None


@pytest.mark.parametrize(("genuine", "impostors"), [(10, 0), (0, 10), (3, 8), (5, 5), (1, 40), (23, 4), (601, 601)])
def test_stratified_folds_are_of_one_size_none_empty_and_hold_every_pair_once(genuine, impostors):
    same = np.array([True] * genuine + [False] * impostors)
    folds = _stratified(same, 10)
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(same)))
    assert {len(fold) for fold in folds} <= {len(same) // 10, len(same) // 10 + 1, len(same) // 10 + 2} - {0}
    assert {same[fold].sum() for fold in folds} <= {genuine // 10, genuine // 10 + 1}
    result = folded_accuracy(np.where(same, 0.5, 1.5), same)
    assert np.isfinite(result.stratified).all()


def test_pairs_of_one_kind_have_no_shares_to_differ():
    assert folded_accuracy(np.ones(20), np.ones(20, bool)).note is None


@pytest.mark.parametrize("distance", [np.nan, np.inf])
def test_distances_that_are_no_numbers_are_refused_and_not_counted_as_different(distance):
    distances = np.ones(20)
    distances[7] = distance
    with pytest.raises(BrownidError, match="distance of pair 7 is not finite"):
        folded_accuracy(distances, np.arange(20) % 2 == 0)
