"""Intervals over persons and trainings: cases with a known variance, invariances, and how often they hold the truth."""

import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.verification.accuracy import folded_accuracy
from brownid.verification.pair_scores import PairScores, write_pair_scores
from brownid.verification.uncertainty import PersonResamples, resample_files, resample_persons, t_quantile


def scored(first, second, right):
    """Scored pairs that a network decides rightly or wrongly, as given, at the thresholds of all folds."""
    persons, right = np.stack([first, second], axis=1), np.asarray(right)
    same = persons[:, 0] == persons[:, 1]
    return PairScores(persons, same, np.where(right == same, 0.9, 0.1).astype(np.float32))


def at(pairs, rows):
    return PairScores(pairs.persons[rows], pairs.same[rows], pairs.similarity[rows])


def shuffled(pairs):
    return at(pairs, np.random.default_rng(0).permutation(len(pairs.same)))


def drawn(seed, persons=40, pairs=400, share=0.85):
    """Half genuine, half impostor pairs of some persons, each decided rightly with some probability."""
    random = np.random.default_rng(seed)
    first = random.integers(0, persons, pairs)
    second = np.where(np.arange(pairs) % 2 == 0, first, (first + random.integers(1, persons, pairs)) % persons)
    return scored(first, second, random.random(pairs) < share)


def resampled(pairs, resamples=500, seed=1):
    return resample_persons({"one": {"lfw": pairs}}, seed=seed, resamples=resamples)


def standard_error(made):
    return float(np.sqrt(made.covariance[0, 0]))


def test_the_accuracy_is_that_of_the_published_folds():
    pairs = drawn(0)
    noisy = PairScores(pairs.persons, pairs.same, np.random.default_rng(1).random(400).astype(np.float32))
    expected = folded_accuracy(2 - 2 * noisy.similarity.astype(float), noisy.same).accuracy
    assert resampled(noisy, resamples=10).accuracy[0, 0] == pytest.approx(expected)


def test_where_every_person_is_in_one_pair_the_persons_vary_as_the_pairs_do():
    """400 pairs of 600 persons, three quarters right: the variance is that of 400 independent pairs."""
    genuine, impostors = np.arange(200), np.arange(200, 600).reshape(2, 200)
    pairs = scored([*genuine, *impostors[0]], [*genuine, *impostors[1]], np.arange(400) % 4 != 0)
    made = resampled(shuffled(pairs), resamples=20_000)
    assert standard_error(made) == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.05)
    assert made.pair_covariance[0, 0] == pytest.approx(0.75 * 0.25 / 400)


def test_where_all_pairs_of_a_person_are_decided_alike_only_the_number_of_persons_counts():
    """100 persons with 5 genuine pairs each, a fifth of the persons never recognised; impostors are all right."""
    persons = np.repeat(np.arange(100), 5)
    right = [*(persons % 5 != 0), *np.ones(500, bool)]
    pairs = scored([*persons, *range(1000, 1500)], [*persons, *range(2000, 2500)], right)
    made = resampled(shuffled(pairs), resamples=20_000)
    assert standard_error(made) == pytest.approx(np.sqrt(0.8 * 0.2 / 100) / 2, rel=0.03)


def test_the_variance_is_that_of_pairs_with_a_person_in_common():
    pairs = drawn(2)
    right = (pairs.similarity > 0.5) == pairs.same
    deviation = np.where(pairs.same, right - right[pairs.same].mean(), right - right[~pairs.same].mean()) / 400
    common = (pairs.persons[:, None, :, None] == pairs.persons[None, :, None, :]).any(axis=(2, 3))
    made = resampled(pairs, resamples=20_000)
    assert made.covariance[0, 0] == pytest.approx(deviation @ common @ deviation, rel=0.1)


def test_pairs_that_are_listed_twice_do_not_make_an_interval_narrower():
    pairs = drawn(3)
    twice = at(pairs, np.tile(np.arange(400), 2))
    once, doubled = resampled(shuffled(pairs)), resampled(shuffled(twice))
    assert standard_error(doubled) == pytest.approx(standard_error(once))


