"""How far apart identities stand at each stage from a packing on the hypersphere to its pictures, as numbers.

HyperFace (Otroshi Shahreza, Marcel, ICLR 2025) parts unit vectors, not faces. What a generator makes of them is
measured here the same way: the angle of each identity to its nearest other one, at the start, in the targets, in the
embeddings that an inversion reached, and in the rendered images. All stages are about the same identities, row by row:
the fewer there are, the farther apart they stand, whatever was done to them.
"""

from collections.abc import Mapping

import numpy as np

from brownid.embeddings.distances import nearest_angles, row_angles, unit_rows
from brownid.hyperface.energy import simplex_bound
from brownid.runtime.errors import BrownidError

START, TARGETS, REACHED, IMAGES = "start", "targets", "embeddings reached", "rendered images"
PAIRS = {  # how far a stage misses the one before
    "latent to target": (REACHED, TARGETS),
    "image to target": (IMAGES, TARGETS),
    "image to latent's embedding": (IMAGES, REACHED),
}
FIGURES = {"minimum": np.min, "mean": np.mean, "maximum": np.max}
COLUMNS = ["measured", *FIGURES, "count"]
LEAST_GAIN = 1e-4  # radians; who gained less did not move, and there is no share of nothing

Row = dict[str, str | float | int]  # of `COLUMNS`; a figure that means nothing is left out


def separations(stages: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Nearest-neighbour angles float64 `[k]` (radians) of every stage's embeddings `[k, E]`."""
    for name, embeddings in stages.items():
        if len(embeddings) < 2:
            raise BrownidError(
                f"The packing's {name} are {len(embeddings)}, and whoever is alone has no neighbour: if the inversion "
                "rejected the others, raise its maximum_angle"
            )
    return {name: nearest_angles(embeddings)[1] for name, embeddings in stages.items()}


def gain_kept(angles: Mapping[str, np.ndarray], stage: str) -> dict[str, float]:
    """The share that a stage has of what the packing added to the smallest, mean and largest nearest-neighbour angle.

    1 where it stands as far apart as the targets, 0 where as the start, negative where closer than that. A figure that
    the packing did not raise is left out.
    """
    shares = {}
    for name, of in FIGURES.items():
        before, best, now = (float(of(angles[key])) for key in (START, TARGETS, stage))
        if best - before > LEAST_GAIN:
            shares[name] = (now - before) / (best - before)
    return shares


def packing_table(
    stages: Mapping[str, np.ndarray], angles: Mapping[str, np.ndarray], unselected: Mapping[str, np.ndarray]
) -> list[Row]:
    """The table of a packing: rows of `COLUMNS`, angles in radians, shares of the gain as numbers (1 = all of it).

    `stages` are embeddings `[k, E]` of the identities that have pictures, by stage, and `angles` their
    `separations`. `unselected` are start and targets `[n, E]` of all identities where an inversion rejected some, else
    empty.
    """
    rows = _separation_rows(stages, angles, "")
    for stage in (REACHED, IMAGES):
        if stage in stages:
            shares = gain_kept(angles, stage)
            rows.append({"measured": f"share of the gain kept, {stage}", **shares, "count": len(stages[stage])})
    for name, (first, second) in PAIRS.items():
        if first in stages and second in stages:
            rows.append(_row(name, row_angles(unit_rows(stages[first]), unit_rows(stages[second]))))
    if unselected:
        rows += _separation_rows(unselected, separations(unselected), ", rejected identities included")
    return rows


def _separation_rows(stages: Mapping[str, np.ndarray], angles: Mapping[str, np.ndarray], suffix: str) -> list[Row]:
    count, dimension = stages[TARGETS].shape
    bound = {"measured": f"largest possible smallest angle{suffix}", "minimum": simplex_bound(count, dimension)}
    return [
        *(_row(f"nearest neighbour, {stage}{suffix}", found) for stage, found in angles.items()),
        {**bound, "count": count},
    ]


def _row(measured: str, angles: np.ndarray) -> Row:
    return {"measured": measured, **{name: float(of(angles)) for name, of in FIGURES.items()}, "count": len(angles)}
