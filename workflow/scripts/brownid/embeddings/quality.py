"""Quality of a dataset of faces under a judge: an FR network that played no part in making the dataset.

An identity is represented by its reference, the first of its rows. Terms are those of ISO/IEC 19795-1: genuine pairs
show one identity, impostor pairs two; the closed-set rank-1 identification rate is the share of probes whose nearest
gallery entry is their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from brownid.embeddings.distances import (
    QUANTILES,
    TILE,
    AngleDistribution,
    cosine_tiles,
    nearest_angles,
    row_angles,
    unit_rows,
)
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress


@dataclass(frozen=True, eq=False)
class DatasetQuality:
    """What a judge measured of N identities; angles are in radians."""

    identities: np.ndarray  # int64 [N], rising
    images: np.ndarray  # int64 [N], the reference included
    reference_angles: np.ndarray  # [N], mean angle of the other images to the reference; nan without any
    consistency: np.ndarray  # [N], share of the other images that are nearest to their own reference; nan without any
    impostor_angles: np.ndarray  # [N], to the nearest other reference; nan where there is none
    nearest_identities: np.ndarray  # int64 [N], whose that reference is; the own where there is no other
    leak_angles: np.ndarray  # [N], of the reference to the nearest image of the training set; nan without one
    genuine: AngleDistribution  # of all pairs of images of one identity
    consistent: AngleDistribution  # of those pairs whose images are both nearest to their own reference
    impostors: AngleDistribution  # from each reference to its nearest other reference
    leaks: AngleDistribution  # from each reference to the nearest image of the generator's training set
    near_duplicates: int  # genuine pairs below the threshold

    @property
    def figures(self) -> dict[str, float | None]:
        """The row of the quality table; None where there is nothing to measure."""
        probes = self.images - 1
        known = ~np.isnan(self.consistency)
        found = {
            "identities": len(self.identities),
            "images": int(self.images.sum()),
            "identity_consistency": _ratio(float(self.consistency[known] @ probes[known]), int(probes[known].sum())),
            "genuine_mean": self.genuine.mean,
            **{f"genuine_{name}": self.genuine.quantile(share) for name, share in QUANTILES.items()},
            "diversity": self.consistent.mean,
            "near_duplicates": _ratio(self.near_duplicates, self.genuine.count),
            "nearest_impostor_mean": self.impostors.mean,
            "nearest_impostor_q05": self.impostors.quantile(0.05),
            "leak_minimum": self.leaks.minimum,
            "leak_q05": self.leaks.quantile(0.05),
        }
        return {name: None if np.isnan(value) else value for name, value in found.items()}

    @property
    def angles(self) -> dict[str, dict[str, Any]]:
        """Genuine angles and those of the nearest impostor: figures and counts, as JSON holds them."""
        return {
            name: {**distribution.as_dict(), "counts": distribution.counts.tolist()}
            for name, distribution in (("genuine", self.genuine), ("nearest_impostor", self.impostors))
        }

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The table of the identities, `[N]` per column."""
        return {
            "identity": self.identities,
            "images": self.images,
            "reference_angle": self.reference_angles,
            "consistency": self.consistency,
            "nearest_impostor": self.impostor_angles,
            "nearest_identity": self.nearest_identities,
            "leak_angle": self.leak_angles,
        }


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")


