"""Within-class covariance of projected photographs: how the latents of one person vary over photographs.

The pooled estimate of linear discriminant analysis and PLDA, S = Σ (w − w̄_person)(w − w̄_person)ᵀ / (n − persons), with
shrunk eigenvalues. It needs identities, no attribute labels. With M = `WithinClass.root(share)` `[r, D]` and
ξ ~ N(0, I) `[n, r]`, the rows of ξ M have this covariance C in its leading directions: MᵀM ≈ C.

Latents of W are `[n, D]`. Latents of W+ are `[n, L·D]`, the layers of a photograph in order in one row: the covariance
is across all layers, and `root(share).reshape(-1, L, D)` gives latents of W+. A within_class.h5 holds the covariance of
W, and that of W+ where the photographs were projected into W+: `load_within_class(path, space="w_plus")`. It is a file
of its own, so that a change of this estimate makes nothing again that follows from the directions in covariates.h5.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brownid.runtime.errors import BrownidError
from brownid.samples import hdf5

LEAST_PERSONS = 2  # with two images or more; fewer are not pooled
FEW_PERSONS = 10  # that the log warns of
# All of W has 512 directions. Of W+, where all would take a gigabyte, the leading ones are kept.
MOST_DIRECTIONS = 512
# Directions with a smaller share of the largest variance are rounding of latents that are stored in float32.
LEAST_VARIANCE = 1e-10
BLOCK = 1024  # rows that are centred at a time
ARRAYS = ("directions", "variances", "eigenvalues")


@dataclass(frozen=True, eq=False)
class WithinClass:
    """A within-class covariance by its directions, in decreasing order of variance, and what it was fitted on."""

    directions: np.ndarray  # [R, D], orthonormal rows, float64
    variances: np.ndarray  # [R], shrunk, along the directions
    eigenvalues: np.ndarray  # [rank], of the pooled scatter, not shrunk; R = min(rank, MOST_DIRECTIONS)
    shrinkage: float  # weight of the mean eigenvalue, between 0 and 1
    persons: int  # that were pooled: those with two images or more
    images: int  # of these persons
    fewest_images: int  # of a pooled person
    most_images: int
    excluded_persons: int  # with one image only, which says nothing about variation within a person

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

    def leading(self, *, directions: int | None = None, variance_share: float | None = None) -> np.ndarray:
        """The leading `directions` `[r, D]`, or those that hold a share of the variance: give one of the two.

        Raises BrownidError where there are fewer, and as `count` does.
        """
        if variance_share is not None and directions is None:
            wanted = self.count(variance_share)
        elif directions is not None and variance_share is None:
            wanted = directions
        else:
            raise BrownidError("Give either directions or variance_share for the leading within-class directions.")
        if not 0 < wanted <= len(self.directions):
            raise BrownidError(
                f"{wanted} leading within-class directions are wanted, but there are {len(self.directions)}: give a "
                "number from 1 to that."
            )
        return self.directions[:wanted]


NUMBERS: dict[str, Any] = {field.name: field.type for field in fields(WithinClass) if field.name not in ARRAYS}


def fit_within_class(latents: np.ndarray, persons: Sequence[int] | np.ndarray) -> WithinClass:
    """The within-class covariance of latents `[n, D]` of the `persons` `[n]`, pooled over those with two or more.

    The directions are those of the pooled scatter. Its eigenvalues λ become (1 − ρ) λ + ρ tr(S) / D, with the weight ρ
    of the oracle approximating shrinkage estimator (`oas_shrinkage`). The part of that estimate outside the span of the
    data is left out: it is isotropic noise.

    Raises BrownidError where fewer than two persons have two images, where a person's latents do not vary, and for
    latents that are no finite numbers.
    """
    latents, persons = np.asarray(latents), np.asarray(persons)
    if latents.ndim != 2 or persons.shape != (len(latents),):
        raise BrownidError(
            f"Latents {latents.shape} and persons {persons.shape} do not fit: one row and one person each are needed."
        )
    if not np.isfinite(latents).all():
        raise BrownidError("Some latents are not finite numbers: leave failed projections out of the fit.")
    _, row_persons, counts = np.unique(persons, return_inverse=True, return_counts=True)
    pooled = counts > 1
    check_pooled(int(pooled.sum()), len(counts), "The latents are those of")
    order = np.argsort(row_persons, kind="stable")
    order = order[pooled[row_persons[order]]]  # the rows of each person one after the other
    counts, dimensions = counts[pooled], latents.shape[1]
    freedom = len(order) - len(counts)
    eigenvalues, directions = _principal_axes(_deviations(latents, order, counts), len(order), dimensions)
    eigenvalues = eigenvalues / freedom
    rounding = np.finfo(np.float32).eps * np.abs(latents).max()
    if not eigenvalues.sum() > dimensions * rounding**2:
        raise BrownidError("The images of each person have the same latents: there is no variation within a person.")
    shrinkage = oas_shrinkage(eigenvalues, dimensions, freedom)
    shrunk = (1 - shrinkage) * eigenvalues + shrinkage * eigenvalues.sum() / dimensions
    return WithinClass(
        directions=directions[:MOST_DIRECTIONS],
        variances=shrunk[:MOST_DIRECTIONS],
        eigenvalues=eigenvalues,
        shrinkage=shrinkage,
        persons=len(counts),
        images=len(order),
        fewest_images=int(counts.min()),
        most_images=int(counts.max()),
        excluded_persons=int((~pooled).sum()),
    )


def check_pooled(pooled: int, persons: int, place: str) -> None:
    """Refuse fewer than two persons with two images; `place` begins the sentence."""
    if pooled < LEAST_PERSONS:
        raise BrownidError(
            f"{place} {persons} persons, {pooled} of them with two images or more, and a within-class covariance needs "
            f"{LEAST_PERSONS} such persons: project more images of the same persons."
        )


def _deviations(latents: np.ndarray, order: np.ndarray, counts: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of deviations from the person's mean, float64 `[m, D]`, of the rows in this `order`.

    `counts` are the numbers of rows of each person, who follow one another.
    """
    ends = np.cumsum(counts)
    person = 0
    while person < len(counts):
        begin = int(ends[person] - counts[person])
        stop = max(person + 1, int(np.searchsorted(ends, begin + BLOCK, side="right")))
        rows = latents[order[begin : ends[stop - 1]]].astype(np.float64)
        starts = ends[person:stop] - counts[person:stop] - begin
        means = np.add.reduceat(rows, starts, axis=0) / counts[person:stop, None]
        yield rows - np.repeat(means, counts[person:stop], axis=0)
        person = stop


