"""Verification accuracy over ten folds, and the ROC curve with TAR at a given FAR, area and equal error rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from brownid.embeddings.distances import unit_rows
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

THRESHOLDS = np.arange(0, 4, 0.01)  # of the squared distance, which lies in 0..4
FAR_SHARE = 0.05  # smallest notable difference between the shares of genuine pairs in a fold and in all
_ORDERS = 10_000
_NORMAL_QUANTILE = 3.719  # exceeded with probability 1 / _ORDERS


@dataclass(frozen=True)
class Verification:
    """Accuracy (0 to 1) and threshold (of the squared distance) of each fold, both `[folds]`.

    `stratified` has the accuracies of the stratified folds, `note` says why these should be compared instead, if so.
    """

    accuracies: np.ndarray
    thresholds: np.ndarray
    stratified: np.ndarray
    note: str | None

    @property
    def stratified_accuracy(self) -> float:
        """Mean over the stratified folds."""
        return float(self.stratified.mean())

    @property
    def accuracy(self) -> float:
        """Mean over the folds."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """Standard deviation over the folds (of the population of folds, as customary)."""
        return float(self.accuracies.std())

    @property
    def threshold(self) -> float:
        """Mean threshold over the folds."""
        return float(self.thresholds.mean())


def verification_accuracy(first: ArrayLike, second: ArrayLike, same: ArrayLike, folds: int = 10) -> Verification:
    """Verify pairs of embeddings `first[i]`, `second[i]` (`[n, E]`, normalised here) against the labels `same` `[n]`.

    A pair is accepted when its squared distance is below the threshold. Of several thresholds that are equally good
    on the other folds the smallest is taken, and when the folds are uneven the first ones have a pair more.
    """
    return folded_accuracy(squared_distances(first, second), same, folds)


def squared_distances(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """The squared distances `[n]` of the normalised rows of two arrays `[n, E]`, in float64; between 0 and 4."""
    first, second = (unit_rows(side).astype(np.float64) for side in (first, second))
    if first.shape != second.shape:
        raise BrownidError(
            f"The pairs have embeddings of shape {first.shape} and {second.shape}; both sides need the same."
        )
    return np.square(first - second).sum(axis=1)


def folded_accuracy(distances: ArrayLike, same: ArrayLike, folds: int = 10, name: str = "the pairs") -> Verification:
    """Accuracies and thresholds of `folds` contiguous folds of squared distances `[n]` with labels `same` `[n]`.

    A note on the folds is logged as a warning, which begins with `name`. BrownidError where distances and labels do not
    fit, a distance is not finite, or a fold would be empty.
    """
    distances, same = np.asarray(distances, np.float64), np.asarray(same, bool)
    if distances.shape != same.shape or distances.ndim != 1:
        raise BrownidError(f"There are {distances.size} pairs but {same.size} same/different labels.")
    if folds < 2 or len(same) < folds:
        raise BrownidError(f"{len(same)} pairs cannot be cut into {folds} folds; use at least 2 folds, none empty.")
    if not np.isfinite(distances).all():
        raise BrownidError(f"The distance of pair {np.flatnonzero(~np.isfinite(distances))[0]} is not finite.")
    contiguous = np.array_split(np.arange(len(same)), folds)
    note = _note(same, contiguous)
    if note is not None:
        logger.warning("%s: %s", name, note)
    accuracies, thresholds = _judged(distances, same, contiguous)
    return Verification(accuracies, thresholds, _judged(distances, same, _stratified(same, folds))[0], note)


def _stratified(same: np.ndarray, folds: int) -> list[np.ndarray]:
    """The pairs of each stratified fold, none empty: an equal part of either kind, in their order."""
    genuine = np.array_split(np.flatnonzero(same), folds)
    reverse = np.array_split(np.flatnonzero(~same)[::-1], folds)  # the larger parts of genuine pairs are first, of
    impostors = [part[::-1] for part in reversed(reverse)]  # impostor pairs last, so that the folds are of one size
    return [np.concatenate(parts) for parts in zip(genuine, impostors, strict=True)]


def _note(same: np.ndarray, folds: list[np.ndarray]) -> str | None:
    """Note about the shares of genuine pairs in folds."""
    genuine, sizes = (np.array([count(fold) for fold in folds], np.float64) for count in (lambda f: same[f].sum(), len))
    pairs, share = sizes.sum(), genuine.sum() / sizes.sum()
    shares = genuine / sizes
    if np.abs(shares - share).max() < FAR_SHARE:
        return None
    # Numbers drawn without replacement: their variance is smaller by (pairs - size) / (pairs - 1).
    statistic = (np.square(genuine - sizes * share) / (sizes * share * (1 - share))).sum() * (pairs - 1) / pairs
    freedom = len(sizes) - 1
    variance = 2 / (9 * freedom)
    by_chance = (
        statistic <= freedom * (1 - variance + _NORMAL_QUANTILE * variance**0.5) ** 3
    )  # Wilson and Hilferty, 1931
    if by_chance and not _is_sorted(same):
        return None
    return (
        f"the share of genuine pairs in the {len(sizes)} contiguous folds runs from {shares.min():.2f} to "
        f"{shares.max():.2f} ({share:.2f} in all), so that the accuracy depends on the order of the pairs; compare the "
        "stratified accuracy, or shuffle the pairs"
    )


def _is_sorted(same: np.ndarray) -> bool:
    """Whether all pairs of one kind come first, in a file too long for that to be chance."""
    changes = np.count_nonzero(same[1:] != same[:-1])
    return changes == 1 and math.comb(len(same), int(same.sum())) >= 2 * _ORDERS


def _judged(distances: np.ndarray, same: np.ndarray, parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The accuracy of each fold, and the threshold that is best on the others, both `[folds]`."""
    correct = np.stack([_correct(distances[part], same[part]) for part in parts])  # [folds, thresholds]
    chosen = (correct.sum(axis=0) - correct).argmax(axis=1)  # on the other folds; argmax takes the first of equals
    sizes = np.array([len(part) for part in parts])
    return correct[np.arange(len(parts)), chosen] / sizes, THRESHOLDS[chosen]


