"""Measure how much of a packing on the hypersphere survives in the rendered images."""

from brownid.runtime.process import default_device, logger, progress, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from brownid.figures.dynamics import plot_packing, plot_statistics
from brownid.hyperface.energy import simplex_bound
from brownid.hyperface.inversion import load_faces
from brownid.hyperface.measures import (
    COLUMNS,
    IMAGES,
    REACHED,
    START,
    TARGETS,
    gain_kept,
    packing_table,
    separations,
)
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_network
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.runtime.precision import Batching
from brownid.samples.collection import REFERENCE, SampleCollection
from brownid.samples.images import ImageShards
from brownid.samples.statistics import load_statistics

BLOCK = 2048  # images that are decoded at a time: 77 MB of 112 pixels
BATCH_SIZE = 256


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
    kept, everybody = np.sort(reached.identities), np.sort(packed.identities)
    stages = {START: begun.embeddings[kept], TARGETS: _embeddings(packed, kept, targets)}
    if "target_embedding" in reached.extra:
        stages[REACHED] = _embeddings(reached, kept, samples)
    stages[IMAGES] = _embed(settings["network"], images, weights, kept)
    unselected = {}
    if len(everybody) > len(kept):
        unselected = {START: begun.embeddings[everybody], TARGETS: _embeddings(packed, everybody, targets)}
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
    (first, wanted), *others = ((path, (c.recognition, c.embeddings.shape[1])) for path, c in collections.items())
    for path, found in others:
        if found != wanted:
            raise BrownidError(
                f"{path} holds embeddings of {found[1]} numbers of the network {found[0]!r}, {first} of {wanted[1]} "
                f"of {wanted[0]!r}: angles mean nothing between two networks, make all of them with one"
            )


def _embeddings(collection: SampleCollection, identities: np.ndarray, path: Path) -> np.ndarray:
    """Embeddings `[k, E]` of these identities, in rising order."""
    try:
        chosen = collection.select(identities)
    except BrownidError as error:
        raise BrownidError(f"{path}: {error}") from None
    return chosen.embeddings[np.argsort(chosen.identities)]


def _embed(network: Mapping[str, Any], images: Sequence[Path], weights: Path, identities: np.ndarray) -> np.ndarray:
    """Embeddings `[k, E]` of the reference image of each of these identities."""
    shards = ImageShards(images)
    if network["side"] != shards.side:
        raise BrownidError(
            f"The images in {shards.paths[0]} are {shards.side} pixels wide, but the network reads {network['side']}: "
            "a packing is measured with a network that reads the workflow's aligned images"
        )
    of_identity = {int(i): row for row, i in enumerate(shards.identities) if shards.labels[row] == REFERENCE}
    missing = [identity for identity in identities.tolist() if identity not in of_identity]
    if missing:
        raise BrownidError(
            f"{shards.paths[0]}, …: there is no reference image of identity {missing[0]}: render them again"
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


if __name__ == "__main__":
    run(measure_packing, snakemake)
