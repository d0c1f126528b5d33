"""The leak audit: how close the references come to the persons of the generator's training set."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from brownid.benchmark.distances import TILE, row_angles, unit_rows
from brownid.errors import BrownidError
from brownid.files import atomic_path


@dataclass(frozen=True)
class ClosePair:
    """A reference and a training image, by row, and the angle between their embeddings in radians."""

    reference: int
    training: int
    angle: float


def leak_audit(references: ArrayLike, training: ArrayLike, pairs: int = 20, tile: int = TILE) -> list[ClosePair]:
    """The `pairs` closest of references `[n, E]` and training embeddings `[m, E]`, compared tile by tile.

    The smallest angle of all n * m comes first; equal angles stand in the order of their rows.
    """
    if pairs < 1:
        raise BrownidError(f"The leak audit was asked for {pairs} pairs; ask for at least 1.")
    references, training = unit_rows(references), unit_rows(training)
    best = np.empty(0, np.float32)
    index = np.empty((0, 2), np.int64)
    for row in range(0, len(references), tile):
        for column in range(0, len(training), tile):
            cosines = references[row : row + tile] @ training[column : column + tile].T
            top = _largest(cosines.ravel(), pairs)
            places = np.stack(np.unravel_index(top, cosines.shape), axis=1) + np.array([row, column])
            best, index = np.append(best, cosines.ravel()[top]), np.concatenate([index, places])
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


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    return np.argpartition(-values, count - 1)[:count] if len(values) > count else np.arange(len(values))
