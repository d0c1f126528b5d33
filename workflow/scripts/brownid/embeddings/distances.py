"""Distributions of angles between embeddings, and the leak audit against the generator's training set."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.runtime.randomness import stream

BIN_EDGES = np.linspace(0, np.pi, 181)  # of histograms: one degree each
FINE_EDGES = np.linspace(0, np.pi, 20 * 180 + 1)  # of counts, for quantiles and distances: 0.0009 radians each
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
TILE = 2048


@dataclass
class AngleDistribution:
    """Count, mean, standard deviation, range, quantiles and histogram of angles (radians), added in any portions.

    `counts` int64 are those between `FINE_EDGES`.
    """

    count: int = 0
    total: float = 0.0
    total_squares: float = 0.0
    minimum: float = float("nan")
    maximum: float = float("nan")
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(FINE_EDGES) - 1, np.int64))

    @classmethod
    def of(cls, angles: np.ndarray) -> "AngleDistribution":
        """The distribution of these angles."""
        distribution = cls()
        distribution.add(angles)
        return distribution

    def add(self, angles: np.ndarray) -> None:
        """Count these angles (any shape, radians)."""
        if not angles.size:
            return
        angles = angles.astype(np.float64, copy=False).ravel()
        self.count += angles.size
        self.total += float(angles.sum())
        self.total_squares += float(np.square(angles).sum())
        self.minimum = float(np.fmin(self.minimum, angles.min()))
        self.maximum = float(np.fmax(self.maximum, angles.max()))
        self.counts += np.histogram(angles, len(self.counts), (0, np.pi))[0]

    @property
    def mean(self) -> float:
        """The mean angle; nan when there is none."""
        return self.total / self.count if self.count else float("nan")

    @property
    def std(self) -> float:
        """The standard deviation of the angles; nan when there is none."""
        return max(self.total_squares / self.count - self.mean**2, 0.0) ** 0.5 if self.count else float("nan")

    @property
    def histogram(self) -> np.ndarray:
        """Counts int64 `[180]` between `BIN_EDGES`."""
        return self.counts.reshape(len(BIN_EDGES) - 1, -1).sum(axis=1)

    def quantile(self, share: float) -> float:
        """The angle below which this share (above 0) of all lies, exact to a bin of `FINE_EDGES`; nan without any."""
        if not self.count:
            return float("nan")
        below = np.cumsum(self.counts)
        place = int(np.searchsorted(below, share * self.count))
        excess = (below[place] - share * self.count) / self.counts[place]
        angle = FINE_EDGES[place + 1] - excess * (FINE_EDGES[place + 1] - FINE_EDGES[place])
        return float(np.clip(angle, self.minimum, self.maximum))

    def as_dict(self) -> dict[str, Any]:
        """Count, mean, standard deviation, range and `QUANTILES` as plain numbers; without any angle None."""
        figures = {"mean": self.mean, "std": self.std, "minimum": self.minimum, "maximum": self.maximum}
        figures |= {name: self.quantile(share) for name, share in QUANTILES.items()}
        return {"count": self.count, **{name: value if self.count else None for name, value in figures.items()}}


def wasserstein_distance(first: ArrayLike, second: ArrayLike) -> float:
    """The Wasserstein-1 distance (radians) of two distributions, given by their counts between `FINE_EDGES`.

    W1 = ∫ |F(a) − G(a)| da for the cumulative distributions F and G: the mean angle by which one has to be moved to
    become the other (Vallender 1973). nan where one is empty.
    """
    cumulative = [np.cumsum(counts) / max(np.sum(counts), 1) for counts in (np.asarray(first), np.asarray(second))]
    if not all(np.any(shares) for shares in cumulative):
        return float("nan")
    return float(np.abs(cumulative[0] - cumulative[1]) @ np.diff(FINE_EDGES))


def nearest_angles(
    queries: ArrayLike, gallery: ArrayLike | None = None, tile: int = TILE
) -> tuple[np.ndarray, np.ndarray]:
    """For each query row `[n, E]` the nearest gallery row: indices int64 `[n]` and angles float64 `[n]`.

    Without a gallery the queries are compared with each other, each row leaving itself out. Of rows at exactly the
    same cosine the first counts.
    """
    queries = unit_rows(queries)
    own = gallery is None
    gallery = queries if gallery is None else unit_rows(gallery)
    if len(gallery) < (2 if own else 1):
        raise BrownidError(f"Nearest neighbours need someone to be near to; there are {len(gallery)} embeddings.")
    best = np.full(len(queries), -np.inf, np.float32)
    index = np.zeros(len(queries), np.int64)
    for rows, columns, cosines in cosine_tiles(queries, gallery, tile):
        if own:
            shared = np.arange(max(rows.start, columns.start), min(rows.stop, columns.stop))
            cosines[shared - rows.start, shared - columns.start] = -np.inf
        nearest = cosines.argmax(axis=1)
        value = cosines[np.arange(len(nearest)), nearest]
        better = value > best[rows]
        best[rows] = np.where(better, value, best[rows])
        index[rows] = np.where(better, nearest + columns.start, index[rows])
    return index, row_angles(queries, gallery[index])


def genuine_and_impostor(
    embeddings: ArrayLike,
    identities: Sequence[int] | np.ndarray,
    *,
    maximum_rows: int | None = None,
    seed: int = 0,
    tile: int = TILE,
) -> tuple[AngleDistribution, AngleDistribution]:
    """The angles of all pairs of one identity, and of all pairs of two identities, each pair once.

    The cost grows with the square of the rows: for a large set `maximum_rows` draws that many rows (addressed by
    `seed`) for the impostor pairs; genuine pairs are always complete.
    """
    embeddings, numbers = unit_rows(embeddings), np.asarray(identities)
    if numbers.shape != (len(embeddings),):
        raise BrownidError(f"{len(embeddings)} embeddings came with {len(numbers)} identities; each needs one.")
    genuine, impostor = AngleDistribution(), AngleDistribution()
    order = np.argsort(numbers, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        own = embeddings[members].astype(np.float64)  # small, and genuine angles come near 0
        cosines = own @ own.T
        genuine.add(_angles(cosines[np.triu_indices(len(members), 1)]))
    if maximum_rows is not None and len(embeddings) > maximum_rows:
        chosen = np.sort(stream(seed, "distances/impostors").permutation(len(embeddings))[:maximum_rows])
        embeddings, numbers = embeddings[chosen], numbers[chosen]
    for rows, columns, cosines in cosine_tiles(embeddings, embeddings, tile, upper=True):
        pairs = numbers[rows, None] != numbers[None, columns]
        if rows.start == columns.start:
            pairs = np.triu(pairs, 1)
        impostor.add(_angles(cosines[pairs]))
    return genuine, impostor


def distance_distributions(
    embeddings: ArrayLike,
    identities: Sequence[int] | np.ndarray,
    training: ArrayLike | None = None,
    *,
    maximum_rows: int | None = None,
    seed: int = 0,
) -> dict[str, AngleDistribution]:
    """The distributions of a dataset: `genuine`, `impostor`, `nearest` (between references) and, where a training set
    of the generator is given, `to_training` (to its nearest member).

    The nearest-neighbour figures use the first row of each identity, which is its reference.
    """
    embeddings = unit_rows(embeddings)
    genuine, impostor = genuine_and_impostor(embeddings, identities, maximum_rows=maximum_rows, seed=seed)
    result = {"genuine": genuine, "impostor": impostor}
    references = embeddings[np.sort(np.unique(np.asarray(identities), return_index=True)[1])]
    if len(references) > 1:
        result["nearest"] = AngleDistribution.of(nearest_angles(references)[1])
    if training is not None:
        result["to_training"] = AngleDistribution.of(nearest_angles(references, training)[1])
    return result


def row_angles(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """The angles `[n]` between the rows of two arrays of unit vectors `[n, E]`, float64, exact for equal rows."""
    difference = np.linalg.norm(np.asarray(first, np.float64) - np.asarray(second, np.float64), axis=1)
    return 2 * np.arcsin(np.clip(difference / 2, 0, 1))


def unit_rows(embeddings: ArrayLike) -> np.ndarray:
    """Embeddings `[n, E]` as normalised float32 rows; BrownidError when one is zero or not finite."""
    given = np.asarray(embeddings)
    if given.ndim != 2:
        raise BrownidError(f"Embeddings have the shape {given.shape}; expected [number, dimension].")
    unit = np.empty(given.shape, np.float32)
    for start in range(0, len(given), TILE):  # in float64, but never all of them
        rows = given[start : start + TILE].astype(np.float64, copy=False)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        wrong = ~(np.isfinite(norms) & (norms > 0))[:, 0]
        if wrong.any():
            raise BrownidError(f"Embedding {start + int(wrong.argmax())} is zero or not finite and has no direction.")
        unit[start : start + TILE] = rows / norms
    return unit


def cosine_tiles(
    queries: np.ndarray, gallery: np.ndarray, tile: int, upper: bool = False
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Rows, columns and float32 cosines of the tiles of unit rows; `upper`: only those on and above the diagonal."""
    for start in range(0, len(queries), tile):
        rows = slice(start, min(start + tile, len(queries)))
        for other in range(start if upper else 0, len(gallery), tile):
            columns = slice(other, min(other + tile, len(gallery)))
            yield rows, columns, queries[rows] @ gallery[columns].T