def test_the_order_of_the_pairs_within_a_fold_does_not_matter():
    pairs = drawn(3)
    inside = np.arange(400).reshape(10, 40)[:, ::-1].ravel()
    assert standard_error(resampled(at(pairs, inside))) == pytest.approx(standard_error(resampled(pairs)))
    swapped = PairScores(pairs.persons[:, ::-1], pairs.same, pairs.similarity)
    assert standard_error(resampled(swapped)) == pytest.approx(standard_error(resampled(pairs)))


def test_all_networks_and_benchmarks_see_the_same_resamples():
    both = {name: {"lfw": drawn(0, share=share), "own": drawn(1, share=share)}
            for name, share in (("one", 0.8), ("two", 0.9))}  # fmt: skip
    made = resample_persons(both, seed=1, resamples=200)
    alone = resample_persons({"two": both["two"]}, seed=1, resamples=200)
    np.testing.assert_allclose(made.covariance[2:, 2:], alone.covariance)
    assert made.covariance[0, 0] == pytest.approx(resampled(both["one"]["lfw"], resamples=200).covariance[0, 0])
    itself = made.difference(["one"], ["one"], made.benchmarks, 0.95)
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)
    other = resample_persons({"two": both["two"]}, seed=2, resamples=200)
    assert not np.array_equal(alone.covariance, other.covariance)


def test_a_number_is_the_same_person_on_all_benchmarks():
    """The same pairs under two names: of the same persons they add nothing, of others they halve the variance."""
    pairs = drawn(0)
    others = PairScores(pairs.persons + 1000, pairs.same, pairs.similarity)
    together = resample_persons({"one": {"lfw": pairs, "again": pairs}}, seed=1, resamples=5000)
    apart = resample_persons({"one": {"lfw": pairs, "again": others}}, seed=1, resamples=5000)
    assert together.covariance.mean() == pytest.approx(together.covariance[0, 0])
    assert apart.covariance.mean() == pytest.approx(apart.covariance[0, 0] / 2, rel=0.1)


def test_two_networks_that_err_on_the_same_pairs_have_a_narrower_difference_than_two_that_do_not():
    pairs = drawn(0)
    similarity = pairs.similarity.copy()
    similarity[0] = 1 - similarity[0]
    other = PairScores(pairs.persons, pairs.same, np.where(drawn(5).similarity > 0.5, pairs.same, ~pairs.same) * 0.8)
    named = {"one": pairs, "nearly": PairScores(pairs.persons, pairs.same, similarity), "other": other}
    made = resample_persons({name: {"lfw": part} for name, part in named.items()}, seed=1, resamples=500)

    def width(second):
        estimate = made.difference(["one"], [second], ["lfw"], 0.95)
        return estimate.high - estimate.low

    assert 0 < width("nearly") < width("other") / 3


def certain(*values):
    """Networks whose accuracy does not depend on the persons."""
    zero = np.zeros((len(values), len(values)))
    names = tuple(f"seed_{number}" for number in range(len(values)))
    return PersonResamples(names, ("lfw",), np.array(values)[:, None], zero, zero, {"lfw": np.arange(50)})


def test_the_interval_of_three_trainings_is_that_of_student():
    made = certain(0.69, 0.7, 0.71).estimate(["seed_0", "seed_1", "seed_2"], ["lfw"], 0.95)
    assert (made.value, made.std, made.trainings) == (pytest.approx(0.7), pytest.approx(0.01), (3,))
    half = 4.302653 * 0.01 / np.sqrt(3)
    assert (made.low, made.high) == (pytest.approx(0.7 - half), pytest.approx(0.7 + half))