def _correct(distances: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Number of correctly classified pairs at each threshold, `[thresholds]`."""
    accepted_genuine = np.searchsorted(np.sort(distances[same]), THRESHOLDS, side="left")
    accepted_impostors = np.searchsorted(np.sort(distances[~same]), THRESHOLDS, side="left")
    return accepted_genuine + (~same).sum() - accepted_impostors


@dataclass(frozen=True)
class Roc:
    """True and false accept rates at every threshold that changes them, strictest first; all `[m]`.

    A pair is accepted when its score (larger: more alike) is at least the threshold. The first entry accepts nothing
    (threshold infinity), the last one everything.
    """

    thresholds: np.ndarray
    false_accept: np.ndarray
    true_accept: np.ndarray
    impostors: int

    @property
    def area(self) -> float:
        """The area under the curve: the chance that a genuine pair scores higher than an impostor (ties count half)."""
        return float(np.trapezoid(self.true_accept, self.false_accept))

    def corners(self) -> "Roc":
        """The same curve without the points that lie on a straight line between their neighbours."""
        keep = np.ones(len(self.thresholds), bool)
        turns = np.diff(self.false_accept, 2), np.diff(self.true_accept, 2)
        keep[1:-1] = ~(np.isclose(turns[0], 0) & np.isclose(turns[1], 0))
        return Roc(self.thresholds[keep], self.false_accept[keep], self.true_accept[keep], self.impostors)


@dataclass(frozen=True)
class TarAtFar:
    """True accept rate at the loosest threshold whose false accept rate is at most `far`.

    With fewer than 1/far impostor pairs such a rate cannot be told from zero: then `tar` and `threshold` are nan.
    """

    far: float
    tar: float
    threshold: float
    impostors_needed: int
    impostors: int

    @property
    def measurable(self) -> bool:
        """Whether there are enough impostor pairs for this false accept rate."""
        return self.impostors >= self.impostors_needed


def roc(scores: ArrayLike, same: ArrayLike) -> Roc:
    """The ROC curve of similarity scores `[n]` (larger: more alike) with labels `[n]`; equal scores share a point."""
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if scores.shape != same.shape or scores.ndim != 1:
        raise BrownidError(f"A ROC curve needs a score and a label a pair; there are {scores.shape} and {same.shape}.")
    if not np.isfinite(scores).all():
        raise BrownidError("A ROC curve needs finite scores, and some are not.")
    genuine, impostors = int(same.sum()), int((~same).sum())
    if not genuine or not impostors:
        raise BrownidError(
            f"A ROC curve needs both kinds of pairs; there are {genuine} genuine and {impostors} impostors."
        )
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], same[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    accepted = np.cumsum(hits)[last_of_ties]
    return Roc(
        thresholds=np.append(np.inf, ordered[last_of_ties]),
        false_accept=np.append(0, last_of_ties + 1 - accepted) / impostors,
        true_accept=np.append(0, accepted) / genuine,
        impostors=impostors,
    )


def tar_at_far(curve: Roc, rates: Sequence[float]) -> list[TarAtFar]:
    """The true accept rate at each false accept rate of `rates` (between 0 and 1)."""
    results = []
    for far in rates:
        if not 0 < far <= 1:
            raise BrownidError(f"A false accept rate of {far} was asked for; give rates above 0 and up to 1.")
        # the tolerance keeps 1/0.001 at 1000, and 3 of 300 at a rate of 0.01
        needed = int(np.ceil(1 / far - 1e-9))
        if curve.impostors < needed:
            results.append(TarAtFar(far, float("nan"), float("nan"), needed, curve.impostors))
            continue
        loosest = int(np.searchsorted(curve.false_accept, far * (1 + 1e-9), side="right")) - 1
        tar, threshold = float(curve.true_accept[loosest]), float(curve.thresholds[loosest])
        results.append(TarAtFar(far, tar, threshold, needed, curve.impostors))
    return results


def equal_error_rate(curve: Roc) -> float:
    """The rate at which false accepts and false rejects are equally frequent, interpolated along the curve."""
    difference = curve.false_accept - (1 - curve.true_accept)  # rises from -1 to 1
    after = int(np.argmax(difference >= 0))
    before = after - 1
    share = -difference[before] / (difference[after] - difference[before])
    return float(curve.false_accept[before] + share * (curve.false_accept[after] - curve.false_accept[before]))
