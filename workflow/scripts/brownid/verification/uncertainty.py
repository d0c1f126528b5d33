"""Intervals of accuracies and of their differences: a bootstrap over persons and trainings, see docs/uncertainty.md.

Persons: a resample gives each person a multiplicity m, Poisson distributed with mean 1, the same for all networks and
benchmarks. A genuine pair of person p counts m_p times, an impostor pair of p and q m_p m_q times. Such products hold
the variance of an impostor pair itself three times instead of once (Owen, "The pigeonhole bootstrap", 2007), so twice
its variance is subtracted, as in variances clustered in two ways (Cameron, Gelbach and Miller, 2011).

Trainings: resampling n of them would give (n - 1) / n of the variance of their mean; the unbiased variance takes its
place, and the quantile of Student's distribution with Satterthwaite's degrees of freedom that of the normal one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import stream
from brownid.verification.accuracy import fold_decisions
from brownid.verification.pair_scores import PairScores, read_pair_scores

MEAN = "mean"  # over the benchmarks of a group
BLOCK = 200  # resamples that are computed together


@dataclass(frozen=True)
class Estimate:
    """An accuracy, or a difference of two, with its interval.

    `std` is the standard deviation over trainings (NaN of one), `trainings` their number, for a difference in both
    entries. Where that is 1, the interval is over persons only.
    """

    value: float
    std: float
    low: float
    high: float
    trainings: tuple[int, ...]


@dataclass(frozen=True)
class PersonResamples:
    """Accuracies of networks on benchmarks, and their covariance over resamples of persons.

    `accuracy` is `[networks, benchmarks]`. The rows and columns of `covariance` and of `pair_covariance`, that over
    resamples of single pairs, are the entries of `accuracy` in order. `persons` `[p]` are the numbers of the persons of
    each benchmark.
    """

    networks: tuple[str, ...]
    benchmarks: tuple[str, ...]
    accuracy: np.ndarray
    covariance: np.ndarray
    pair_covariance: np.ndarray
    persons: Mapping[str, np.ndarray]

    def accuracies(self, networks: Sequence[str], benchmarks: Sequence[str]) -> np.ndarray:
        """The accuracy of each network, averaged over benchmarks."""
        rows, columns = map(self.networks.index, networks), map(self.benchmarks.index, benchmarks)
        return self.accuracy[np.ix_(list(rows), list(columns))].mean(axis=1)

    def estimate(self, networks: Sequence[str], benchmarks: Sequence[str], confidence: float) -> Estimate:
        """Mean accuracy of the trainings `networks` of one entry, averaged over benchmarks, with its interval."""
        values = self.accuracies(networks, benchmarks)
        half = self._half_width(self._weights(networks, benchmarks), [values], benchmarks, confidence)
        value = float(values.mean())
        return Estimate(value, _std(values), max(value - half, 0.0), min(value + half, 1.0), (len(values),))

    def difference(
        self, first: Sequence[str], second: Sequence[str], benchmarks: Sequence[str], confidence: float
    ) -> Estimate:
        """Mean accuracy of the trainings `first` minus that of `second`, averaged over benchmarks.

        Persons are paired: both are resampled together. Trainings are not: two trainings with one seed share no more
        than two with different seeds, as their data differ. `std` is that of a difference of two single trainings.
        """
        values = [self.accuracies(networks, benchmarks) for networks in (first, second)]
        weights = self._weights(first, benchmarks) - self._weights(second, benchmarks)
        half = self._half_width(weights, values, benchmarks, confidence)
        value = float(values[0].mean() - values[1].mean())
        std = math.hypot(_std(values[0]), _std(values[1]))
        return Estimate(value, std, value - half, value + half, (len(values[0]), len(values[1])))

    def by_benchmark(
        self, entries: Mapping[str, Sequence[str]], benchmarks: Sequence[str], confidence: float
    ) -> dict[str, dict[str, Estimate]]:
        """The estimates of entries (name to the networks of its trainings) on each benchmark and their `MEAN`."""
        return {
            entry: {
                name: self.estimate(networks, [name] if name != MEAN else benchmarks, confidence)
                for name in (*benchmarks, MEAN)
            }
            for entry, networks in entries.items()
        }

    def _weights(self, networks: Sequence[str], benchmarks: Sequence[str]) -> np.ndarray:
        """The weights with which the entries of `accuracy` make the mean."""
        weights = np.zeros(self.accuracy.shape)
        rows, columns = map(self.networks.index, networks), map(self.benchmarks.index, benchmarks)
        weights[np.ix_(list(rows), list(columns))] = 1 / (len(networks) * len(benchmarks))
        return weights.ravel()

    def _half_width(
        self, weights: np.ndarray, trainings: Sequence[np.ndarray], benchmarks: Sequence[str], confidence: float
    ) -> float:
        """Half of the interval of a mean with these weights; `trainings` are the values of each entry's trainings."""
        # with few persons the difference of two variances may be too small: persons never make it smaller than pairs
        of_persons = max(weights @ self.covariance @ weights, weights @ self.pair_covariance @ weights)
        persons = len(np.unique(np.concatenate([self.persons[name] for name in benchmarks])))
        parts = [(float(of_persons), persons - 1)]
        parts += [(values.var(ddof=1) / len(values), len(values) - 1) for values in trainings if len(values) > 1]
        variance = sum(part for part, _ in parts)
        if variance == 0:
            return 0.0
        freedom = variance**2 / sum(part**2 / max(count, 1) for part, count in parts)  # Satterthwaite, 1946
        return t_quantile(confidence, freedom) * math.sqrt(variance)


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def t_quantile(confidence: float, freedom: float) -> float:
    """The t with P(|T| < t) = `confidence` of Student's distribution with `freedom` >= 1 degrees of freedom."""
    u = np.linspace(0, 12, 20_001)  # t = sinh(u) reaches 80 000
    constant = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    density = np.exp(constant - (freedom + 1) / 2 * np.log1p(np.sinh(u) ** 2 / freedom)) * np.cosh(u)
    below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)]) * u[1]
    return float(np.sinh(np.interp(confidence / 2, below, u)))


