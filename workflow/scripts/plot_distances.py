"""Plot the angles within and between the identities of a dataset."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from brownid.embeddings.distances import BIN_EDGES, distance_distributions
from brownid.figures.dynamics import plot_angles
from brownid.runtime.files import atomic_path
from brownid.samples.collection import SampleCollection

IMPOSTOR_ROWS = 20_000  # more are sampled: their histogram would not change


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
        SampleCollection.load(path, columns=("embeddings",), required=True) for path in (references, variations)
    )
    training = (
        None if guarded is None else SampleCollection.load(guarded, columns=("embeddings",), required=True).embeddings
    )
    found = distance_distributions(
        both.columns()["embeddings"], both.identities, training, maximum_rows=IMPOSTOR_ROWS, seed=settings["seed"]
    )
    histograms = {name: distribution.histogram for name, distribution in found.items()}
    plot_angles(histograms, BIN_EDGES, figure, title=settings["variations"])
    rows = {name: distribution.as_dict() for name, distribution in found.items()}
    with atomic_path(table) as temporary:
        pd.DataFrame(rows).T.to_csv(temporary, index_label="angles", float_format="%.6f")


if __name__ == "__main__":
    run(plot_distances, snakemake)
