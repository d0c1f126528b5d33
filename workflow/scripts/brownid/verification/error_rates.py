"""Error rates over thresholds: ROC and DET curves, FNMR at a given FMR, equal error rate, area, d-prime.

Names of ISO/IEC 19795-1 and of the field: FMR (false match rate) is the false accept rate, FAR; FNMR (false non-match
rate) is one minus the true accept rate, TAR. The rates here are of comparisons: an image that cannot be scored is in
neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from brownid.runtime.errors import BrownidError


@dataclass(frozen=True)
class Roc:
    """True and false accept rates (1 - FNMR, FMR) at every threshold that changes them, strictest first; all `[m]`.

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
    def fnmr(self) -> float:
        """False non-match rate at the false match rate `far`."""
        return 1 - self.tar

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


def mean_roc(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The mean true accept rate of several curves at each false accept rate of any of them; both `[m]`, rising.

    A curve is its false and true accept rates `[k]`, strictest first, between which nothing is interpolated.
    """
    rates = np.unique(np.concatenate([far for far, _ in curves]))
    return rates, np.mean([tar[np.searchsorted(far, rates, side="right") - 1] for far, tar in curves], axis=0)


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


def d_prime(scores: ArrayLike, same: ArrayLike) -> float:
    """Distance d' of the genuine and the impostor scores `[n]`: of their means, in units of their root mean variance.

    d' = (mean of genuine - mean of impostor scores) / sqrt((variance of genuine + variance of impostor scores) / 2), as
    in Daugman, "Biometric decision landscapes", 2000. Infinite where neither kind varies.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    genuine, impostors = scores[same], scores[~same]
    spread = np.sqrt((genuine.var() + impostors.var()) / 2)
    return float((genuine.mean() - impostors.mean()) / spread) if spread > 0 else float("inf")