def _angles(cosines: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip(cosines.astype(np.float64), -1, 1))


@dataclass(frozen=True)
class ClosePair:
    """A reference and a training image, by row, and the angle between their embeddings in radians."""

    reference: int
    training: int
    angle: float


def leak_audit(references: ArrayLike, training: ArrayLike, pairs: int = 20, tile: int = TILE) -> list[ClosePair]:
    """The `pairs` closest of references `[n, E]` and training embeddings `[m, E]`, compared tile by tile.

    The smallest angle of all n * m comes first; equal angles stand in the order of their rows. Of a tile only the
    cosines are sorted that reach the worst of the pairs kept so far, hardly any.
    """
    if pairs < 1:
        raise BrownidError(f"The leak audit was asked for {pairs} pairs; ask for at least 1.")
    references, training = unit_rows(references), unit_rows(training)
    best = np.empty(0, np.float32)
    index = np.empty((0, 2), np.int64)
    for rows, columns, cosines in cosine_tiles(references, training, tile):
        found = cosines.ravel()
        top = np.flatnonzero(found >= _bound(best, cosines.max(axis=1), pairs))
        top = top[_largest(found[top], pairs)]
        places = np.stack(np.unravel_index(top, cosines.shape), axis=1) + np.array([rows.start, columns.start])
        best, index = np.append(best, found[top]), np.concatenate([index, places])
        kept = _largest(best, pairs)
        best, index = best[kept], index[kept]
    angles = row_angles(references[index[:, 0]], training[index[:, 1]])
    order = np.lexsort((index[:, 1], index[:, 0], angles))
    return [ClosePair(int(index[i, 0]), int(index[i, 1]), float(angles[i])) for i in order]


def write_audit(
    path: str | Path, closest: Sequence[ClosePair], reference_names: Sequence[str], training_names: Sequence[str]
) -> None:
    """Write the closest pairs as CSV: rank, reference, training image, angle in radians."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("rank", "reference", "training_image", "angle"))
        for rank, pair in enumerate(closest, 1):
            writer.writerow((rank, reference_names[pair.reference], training_names[pair.training], f"{pair.angle:.6f}"))


def _bound(best: np.ndarray, maxima: np.ndarray, count: int) -> float:
    """A lower bound of the `count` largest cosines from those found so far and the largest of each row of a tile."""
    known = [float(np.partition(values, -count)[-count]) for values in (best, maxima) if len(values) >= count]
    return max(known, default=-np.inf)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    return np.argpartition(-values, count - 1)[:count] if len(values) > count else np.arange(len(values))
