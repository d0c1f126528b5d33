"""Measure how much of a packing on the hypersphere survives in the rendered images.

HyperFace (Otroshi Shahreza, Marcel, ICLR 2025) separates unit vectors, not faces. What a generator makes of them is
measured by the angle of each identity to its nearest other one: at the start, in the targets, in the embeddings that an
inversion reached, and in the rendered images. All stages are about the same identities, row by row: the fewer there
are, the farther apart they stand, whatever was done to them.
"""

from brownid.runtime.process import default_device, logger, progress, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from brownid.embeddings.distances import nearest_angles, row_angles, unit_rows
from brownid.figures.dynamics import plot_packing, plot_statistics
from brownid.hyperface.energy import simplex_bound
from brownid.hyperface.inversion import load_faces
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_network
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.runtime.precision import Batching
from brownid.samples.checks import current_names
from brownid.samples.collection import REFERENCE, SampleCollection
from brownid.samples.images import ImageShards
from brownid.samples.statistics import load_statistics

BLOCK = 2048  # images that are decoded at a time: 77 MB of 112 pixels
BATCH_SIZE = 256
START, TARGETS, REACHED, IMAGES = "start", "targets", "embeddings reached", "rendered images"
PAIRS = {  # how far a stage misses the one before
    "latent to target": (REACHED, TARGETS),
    "image to target": (IMAGES, TARGETS),
    "image to latent's embedding": (IMAGES, REACHED),
}
FIGURES: dict[str, Callable[[np.ndarray], float]] = {"minimum": np.min, "mean": np.mean, "maximum": np.max}
COLUMNS = ["measured", *FIGURES, "count"]
LEAST_GAIN = 1e-4  # radians; who gained less did not move, and there is no share of nothing

Row = dict[str, str | float | int]  # of `COLUMNS`; a figure that means nothing is left out


def measure_packing(
    settings: Mapping[str, Any],
    *,
    start: Path,
    targets: Path,
    statistics: Path,
    samples: Path,
    images: Sequence[Path],
    weights: Path,
    table: Path,
    figure: Path,
    iterations: Path,
) -> None:
    """Plot and tabulate the nearest-neighbour angles from the start of a packing to the images made from it.

    `start` is the collection that the packing began with, `targets` and `statistics` what it made, `samples` the
    references reached, `images` their image shards. All stages are about the identities that were reached; where some
    were rejected, the table says of start and targets how they stand with those too. Where `samples` has no column
    `target_embedding` its embeddings are the targets themselves, for an embedding-conditioned generator.
    `iterations` is a figure of the packing's statistics.

    Images are embedded without their mirror image, as the embeddings that a packing begins with are.
    """
    packed, reached = _references(targets), _references(samples)
    begun = load_faces(start, "start", count=len(packed))  # as the packing took them: row i became identity i
    _check_one_network({start: begun, targets: packed, samples: reached})
    kept, all_identities = np.sort(reached.identities), np.sort(packed.identities)
    start_embeddings = begun.columns()["embeddings"]
    stages = {START: start_embeddings[kept], TARGETS: _embeddings(packed, kept, targets)}
    if "target_embedding" in reached.extra:
        stages[REACHED] = _embeddings(reached, kept, samples)
    stages[IMAGES] = _embed(settings["network"], images, weights, kept)
    unselected = {}
    if len(all_identities) > len(kept):
        unselected = {START: start_embeddings[all_identities], TARGETS: _embeddings(packed, all_identities, targets)}
    angles = separations(stages)
    _write(table, packing_table(stages, angles, unselected))
    name, share = settings["references"], gain_kept(angles, IMAGES).get("mean")
    title = name if share is None else f"{name}: images keep {share:.0%} of the gain"
    plot_packing(angles, simplex_bound(*stages[TARGETS].shape), figure, title=title)
    plot_statistics(load_statistics(statistics), iterations, title=f"{name}: packing")


def _references(path: Path) -> SampleCollection:
    collection = SampleCollection.load(path, columns=("embeddings", "extra"), required=True)
    try:
        return collection.of_label(REFERENCE)
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None


def _check_one_network(collections: Mapping[Path, SampleCollection]) -> None:
    (first, wanted), *others = (
        (path, (current_names(c.recognition), c.columns()["embeddings"].shape[1])) for path, c in collections.items()
    )
    for path, found in others:
        if found != wanted:
            raise BrownidError(
                f"{path} holds embeddings of {found[1]} numbers of the network {found[0]!r}, {first} of {wanted[1]} "
                f"of {wanted[0]!r}: angles mean nothing between two networks, make all of them with one."
            )


def _embeddings(collection: SampleCollection, identities: np.ndarray, path: Path) -> np.ndarray:
    """Embeddings `[k, E]` of these identities, in rising order."""
    try:
        chosen = collection.select(identities)
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None
    return chosen.columns()["embeddings"][np.argsort(chosen.identities)]


def _embed(network: Mapping[str, Any], images: Sequence[Path], weights: Path, identities: np.ndarray) -> np.ndarray:
    """Embeddings `[k, E]` of the reference image of each of these identities."""
    shards = ImageShards(images)
    if network["image_size"] != shards.image_size:
        raise BrownidError(
            f"The images in {shards.paths[0]} are {shards.image_size} pixels wide, but the network reads "
            f"{network['image_size']}: a packing is measured with a network that reads the workflow's aligned images."
        )
    of_identity = {int(i): row for row, i in enumerate(shards.identities) if shards.labels[row] == REFERENCE}
    missing = [identity for identity in identities.tolist() if identity not in of_identity]
    if missing:
        raise BrownidError(
            f"{shards.paths[0]}, …: there is no reference image of identity {missing[0]}: render them again."
        )
    rows = np.array([of_identity[identity] for identity in identities.tolist()])
    model = load_network(network, weights, default_device())
    options = {"precision": network["precision"], "batch_size": Batching(BATCH_SIZE)}
    blocks = progress(range(0, len(rows), BLOCK), "embed", "block")
    return torch.cat([embed_images(model, shards.decode(rows[at : at + BLOCK]), **options) for at in blocks]).numpy()


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"count": "Int64"})
    logger.info("packing:\n%s", table.to_string(index=False, float_format="%.4f"))
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f")


def separations(stages: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Nearest-neighbour angles float64 `[k]` (radians) of every stage's embeddings `[k, E]`."""
    for name, embeddings in stages.items():
        if len(embeddings) < 2:
            raise BrownidError(
                f"The packing's {name} are {len(embeddings)}, too few for nearest neighbours: if the inversion "
                "rejected the others, raise its maximum_angle."
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


if __name__ == "__main__":
    run(measure_packing, snakemake)
