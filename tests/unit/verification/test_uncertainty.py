"""Intervals over persons and trainings: cases with a known variance, invariances, and how often they hold the truth."""

import numpy as np
import pandas as pd
import pytest

from brownid.runtime.errors import BrownidError
from brownid.verification.accuracy import folded_accuracy
from brownid.verification.pair_scores import PairScores, write_pair_scores
from brownid.verification.uncertainty import PersonResamples, resample_files, resample_persons, t_quantile


def frame(first, second, right, benchmark="lfw"):
    """Scored pairs that a network decides rightly or wrongly, as given, at the thresholds of all folds."""
    first, second, right = map(np.asarray, (first, second, right))
    same = first == second
    similarity = np.where(right, np.where(same, 0.9, 0.1), np.where(same, 0.1, 0.9))
    columns = {"first_person": first, "second_person": second, "same": same, "similarity": similarity}
    return pd.DataFrame({"benchmark": benchmark, **columns})


def shuffled(table, seed=0):
    return table.sample(frac=1, random_state=seed, ignore_index=True)


def standard_error(resamples):
    return float(np.sqrt(resamples.covariance[0, 0]))


def drawn(seed, persons=40, pairs=400, benchmark="lfw", share=0.85):
    """Half genuine, half impostor pairs of some persons, each decided rightly with some probability."""
    random = np.random.default_rng(seed)
    first = random.integers(0, persons, pairs)
    second = np.where(np.arange(pairs) % 2 == 0, first, (first + random.integers(1, persons, pairs)) % persons)
    return frame(first, second, random.random(pairs) < share, benchmark)


def test_the_accuracy_is_that_of_the_published_folds():
    table = drawn(0)
    table["similarity"] += np.random.default_rng(1).normal(0, 0.4, len(table))
    made = resample_persons({"one": table}, seed=1, resamples=10)
    expected = folded_accuracy(2 - 2 * table["similarity"], table["same"]).accuracy
    assert made.accuracy[0, 0] == pytest.approx(expected)


def test_where_every_person_is_in_one_pair_the_persons_vary_as_the_pairs_do():
    """400 pairs of 600 persons, three quarters right: of each kind the variance is that of 200 independent pairs."""
    genuine, impostors = np.arange(200), np.arange(200, 600).reshape(2, 200)
    right = np.arange(400) % 4 != 0
    table = frame([*genuine, *impostors[0]], [*genuine, *impostors[1]], right)
    made = resample_persons({"one": shuffled(table)}, seed=1, resamples=20_000)
    assert standard_error(made) == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.05)
    assert made.pair_covariance[0, 0] == pytest.approx(0.75 * 0.25 / 400)


def test_where_all_pairs_of_a_person_are_decided_alike_only_the_number_of_persons_counts():
    """100 persons with 5 genuine pairs each, a fifth of the persons never recognised; impostors are all right."""
    persons = np.repeat(np.arange(100), 5)
    first, second = np.arange(1000, 1500), np.arange(2000, 2500)
    right = [*(persons % 5 != 0), *np.ones(500, bool)]
    table = frame([*persons, *first], [*persons, *second], right)
    made = resample_persons({"one": shuffled(table)}, seed=1, resamples=20_000)
    assert standard_error(made) == pytest.approx(np.sqrt(0.8 * 0.2 / 100) / 2, rel=0.03)


def test_the_variance_is_that_of_pairs_with_a_person_in_common():
    table = drawn(2)
    made = resample_persons({"one": table}, seed=1, resamples=20_000)
    same, right = table["same"].to_numpy(), (table["similarity"] > 0.5).to_numpy() == table["same"].to_numpy()
    deviation = np.where(same, right - right[same].mean(), right - right[~same].mean()) / len(table)
    both = table[["first_person", "second_person"]].to_numpy()
    common = (both[:, None, :, None] == both[None, :, None, :]).any(axis=(2, 3))
    assert made.covariance[0, 0] == pytest.approx(deviation @ common @ deviation, rel=0.1)


def test_pairs_that_are_listed_twice_make_no_interval_narrower_if_their_persons_are_known():
    table = drawn(3)
    twice = pd.concat([table, table], ignore_index=True)
    once, doubled = (resample_persons({"one": shuffled(t)}, seed=1, resamples=500) for t in (table, twice))
    assert standard_error(doubled) == pytest.approx(standard_error(once))
    unknown = [t.assign(first_person=-1, second_person=-1) for t in (table, twice)]
    once, doubled = (resample_persons({"one": shuffled(t)}, seed=1, resamples=5000) for t in unknown)
    assert standard_error(doubled) == pytest.approx(standard_error(once) / np.sqrt(2), rel=0.06)