def measure_dataset(
    embeddings: ArrayLike,
    identities: Sequence[int] | np.ndarray,
    *,
    near_duplicate_angle: float,
    training: ArrayLike | None = None,
) -> DatasetQuality:
    """Measure a dataset by the judge's embeddings `[n, E]` of its images.

    - Identity consistency: the rank-1 identification rate of all images but the references, which are the gallery.
    - Genuine angles: of all pairs of images of one identity, the reference included.
    - Diversity: the mean genuine angle of the pairs whose images are both nearest to their own reference, so that an
      image that lost its identity does not count as a variation of it.
    - Near-duplicates: genuine pairs whose angle is below `near_duplicate_angle` (radians).
    - Nearest impostor: the angle of each reference to its nearest other reference.
    - Leak: the angle of each reference to the nearest of `training` `[m, E]`, images of the generator's training set.

    Memory is that of two copies of the embeddings, a few tiles, and the pairs of one identity.
    """
    unit, numbers = unit_rows(embeddings), np.asarray(identities)
    if numbers.shape != (len(unit),):
        raise BrownidError(f"{len(unit)} embeddings came with {len(numbers)} identities; each needs one.")
    found, references, owners, images = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True)
    gallery = unit[references]
    angles, nearest_other, recognised = _compared(unit, gallery, owners)
    recognised[references] = True
    probes = np.setdiff1d(np.arange(len(unit)), references)
    weights = np.where(images > 1, images - 1.0, np.nan)
    alone = len(found) == 1
    impostor_angles = np.full(1, np.nan) if alone else row_angles(gallery, gallery[nearest_other[references]])
    leak_angles = np.full(len(found), np.nan) if training is None else nearest_angles(gallery, training)[1]
    genuine, consistent, near_duplicates = _genuine_pairs(unit, owners, recognised, near_duplicate_angle)
    return DatasetQuality(
        identities=found,
        images=images,
        reference_angles=np.bincount(owners[probes], angles[probes], len(found)) / weights,
        consistency=np.bincount(owners[probes], recognised[probes], len(found)) / (np.nan if alone else weights),
        impostor_angles=impostor_angles,
        nearest_identities=found[nearest_other[references]],
        leak_angles=leak_angles,
        genuine=genuine,
        consistent=consistent,
        impostors=AngleDistribution.of(impostor_angles[~np.isnan(impostor_angles)]),
        leaks=AngleDistribution.of(leak_angles[~np.isnan(leak_angles)]),
        near_duplicates=near_duplicates,
    )


def _compared(unit: np.ndarray, gallery: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit rows `[n, E]` against the references `[N, E]`, of which `owners` `[n]` are their own.

    The angles to the own reference, the rows of the nearest other one, and whether the own is nearer; each `[n]`.
    """
    angles, nearest, recognised = np.empty(len(unit)), np.zeros(len(unit), np.int64), np.ones(len(unit), bool)
    for start in progress(range(0, len(unit), TILE), "nearest references", "block"):
        block = slice(start, start + TILE)
        queries, own = unit[block], owners[block]
        angles[block] = row_angles(queries, gallery[own])
        best, own_cosines = np.full(len(queries), -np.inf, np.float32), np.empty(len(queries), np.float32)
        for _, columns, cosines in cosine_tiles(queries, gallery, TILE):
            here = np.flatnonzero((own >= columns.start) & (own < columns.stop))
            own_cosines[here] = cosines[here, own[here] - columns.start]
            cosines[here, own[here] - columns.start] = -np.inf
            candidates = cosines.argmax(axis=1)
            values = cosines[np.arange(len(queries)), candidates]
            better = values > best
            best[better], nearest[block][better] = values[better], candidates[better] + columns.start
        recognised[block] = own_cosines > best
    return angles, nearest, recognised


def _genuine_pairs(
    unit: np.ndarray, owners: np.ndarray, recognised: np.ndarray, near_duplicate_angle: float
) -> tuple[AngleDistribution, AngleDistribution, int]:
    """Angles of all genuine pairs and of those of two recognised images, and how many are near-duplicates."""
    genuine, consistent, near_duplicates = AngleDistribution(), AngleDistribution(), 0
    order = np.argsort(owners, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(owners[order])) + 1)
    for rows in progress(groups, "genuine pairs", "identity"):
        first, second = np.triu_indices(len(rows), 1)
        own = unit[rows].astype(np.float64)  # genuine angles come near 0
        angles = np.arccos(np.clip((own @ own.T)[first, second], -1, 1))
        genuine.add(angles)
        consistent.add(angles[recognised[rows[first]] & recognised[rows[second]]])
        near_duplicates += int((angles < near_duplicate_angle).sum())
    return genuine, consistent, near_duplicates
