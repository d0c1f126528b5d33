"""What one looks at: curves of the dynamics, distances, faces, the leak audit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brownid.benchmark.audit import leak_audit, write_audit
from brownid.benchmark.distances import BIN_EDGES, distance_distributions
from brownid.figures.distances import plot_angles
from brownid.figures.dynamics import plot_statistics
from brownid.figures.faces import contact_sheet, image_grid, image_pairs
from brownid.files import atomic_path
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards
from brownid.samples.statistics import load_statistics

SHOWN_IDENTITIES = 40  # of references, one image each
SHOWN_ROWS = 8  # of variations: identities
SHOWN_COLUMNS = 18  # of variations: images of each
IMPOSTOR_ROWS = 20_000  # more are sampled: their histogram would not change


def plot_dynamics(settings: Mapping[str, Any], *, statistics: Path, figure: Path) -> None:
    """Plot what a run measured over its iterations."""
    plot_statistics(load_statistics(statistics), figure, title=settings["dataset"])


def plot_distances(
    settings: Mapping[str, Any],
    *,
    references: Path,
    variations: Path,
    guarded: Path | None,
    figure: Path,
    table: Path,
) -> None:
    """Plot and tabulate the angles within identities, between them, and from references to the training set."""
    both = SampleCollection.concatenate(
        SampleCollection.load(path, columns=("embeddings",)) for path in (references, variations)
    )
    training = None if guarded is None else SampleCollection.load(guarded).embeddings
    found = distance_distributions(both.embeddings, both.identities, training, maximum_rows=IMPOSTOR_ROWS)
    histograms = {name: distribution.histogram for name, distribution in found.items()}
    plot_angles(histograms, BIN_EDGES, figure, title=settings["variations"])
    rows = {name: {**distribution.as_dict(), "histogram": None} for name, distribution in found.items()}
    with atomic_path(table) as temporary:
        pd.DataFrame(rows).T.drop(columns="histogram").to_csv(temporary, index_label="angles", float_format="%.6f")


def show_faces(settings: Mapping[str, Any], *, images: Sequence[Path], figure: Path) -> None:
    """One face of many identities (references), or many faces of some (variations, with their references first)."""
    shards = ImageShards(images)
    identities = np.unique(shards.identities)
    rows = [np.flatnonzero(shards.identities == identity) for identity in identities[:SHOWN_IDENTITIES]]
    if all(len(row) == 1 for row in rows):
        contact_sheet(shards.decode(np.concatenate(rows)), figure, title=settings["dataset"])
        return
    cells = [list(shards.decode(row[:SHOWN_COLUMNS])) for row in rows[:SHOWN_ROWS]]
    names = [f"{identity:05}" for identity in identities[:SHOWN_ROWS]]
    columns = [shards.labels[index].replace("augmentation_", "") for index in rows[0][:SHOWN_COLUMNS]]
    image_grid(cells, figure, row_labels=names, column_labels=columns, title=settings["dataset"])


def audit_leaks(
    settings: Mapping[str, Any],
    *,
    references: Path,
    guarded: Path,
    reference_images: Sequence[Path],
    guarded_images: Sequence[Path],
    table: Path,
    figure: Path,
) -> None:
    """List and show the references that come closest to a face of the generator's training set."""
    ours, theirs = (SampleCollection.load(path, columns=("embeddings",)) for path in (references, guarded))
    closest = leak_audit(ours.embeddings, theirs.embeddings, settings["audit"]["pairs"]).closest
    write_audit(table, closest, [f"{identity:05}" for identity in ours.identities], theirs.labels)
    image_pairs(
        _images_of(ours, [pair.reference for pair in closest], reference_images),
        _images_of(theirs, [pair.training for pair in closest], guarded_images),
        [pair.angle for pair in closest],
        figure,
        title=f"{settings['references']}: reference, closest training image",
    )


def _images_of(collection: SampleCollection, rows: Sequence[int], paths: Sequence[Path]) -> np.ndarray:
    """The images uint8 `[n, S, S, 3]` of some rows of a collection, found by identity and label."""
    shards = ImageShards(paths)
    places = {key: index for index, key in enumerate(zip(shards.identities.tolist(), shards.labels, strict=True))}
    return shards.decode([places[int(collection.identities[row]), collection.labels[row]] for row in rows])