def test_a_difference_adds_the_variances_of_both_entries_and_counts_their_degrees_of_freedom():
    made = certain(0.69, 0.71, 0.79, 0.81).difference(["seed_0", "seed_1"], ["seed_2", "seed_3"], ["lfw"], 0.95)
    half = 4.302653 * np.sqrt(2 * 0.0002 / 2)  # equal variances: one degree of freedom each, together two
    assert made.value == pytest.approx(-0.1) and made.high - made.value == pytest.approx(half)
    assert made.trainings == (2, 2) and made.std == pytest.approx(np.sqrt(2 * 0.0002))


def test_one_training_has_an_interval_over_persons_and_no_standard_deviation():
    made = resampled(drawn(0))
    estimate = made.estimate(["one"], ["lfw"], 0.95)
    assert np.isnan(estimate.std) and estimate.trainings == (1,)
    assert estimate.high - estimate.value == pytest.approx(t_quantile(0.95, 39) * standard_error(made))


def test_an_interval_ends_at_one():
    made = certain(0.97, 0.99).estimate(["seed_0", "seed_1"], ["lfw"], 0.95)
    assert made.high == 1 and made.low < 0.9


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (30, 2.0423), (1e5, 1.9600)])
def test_quantiles_are_those_of_the_tables(freedom, expected):
    assert t_quantile(0.95, freedom) == pytest.approx(expected, abs=1e-4)


def test_a_network_without_pairs_of_a_benchmark_is_refused():
    with pytest.raises(BrownidError, match="'two' has no scored pairs of the benchmark 'lfw'"):
        resample_persons({"one": {"lfw": drawn(0)}, "two": {"own": drawn(0)}}, seed=1)


def test_pairs_are_read_from_the_files_of_the_networks(tmp_path):
    write_pair_scores(tmp_path / "one.parquet", {"lfw": drawn(0)}, {})
    entries, files = {"entry": ["entry/seed_1"]}, [tmp_path / "one.parquet"]
    made = resample_files(entries, files, seed=1, resamples=50)
    assert made.networks == ("entry/seed_1",)
    np.testing.assert_array_equal(made.covariance, resampled(drawn(0), resamples=50).covariance)


def trained(random, persons, effects, trainings, luck):
    """Trainings of one entry on 60 persons: effects of persons, of trainings, of both, of pairs, and noise."""
    of_person, of_pair = effects
    for _ in range(trainings):
        own = of_person + random.normal(0, 0.3, len(of_person))
        margin = 1.2 + own[persons].mean(axis=1) + of_pair + random.normal(0, 0.5, len(persons))
        yield {"lfw": scored(*persons.T, margin + random.normal(0, luck) > 0)}


@pytest.mark.nightly
@pytest.mark.parametrize(("trainings", "luck"), [(1, 0.0), (2, 0.1), (3, 0.0), (3, 0.1), (5, 0.1)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(trainings, luck):
    """Two entries that are equally good, simulated 400 times with new persons, pairs and trainings."""
    random = np.random.default_rng(0)
    means, differences = [], []
    for _ in range(400):
        first = np.repeat(np.arange(60), 10)
        second = np.where(np.arange(600) % 2 == 0, first, (first + random.integers(1, 60, 600)) % 60)
        persons = random.permutation(np.stack([first, second], axis=1))
        effects = random.normal(0, 0.5, 60), random.normal(0, 0.7, 600)
        networks = trained(random, persons, effects, 2 * trainings, luck)
        made = resample_persons({str(number): part for number, part in enumerate(networks)}, seed=1, resamples=300)
        names = made.networks[:trainings], made.networks[trainings:]
        means.append(made.estimate(names[0], ["lfw"], 0.95))
        differences.append(made.difference(*names, ["lfw"], 0.95))
    truth = np.mean([estimate.value for estimate in means])
    held = np.mean([estimate.low <= truth <= estimate.high for estimate in means])
    apart = np.mean([estimate.low <= 0 <= estimate.high for estimate in differences])
    print(f"{trainings} trainings, luck {luck}: mean {held:.3f}, difference {apart:.3f}")
    assert 0.92 <= held <= 0.99
    assert (0.92 if trainings > 1 else 0.85) <= apart  # of one training each, their luck is in no interval