def _principal_axes(blocks: Iterable[np.ndarray], count: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues `[rank]` of XᵀX in decreasing order, and their unit eigenvectors as rows `[rank, D]`.

    X `[count, D]` comes in blocks of rows. The smaller one of XᵀX and XXᵀ is decomposed. The sign of each vector
    makes its largest component positive.
    """
    if count > dimensions:
        scatter, rows = np.zeros((dimensions, dimensions)), None
        for block in blocks:
            scatter += block.T @ block
    else:
        rows = np.concatenate(list(blocks))
        scatter = rows @ rows.T
    values, vectors = np.linalg.eigh(scatter)
    values, vectors = values[::-1], vectors[:, ::-1]
    sound = values > LEAST_VARIANCE * values[0]
    values, axes = values[sound], vectors[:, sound].T
    if rows is not None:
        axes = axes @ rows / np.sqrt(values[:, None])
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return values, axes * np.sign(largest)


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


MAGIC = "brownid_within_class"
MAJOR = 1


def save_within_class(
    path: str | Path,
    spaces: Mapping[str, WithinClass],
    *,
    generator: str,
    settings: Mapping[str, object] | None = None,
) -> None:
    """Write the within-class covariances of one generator by latent space (`w`, `w_plus`).

    A group per space has the arrays as datasets and the numbers as attributes. `settings`, what made them, becomes an
    attribute in JSON.
    """
    with hdf5.writing(path) as file:
        file.attrs.update({"major": MAJOR, "minor": 0})
        for name, text in {"magic": MAGIC, "generator": generator}.items():
            hdf5.set_text(file, name, text)
        hdf5.set_settings(file, settings or {})
        for space, found in spaces.items():
            group = file.create_group(space)
            for name in ARRAYS:
                hdf5.set_array(group, name, getattr(found, name))
            for name in NUMBERS:
                group.attrs[name] = getattr(found, name)


def load_within_class(path: str | Path, *, generator: str | None = None, space: str = "w") -> WithinClass:
    """The within-class covariance of a latent space, `w` or `w_plus`, that `save_within_class` wrote.

    Raises BrownidError, naming the file, where it has none of that space, is damaged or belongs to another generator.
    """
    with _reading(path, generator) as file:
        if space not in file:
            remedy = "project the images into W+ (projection.space: w_plus)" if space == "w_plus" else "make it again"
            raise BrownidError(f"{path} holds no within-class covariance of the space {space}: {remedy}.")
        group = file[space]
        numbers: dict[str, Any] = {number: hdf5.attribute(group, number, kind) for number, kind in NUMBERS.items()}
        arrays = {array: hdf5.array(group, array, np.floating).astype(np.float64) for array in ARRAYS}
        found = WithinClass(**{**numbers, **arrays})
        kept = len(found.directions)
        whole = kept == len(found.variances) <= found.rank and None not in numbers.values() and kept > 0
        if not whole or not np.allclose(found.directions @ found.directions.T, np.eye(kept), atol=1e-6):
            raise BrownidError(f"{path}: its within-class covariance is not whole: make the file again.")
        return found


def stored_spaces(path: str | Path) -> list[str]:
    """The latent spaces, of `w` and `w_plus`, whose within-class covariance a file holds."""
    with _reading(path) as file:
        return [space for space in ("w", "w_plus") if space in file]


@contextmanager
def _reading(path: str | Path, generator: str | None = None) -> Iterator[h5py.File]:
    """The opened file, checked to be one, and to belong to the `generator` if one is given."""
    with hdf5.reading(path) as file:
        if hdf5.attribute(file, "magic") != MAGIC or hdf5.attribute(file, "major", int) != MAJOR:
            raise BrownidError(f"{path} is not a within-class covariance of version {MAJOR}: name the right file.")
        theirs = hdf5.attribute(file, "generator")
        if generator is not None and theirs != generator:
            raise BrownidError(
                f"{path} belongs to the generator {theirs!r}, not to {generator!r}: "
                "a within-class covariance lies in the latent space of one generator."
            )
        yield file
