"""The ROC curve against scikit-learn and against small cases worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from brownid.runtime.errors import BrownidError
from brownid.verification.error_rates import d_prime, equal_error_rate, mean_roc, roc, tar_at_far


@pytest.mark.parametrize("decimals", [1, 8])
def test_the_curve_is_that_of_scikit_learn_with_and_without_ties(decimals):
    random = np.random.default_rng(0)
    same = random.random(500) < 0.4
    scores = np.round(random.standard_normal(500) + same, decimals)
    curve = roc(scores, same)
    false_accept, true_accept, thresholds = roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_accept, false_accept)
    np.testing.assert_allclose(curve.true_accept, true_accept)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert curve.area == pytest.approx(roc_auc_score(same, scores))
    assert curve.corners().area == pytest.approx(curve.area)
    assert len(curve.corners().thresholds) < len(curve.thresholds)


def test_separated_scores_have_area_one_and_no_error():
    curve = roc([0.9, 0.8, 0.2, 0.1], [True, True, False, False])
    assert curve.area == 1
    assert equal_error_rate(curve) == 0
    assert tar_at_far(curve, [0.5])[0].tar == 1


def test_inverted_scores_have_area_zero_and_only_errors():
    curve = roc([0.1, 0.2, 0.8, 0.9], [True, True, False, False])
    assert curve.area == 0
    assert equal_error_rate(curve) == 1


def test_equal_scores_for_everybody_are_chance():
    curve = roc([0.5] * 6, [True, False] * 3)
    assert curve.area == 0.5
    assert equal_error_rate(curve) == 0.5
    assert tar_at_far(curve, [0.5])[0].tar == 0


def test_rates_of_a_small_list_are_those_counted_by_hand():
    """Descending: G G I G I G I I; one of four impostors stands above the third genuine pair."""
    same = np.array([True, True, False, True, False, True, False, False])
    curve = roc(np.arange(8, 0, -1), same)
    quarter, half, all_of_them = tar_at_far(curve, [0.25, 0.5, 1.0])
    assert (quarter.tar, quarter.threshold) == (0.75, 5)
    assert (half.tar, half.threshold) == (1.0, 3)
    assert all_of_them.tar == 1
    assert equal_error_rate(curve) == 0.25


def test_a_tie_is_accepted_as_a_whole_or_not_at_all():
    curve = roc([3, 2, 2, 2, 1, 1], [True, True, False, False, True, False])
    (entry,) = tar_at_far(curve, [0.34])
    assert (entry.tar, entry.threshold) == (pytest.approx(1 / 3), 3)


def test_a_rate_that_needs_more_impostors_is_nan_and_says_how_many():
    scores, same = np.random.default_rng(0).random(600), np.arange(600) % 2 == 0
    measured, unmeasured = tar_at_far(roc(scores, same), [1 / 300, 0.001])
    assert measured.measurable and np.isfinite(measured.tar)
    assert not unmeasured.measurable and np.isnan(unmeasured.tar) and np.isnan(unmeasured.threshold)
    assert (unmeasured.impostors_needed, unmeasured.impostors) == (1000, 300)


def test_a_thousand_impostors_are_enough_for_a_thousandth():
    scores = np.concatenate([np.arange(1000), [998.5]])
    same = np.arange(1001) == 1000
    (entry,) = tar_at_far(roc(scores, same), [0.001])
    assert (entry.tar, entry.threshold) == (1, 998.5)


@pytest.mark.parametrize(
    ("scores", "same", "message"),
    [
        ([1, 2], [True], "a score and a label"),
        ([1, 2], [True, True], "2 genuine and 0 impostors"),
        ([1, np.nan], [True, False], "finite"),
    ],
)
def test_scores_without_a_curve_are_refused(scores, same, message):
    with pytest.raises(BrownidError, match=message):
        roc(scores, same)


@pytest.mark.parametrize("rate", [0, -0.1, 1.5])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(BrownidError, match="rate"):
        tar_at_far(roc([1, 2], [True, False]), [rate])


def test_four_pairs_have_the_error_rates_counted_by_hand():
    """Descending: genuine 0.9, impostor 0.7, genuine 0.5, impostor 0.1; with FMR 1/2 every genuine pair is accepted."""
    scores, same = [0.9, 0.7, 0.5, 0.1], [True, False, True, False]
    curve = roc(scores, same)
    (entry,) = tar_at_far(curve, [0.5])
    assert (entry.tar, entry.fnmr) == (1, 0)
    assert curve.area == 0.75  # of four comparisons of a genuine with an impostor pair three are right
    assert equal_error_rate(curve) == 0.5
    # means 0.7 and 0.4, variances 0.04 and 0.09
    assert d_prime(scores, same) == pytest.approx(0.3 / np.sqrt(0.065))


def test_d_prime_of_two_normal_distributions_is_that_of_their_parameters():
    random = np.random.default_rng(0)
    same = np.arange(200_000) % 2 == 0
    scores = np.where(same, random.normal(0.6, 0.1, len(same)), random.normal(0.1, 0.2, len(same)))
    assert d_prime(scores, same) == pytest.approx(0.5 / np.sqrt((0.01 + 0.04) / 2), rel=0.01)
    assert d_prime(7 * scores - 3, same) == pytest.approx(d_prime(scores, same))
    assert d_prime([1, 1, 0, 0], [True, True, False, False]) == float("inf")


def test_the_mean_of_two_curves_is_that_of_their_true_accept_rates():
    first = np.array([0.0, 0.0, 0.5, 1.0]), np.array([0.0, 0.4, 0.8, 1.0])
    second = np.array([0.0, 0.2, 1.0]), np.array([0.2, 0.6, 1.0])
    rates, tars = mean_roc([first, second])
    np.testing.assert_allclose(rates, [0, 0.2, 0.5, 1])
    np.testing.assert_allclose(tars, [(0.4 + 0.2) / 2, (0.4 + 0.6) / 2, (0.8 + 0.6) / 2, 1])