def resample_files(
    entries: Mapping[str, Sequence[str]], files: Sequence[Path], *, seed: int, resamples: int
) -> PersonResamples:
    """`resample_persons` for the networks of all entries, of whose scored pairs `files` are, in order."""
    networks = [network for names in entries.values() for network in names]
    pairs = dict(zip(networks, map(read_pair_scores, files), strict=True))
    return resample_persons(pairs, seed=seed, resamples=resamples)


def resample_persons(
    pairs: Mapping[str, Mapping[str, PairScores]], *, seed: int, resamples: int = 2000
) -> PersonResamples:
    """Resample the persons of all benchmarks, for all networks alike; the threshold of each fold is kept.

    `pairs[network][benchmark]` are the scored pairs; a number is one person on all benchmarks.
    """
    networks = tuple(pairs)
    benchmarks = tuple(dict.fromkeys(name for scored in pairs.values() for name in scored))
    units = [part for name in benchmarks for part in _units(pairs, name)]
    numbers = np.unique(np.concatenate([unit.persons.ravel() for unit in units]))
    places = [np.searchsorted(numbers, unit.persons) for unit in units]
    counts = _multiplicities(numbers, seed, resamples)
    deviations = np.zeros((resamples, len(networks), len(benchmarks)))
    for start in range(0, resamples, BLOCK):
        rows = slice(start, start + BLOCK)
        for number, (unit, (first, second)) in enumerate(zip(units, (place.T for place in places), strict=True)):
            weights = counts[first, rows] * (counts[second, rows] if number % 2 else np.uint8(1))
            deviations[rows, :, number // 2] += unit.deviations(weights.T.astype(np.float64))
    flat = deviations.reshape(resamples, -1)
    flat = flat - flat.mean(axis=0)
    of_pairs, of_impostors = _pair_covariances(units, len(networks))
    return PersonResamples(
        networks,
        benchmarks,
        accuracy=np.stack([unit.accuracy for unit in units]).reshape(len(benchmarks), 2, -1).sum(axis=1).T,
        covariance=flat.T @ flat / (resamples - 1) - 2 * of_impostors,
        pair_covariance=of_pairs,
        persons={
            name: np.unique([*units[2 * number].persons.ravel(), *units[2 * number + 1].persons.ravel()])
            for number, name in enumerate(benchmarks)
        },
    )


@dataclass(frozen=True)
class _Units:
    """The genuine or the impostor pairs of a benchmark; pairs of the same two persons are one unit.

    `persons` `[units, 2]`; `total` and `right` `[units, networks]`: the weights of all pairs of the unit in the
    accuracy, and of those that a network decides rightly.
    """

    persons: np.ndarray
    total: np.ndarray
    right: np.ndarray

    @property
    def accuracy(self) -> np.ndarray:
        """What these pairs add to the accuracy of each network."""
        return self.right.sum(axis=0)

    @property
    def contributions(self) -> np.ndarray:
        """What each unit adds to the deviation of the accuracy from its expectation, `[units, networks]`."""
        return self.right - self.total * (self.accuracy / self.total.sum(axis=0))

    def deviations(self, weights: np.ndarray) -> np.ndarray:
        """Deviations of `accuracy` in resamples, `[resamples, networks]`, given the weights `[resamples, units]`.

        The share of genuine and of impostor pairs is kept.
        """
        total = weights @ self.total
        share = np.divide(weights @ self.right, total, out=np.zeros_like(total), where=total > 0)
        return np.where(total > 0, share * self.total.sum(axis=0) - self.accuracy, 0)


def _units(pairs: Mapping[str, Mapping[str, PairScores]], benchmark: str) -> tuple[_Units, _Units]:
    """The genuine and the impostor pairs of a benchmark."""
    persons, same, total, right = [], [], [], []
    for network, scored in pairs.items():
        if benchmark not in scored:
            raise BrownidError(f"The network {network!r} has no scored pairs of the benchmark {benchmark!r}.")
        part = scored[benchmark]
        correct, weights = fold_decisions(2 - 2 * part.similarity.astype(np.float64), part.same)
        persons.append(np.sort(part.persons, axis=1))
        same.append(part.same)
        total.append(weights)
        right.append(weights * correct)
    columns = np.repeat(np.arange(len(pairs)), list(map(len, same)))
    labels, rows = np.concatenate(same), np.concatenate(persons)

    def of_kind(chosen: np.ndarray) -> _Units:
        distinct, places = np.unique(rows[chosen], axis=0, return_inverse=True)
        codes = places * len(pairs) + columns[chosen]
        sums = [
            np.bincount(codes, np.concatenate(values)[chosen], len(distinct) * len(pairs)) for values in (total, right)
        ]
        return _Units(distinct, *(values.reshape(-1, len(pairs)) for values in sums))

    return of_kind(labels), of_kind(~labels)


def _multiplicities(persons: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """How often each person is in each resample, uint8 `[persons, resamples]`.

    Draws are addressed by the number of the person: they do not depend on who else is there.
    """
    counts = np.empty((len(persons), resamples), np.uint8)
    for row, person in enumerate(persons.tolist()):
        counts[row] = stream(seed, "uncertainty/persons", person).poisson(1, resamples)
    return counts


def _pair_covariances(units: Sequence[_Units], networks: int) -> tuple[np.ndarray, np.ndarray]:
    """Covariances of the accuracies over resamples of units, all and those of impostors alone, `[entries, entries]`.

    `units` are those of genuine and of impostor pairs, by turns, of each benchmark. Impostor pairs of the same two
    persons are one unit on all benchmarks together.
    """
    benchmarks = len(units) // 2
    of_pairs = np.zeros((networks, benchmarks) * 2)
    for number, unit in enumerate(units):
        of_pairs[:, number // 2, :, number // 2] += unit.contributions.T @ unit.contributions
    impostors = units[1::2]
    _, places = np.unique(np.concatenate([unit.persons for unit in impostors]), axis=0, return_inverse=True)
    summed = np.zeros((places.max() + 1, networks, benchmarks))
    start = 0
    for number, unit in enumerate(impostors):
        np.add.at(summed[:, :, number], places[start : start + len(unit.persons)], unit.contributions)
        start += len(unit.persons)
    flat = summed.reshape(len(summed), -1)
    return of_pairs.reshape(flat.shape[1], -1), flat.T @ flat
