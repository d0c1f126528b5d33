"""Covariates: the direction in latent space that tells two sides of an attribute apart.

A linear SVM without intercept puts its hyperplane through the origin of the coordinates, and the latents of a
generator have no natural origin: with raw latents, or with w − w̄, the SVM must lean on whatever direction happens to
be common to all its images (the mean latent, or the difference between photographs and generated images) to part two
sides that lie on one side of the origin, as "neutral" and "smile" do. So the origin is the midpoint between the mean
latents of the two sides. For sides that lie symmetrically around the origin this is the SVM on the latents as they are.
All distances are from the hyperplane: n·w − offset, the offset being n·midpoint.
"""

from dataclasses import dataclass

import numpy as np

from brownid.errors import BrownidError

MAXIMUM_ITERATIONS = 10000


@dataclass(frozen=True)
class Covariate:
    """A unit normal, and where the two sides lie along it."""

    normal: np.ndarray  # [D], unit, float64, from the negative to the positive side
    offset: float  # of the hyperplane: n·w = offset on it
    negative_mean: float  # mean signed distance of the negative side from the hyperplane
    positive_mean: float
    accuracy: float  # share of the training latents on their own side
    negative_count: int
    positive_count: int

    def distance(self, latents: np.ndarray) -> np.ndarray:
        """The signed distance `[...]` of latents `[..., D]` from the hyperplane."""
        return latents @ self.normal - self.offset

    def direction(self, scale: float = 1.0) -> np.ndarray:
        """v = scale · max(−negative_mean, positive_mean) · n, `[D]` (design 2, DisCo)."""
        return scale * max(-self.negative_mean, self.positive_mean) * self.normal


def fit_covariate(latents: np.ndarray, positive: np.ndarray) -> Covariate:
    """The covariate of latents `[n, D]` whose positive side is the mask `positive` `[n]`; the others are negative.

    The solver works on the primal problem, which takes no random numbers: same input, same result.
    """
    latents, positive = np.asarray(latents, dtype=np.float64), np.asarray(positive, dtype=bool)
    if latents.ndim != 2 or positive.shape != (len(latents),):
        raise BrownidError(
            f"Latents {latents.shape} and mask {positive.shape} do not fit: one row and one mark each are needed."
        )
    if not np.isfinite(latents).all():
        raise BrownidError("Some latents are not finite numbers: leave failed projections out of the fit.")
    if positive.all() or not positive.any():
        raise BrownidError(
            f"A covariate needs images of both sides, but {positive.sum()} of {len(positive)} are positive: "
            "project more images, or check the attributes in the database index."
        )
    from sklearn.svm import LinearSVC  # here: importing it takes a second, and most stages only read covariates

    midpoint = (latents[positive].mean(axis=0) + latents[~positive].mean(axis=0)) / 2
    machine = LinearSVC(fit_intercept=False, max_iter=MAXIMUM_ITERATIONS, dual=False)
    machine.fit(latents - midpoint, positive)
    coefficients = machine.coef_[0]
    if not np.linalg.norm(coefficients) > 0:
        raise BrownidError("The two sides of the covariate have the same latents: there is no direction between them.")
    normal = coefficients / np.linalg.norm(coefficients)
    offset = float(normal @ midpoint)
    distances = latents @ normal - offset
    return Covariate(
        normal=normal,
        offset=offset,
        negative_mean=float(distances[~positive].mean()),
        positive_mean=float(distances[positive].mean()),
        accuracy=float(((distances > 0) == positive).mean()),
        negative_count=int((~positive).sum()),
        positive_count=int(positive.sum()),
    )


def classification_accuracy(covariate: Covariate, latents: np.ndarray, positive: np.ndarray) -> float:
    """The share of latents `[n, D]` on their own side of the hyperplane, for images that were not used in the fit."""
    return float(((covariate.distance(latents) > 0) == np.asarray(positive, dtype=bool)).mean())
