"""Verification accuracy over ten folds."""

import math
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
    distances, same = _checked(distances, same, folds)
    contiguous = np.array_split(np.arange(len(same)), folds)
    note = _note(same, contiguous)
    if note is not None:
        logger.warning("%s: %s", name, note)
    accuracies, thresholds = _judged(distances, same, contiguous)
    return Verification(accuracies, thresholds, _judged(distances, same, _stratified(same, folds))[0], note)


def fold_decisions(distances: ArrayLike, same: ArrayLike, folds: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Per pair: whether it is decided rightly at the threshold of its contiguous fold, and its weight in the accuracy.

    `distances` and `same` `[n]` as for `folded_accuracy`, whose accuracy is the sum of weight x decision. Both `[n]`.
    """
    distances, same = _checked(distances, same, folds)
    parts = np.array_split(np.arange(len(same)), folds)
    sizes = np.array([len(part) for part in parts])
    thresholds = np.repeat(_judged(distances, same, parts)[1], sizes)
    return (distances < thresholds) == same, np.repeat(1 / (folds * sizes), sizes)


def _checked(distances: ArrayLike, same: ArrayLike, folds: int) -> tuple[np.ndarray, np.ndarray]:
    distances, same = np.asarray(distances, np.float64), np.asarray(same, bool)
    if distances.shape != same.shape or distances.ndim != 1:
        raise BrownidError(f"There are {distances.size} pairs but {same.size} same/different labels.")
    if folds < 2 or len(same) < folds:
        raise BrownidError(f"{len(same)} pairs cannot be cut into {folds} folds; use at least 2 folds, none empty.")
    if not np.isfinite(distances).all():
        raise BrownidError(f"The distance of pair {np.flatnonzero(~np.isfinite(distances))[0]} is not finite.")
    return distances, same


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


def _correct(distances: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Number of correctly classified pairs at each threshold, `[thresholds]`."""
    accepted_genuine = np.searchsorted(np.sort(distances[same]), THRESHOLDS, side="left")
    accepted_impostors = np.searchsorted(np.sort(distances[~same]), THRESHOLDS, side="left")
    return accepted_genuine + (~same).sum() - accepted_impostors


def _judged(distances: np.ndarray, same: np.ndarray, parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The accuracy of each fold, and the threshold that is best on the others, both `[folds]`."""
    correct = np.stack([_correct(distances[part], same[part]) for part in parts])  # [folds, thresholds]
    chosen = (correct.sum(axis=0) - correct).argmax(axis=1)  # on the other folds; argmax takes the first of equals
    sizes = np.array([len(part) for part in parts])
    return correct[np.arange(len(parts)), chosen] / sizes, THRESHOLDS[chosen]
