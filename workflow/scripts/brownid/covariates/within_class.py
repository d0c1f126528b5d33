"""Within-class covariance of projected photographs: how the latents of one person vary over photographs.

The pooled estimate of linear discriminant analysis and PLDA, S = Σ (w − w̄_person)(w − w̄_person)ᵀ / (n − persons), with
shrunk eigenvalues. It needs identities, no attribute labels. With M = `WithinClass.root(share)` `[r, D]` and
ξ ~ N(0, I) `[n, r]`, the rows of ξ M have this covariance C in its leading directions: MᵀM ≈ C.

Latents of W are `[n, D]`. Latents of W+ are `[n, L·D]`, the layers of a photograph in order in one row: the covariance
is across all layers, and `root(share).reshape(-1, L, D)` gives latents of W+. A covariates.h5 holds the covariance of
W, and that of W+ where the photographs were projected into W+: `load_within_class(path, space="w_plus")`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brownid.covariates.directions import WITHIN_CLASS, reading_covariates
from brownid.runtime.errors import BrownidError
from brownid.samples import hdf5

MOST_DIRECTIONS = 1024  # that are kept: all of W, and the leading ones of W+, where all would take a gigabyte
ARRAYS = ("directions", "variances", "eigenvalues")


@dataclass(frozen=True, eq=False)
class WithinClass:
    """A within-class covariance by its directions, in decreasing order of variance."""

    directions: np.ndarray  # [R, D], orthonormal rows, float64
    variances: np.ndarray  # [R], shrunk, along the directions
    eigenvalues: np.ndarray  # [rank], of the pooled scatter, not shrunk; R = min(rank, MOST_DIRECTIONS)
    shrinkage: float  # weight of the mean eigenvalue, between 0 and 1
    persons: int  # that were pooled: those with two images or more
    images: int  # of these persons
    fewest_images: int  # of a pooled person
    most_images: int
    excluded_persons: int  # with one image only, which say nothing about variation within a person

    @property
    def rank(self) -> int:
        """The number of directions in which the latents of a person vary: at most images − persons."""
        return len(self.eigenvalues)

    def shares(self) -> np.ndarray:
        """Cumulated shares `[rank]` of the variance, not shrunk: what the leading 1, 2, ... directions hold."""
        return np.cumsum(self.eigenvalues) / self.eigenvalues.sum()

    def count(self, share: float) -> int:
        """The number of leading directions that hold at least this share of the variance, not shrunk.

        Raises BrownidError for a share outside (0, 1], and for one that more directions hold than were kept.
        """
        if not 0 < share <= 1:
            raise BrownidError(f"A share of the within-class variance must lie between 0 and 1, got {share}.")
        shares = self.shares()
        needed = min(int(np.searchsorted(shares, share * (1 - 1e-12))) + 1, self.rank)
        if needed > len(self.directions):
            raise BrownidError(
                f"The {len(self.directions)} directions that were kept of the within-class covariance hold "
                f"{shares[len(self.directions) - 1]:.4f} of its variance: ask for a smaller share than {share}."
            )
        return needed

    def root(self, share: float = 1.0) -> np.ndarray:
        """`[r, D]`: sqrt(variance) · direction of the leading directions that hold this share of the variance."""
        leading = slice(self.count(share))
        return np.sqrt(self.variances[leading, None]) * self.directions[leading]

    def write(self, group: h5py.Group) -> None:
        """Write it into an empty group of a covariates.h5: the arrays as datasets, the numbers as attributes."""
        for name in ARRAYS:
            hdf5.set_array(group, name, getattr(self, name))
        for name in NUMBERS:
            group.attrs[name] = getattr(self, name)


NUMBERS: dict[str, Any] = {field.name: field.type for field in fields(WithinClass) if field.name not in ARRAYS}


def fit_within_class(latents: np.ndarray, persons: Sequence[int] | np.ndarray) -> WithinClass:
    """The within-class covariance of latents `[n, D]` of the `persons` `[n]`, pooled over those with two or more.

    The directions are those of the pooled scatter. Its eigenvalues λ become (1 − ρ) λ + ρ tr(S) / D, with the weight ρ
    of the oracle approximating shrinkage estimator (`oas_shrinkage`). The part of that estimate outside the span of the
    data is left out: there it is isotropic noise, which tells nothing about faces.

    Raises BrownidError where fewer than two persons have two images, where a person's latents do not vary, and for
    latents that are no finite numbers.
    """
    latents, persons = np.asarray(latents, dtype=np.float64), np.asarray(persons)
    if latents.ndim != 2 or persons.shape != (len(latents),):
        raise BrownidError(
            f"Latents {latents.shape} and persons {persons.shape} do not fit: one row and one person each are needed."
        )
    if not np.isfinite(latents).all():
        raise BrownidError("Some latents are not finite numbers: leave failed projections out of the fit.")
    _, rows_person, counts = np.unique(persons, return_inverse=True, return_counts=True)
    pooled = counts > 1
    if pooled.sum() < 2:
        raise BrownidError(
            f"A within-class covariance needs two persons with two images each, but {pooled.sum()} of {len(counts)} "
            "persons have that many: project more images."
        )
    sums = np.zeros((len(counts), latents.shape[1]))
    np.add.at(sums, rows_person, latents)
    deviations = (latents - (sums / counts[:, None])[rows_person])[pooled[rows_person]]
    counts, dimensions = counts[pooled], latents.shape[1]
    freedom = len(deviations) - len(counts)
    eigenvalues, directions = _principal_axes(deviations / np.sqrt(freedom))
    if not len(eigenvalues):
        raise BrownidError("The images of each person have the same latents: there is no variation within a person.")
    shrinkage = oas_shrinkage(eigenvalues, dimensions, freedom)
    shrunk = (1 - shrinkage) * eigenvalues + shrinkage * eigenvalues.sum() / dimensions
    return WithinClass(
        directions=directions[:MOST_DIRECTIONS],
        variances=shrunk[:MOST_DIRECTIONS],
        eigenvalues=eigenvalues,
        shrinkage=shrinkage,
        persons=len(counts),
        images=len(deviations),
        fewest_images=int(counts.min()),
        most_images=int(counts.max()),
        excluded_persons=int((~pooled).sum()),
    )


def oas_shrinkage(eigenvalues: np.ndarray, dimensions: int, freedom: int) -> float:
    """The shrinkage weight ρ of OAS (Chen, Wiesel, Eldar and Hero, 2010, equation 23) for a scatter matrix S.

    ρ = min(1, ((1 − 2/D) tr S² + tr² S) / ((f + 1 − 2/D) (tr S² − tr² S / D))), where the degrees of freedom f = n −
    persons stand for the number of samples: S is the mean of f independent samples under Helmert contrasts per person.
    """
    trace, squares = float(eigenvalues.sum()), float(np.square(eigenvalues).sum())
    spread = squares - trace**2 / dimensions
    if spread <= 0:  # isotropic already
        return 1.0
    two = 2 / dimensions
    return min(1.0, ((1 - two) * squares + trace**2) / ((freedom + 1 - two) * spread))


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues `[rank]` of rowsᵀ rows in decreasing order, and their unit eigenvectors as rows `[rank, D]`.

    By the singular values of the rows, or of their triangular factor where there are more rows than columns. The sign
    of each vector is that which makes its largest component positive.
    """
    count, dimensions = rows.shape
    if count > dimensions:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
    _, singular, axes = np.linalg.svd(rows, full_matrices=False)
    sound = singular > singular[0] * max(count, dimensions) * np.finfo(np.float64).eps
    axes = axes[sound]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return np.square(singular[sound]), axes * np.sign(largest)


def load_within_class(path: str | Path, *, generator: str | None = None, space: str = "w") -> WithinClass:
    """The within-class covariance in a covariates.h5, of the space `w` or `w_plus`.

    Raises BrownidError, naming the file, where it has none of that space, is damaged or belongs to another generator.
    """
    with reading_covariates(path, generator) as file:
        name = WITHIN_CLASS[space]
        if name not in file:
            remedy = "project the photographs in that space" if space == "w_plus" else "fit the covariates again"
            raise BrownidError(f"{path} holds no within-class covariance of the space {space}: {remedy}.")
        group = file[name]
        numbers: dict[str, Any] = {number: hdf5.attribute(group, number, kind) for number, kind in NUMBERS.items()}
        arrays = {array: hdf5.array(group, array, np.floating).astype(np.float64) for array in ARRAYS}
        found = WithinClass(**{**numbers, **arrays})
        kept = len(found.directions)
        whole = kept == len(found.variances) <= found.rank and None not in numbers.values() and kept > 0
        if not whole or not np.allclose(found.directions @ found.directions.T, np.eye(kept), atol=1e-6):
            raise BrownidError(f"{path}: its within-class covariance is not whole: make the file again.")
        return found