def test_all_networks_and_benchmarks_see_the_same_resamples():
    pairs = {name: pd.concat([drawn(0, share=share), drawn(1, benchmark="own", share=share)])
             for name, share in (("one", 0.8), ("two", 0.9))}  # fmt: skip
    made = resample_persons(pairs, seed=1, resamples=200)
    alone = resample_persons({"two": pairs["two"]}, seed=1, resamples=200)
    np.testing.assert_allclose(made.covariance[2:, 2:], alone.covariance)
    (one,) = [resample_persons({"one": drawn(0, share=0.8)}, seed=1, resamples=200)]
    assert made.covariance[0, 0] == pytest.approx(one.covariance[0, 0])
    itself = made.difference(["one"], ["one"], made.benchmarks, 0.95)
    assert (itself.value, itself.low, itself.high) == (0, 0, 0)
    assert not np.array_equal(
        alone.covariance, resample_persons({"two": pairs["two"]}, seed=2, resamples=200).covariance
    )


def test_two_networks_that_err_on_the_same_pairs_have_a_narrower_difference_than_two_that_do_not():
    table = drawn(0)
    other = pd.concat([drawn(0).assign(similarity=drawn(5)["similarity"])])
    nearly = table.copy()
    nearly.loc[0, "similarity"] = 1 - nearly.loc[0, "similarity"]
    made = resample_persons({"one": table, "nearly": nearly, "other": other}, seed=1, resamples=500)

    def width(second):
        estimate = made.difference(["one"], [second], ["lfw"], 0.95)
        return estimate.high - estimate.low

    assert width("nearly") < width("other") / 3


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
    made = resample_persons({"one": drawn(0)}, seed=1, resamples=500)
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
        resample_persons({"one": drawn(0), "two": drawn(0, benchmark="own")}, seed=1)


def test_pairs_are_read_from_the_files_of_the_networks(tmp_path):
    table, files = drawn(0), [tmp_path / "one.parquet"]
    persons = table[["first_person", "second_person"]].to_numpy()
    pairs = PairScores(persons, table["same"].to_numpy(), table["similarity"].to_numpy(np.float32))
    write_pair_scores(files[0], {"lfw": pairs}, {})
    made = resample_files({"entry": ["entry/seed_1"]}, files, seed=1, resamples=50)
    assert made.networks == ("entry/seed_1",)
    np.testing.assert_array_equal(made.covariance, resample_persons({"": table}, seed=1, resamples=50).covariance)


def test_a_benchmark_without_persons_is_noted():
    named, nameless = drawn(0), drawn(1, benchmark="own").assign(first_person=-1, second_person=-1)
    made = resample_persons({"one": pd.concat([named, nameless])}, seed=1, resamples=50)
    assert made.notes() == ["own: some pairs do not name their persons and are resampled one by one."]


def trained(random, design, effects, trainings, luck):
    """Trainings of one entry on 60 persons: effects of persons, of trainings, of both, of pairs, and noise."""
    first, second = design
    of_person, of_pair = effects
    tables = []
    for _ in range(trainings):
        own = of_person + random.normal(0, 0.3, len(of_person))
        margin = 1.2 + (own[first] + own[second]) / 2 + of_pair + random.normal(0, 0.5, len(first))
        tables.append(frame(first, second, margin + random.normal(0, luck) > 0))
    return tables


@pytest.mark.nightly
@pytest.mark.parametrize(("trainings", "luck"), [(1, 0.0), (2, 0.1), (3, 0.0), (3, 0.1), (5, 0.1)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(trainings, luck):
    """Two entries that are equally good, simulated 400 times with new persons, pairs and trainings."""
    random = np.random.default_rng(0)
    means, differences = [], []
    for _ in range(400):
        first = np.repeat(np.arange(60), 10)
        second = np.where(np.arange(600) % 2 == 0, first, (first + random.integers(1, 60, 600)) % 60)
        order = random.permutation(600)
        design, effects = (first[order], second[order]), (random.normal(0, 0.5, 60), random.normal(0, 0.7, 600))
        tables = trained(random, design, effects, 2 * trainings, luck)
        made = resample_persons(dict(enumerate(tables)), seed=1, resamples=300)
        names = made.networks[:trainings], made.networks[trainings:]
        means.append(made.estimate(names[0], ["lfw"], 0.95))
        differences.append(made.difference(*names, ["lfw"], 0.95))
    truth = np.mean([estimate.value for estimate in means])
    held = np.mean([estimate.low <= truth <= estimate.high for estimate in means])
    apart = np.mean([estimate.low <= 0 <= estimate.high for estimate in differences])
    print(f"{trainings} trainings, luck {luck}: mean {held:.3f}, difference {apart:.3f}")
    assert 0.92 <= held <= 0.99
    assert (0.92 if trainings > 1 else 0.85) <= apart  # of one training each, their luck is in no interval
