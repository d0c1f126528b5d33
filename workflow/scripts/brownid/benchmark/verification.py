"""Verification accuracy over ten folds, each judged by a threshold that the other nine have chosen.

The protocol of LFW (Huang et al., 2007, view 2) as insightface and AdaFace implement it, so that numbers compare: folds
are contiguous, the squared distance of unit embeddings is compared with thresholds 0, 0.01, ... 3.99.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from brownid.benchmark.distances import unit_rows
from brownid.errors import BrownidError

THRESHOLDS = np.arange(0, 4, 0.01)  # of the squared distance, which lies in 0..4


@dataclass(frozen=True)
class Verification:
    """Accuracy (0 to 1) and threshold (of the squared distance) of each fold, both `[folds]`."""

    accuracies: np.ndarray
    thresholds: np.ndarray

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


def folded_accuracy(distances: ArrayLike, same: ArrayLike, folds: int = 10) -> Verification:
    """Accuracies and thresholds of `folds` contiguous folds of squared distances `[n]` with labels `same` `[n]`."""
    distances, same = np.asarray(distances, np.float64), np.asarray(same, bool)
    if distances.shape != same.shape or distances.ndim != 1:
        raise BrownidError(f"There are {len(distances)} pairs but {len(same)} same/different labels.")
    if folds < 2 or len(same) < folds:
        raise BrownidError(f"{len(same)} pairs cannot be cut into {folds} folds; use at least 2 folds, none empty.")
    parts = np.array_split(np.arange(len(same)), folds)
    correct = np.stack([_correct(distances[part], same[part]) for part in parts])  # [folds, thresholds]
    chosen = (correct.sum(axis=0) - correct).argmax(axis=1)  # on the other folds; argmax takes the first of equals
    sizes = np.array([len(part) for part in parts])
    return Verification(correct[np.arange(folds), chosen] / sizes, THRESHOLDS[chosen])


def _correct(distances: np.ndarray, same: np.ndarray) -> np.ndarray:
    """How many pairs are judged rightly at each of the thresholds, `[thresholds]`."""
    accepted_genuine = np.searchsorted(np.sort(distances[same]), THRESHOLDS, side="left")
    accepted_impostors = np.searchsorted(np.sort(distances[~same]), THRESHOLDS, side="left")
    return accepted_genuine + (~same).sum() - accepted_impostors
