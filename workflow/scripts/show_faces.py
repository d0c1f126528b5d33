"""Show some faces of a dataset."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brownid.figures.faces import contact_sheet, image_grid
from brownid.samples.images import ImageShards

SHOWN_IDENTITIES = 40  # of references, one image each
SHOWN_ROWS = 8  # of variations: identities
SHOWN_COLUMNS = 18  # of variations: images of each


def show_faces(settings: Mapping[str, Any], *, images: Sequence[Path], figure: Path) -> None:
    """One face of many identities (references), or many faces of some (variations, with their references first)."""
    shards = ImageShards(images)
    identities = np.unique(shards.identities)
    rows = [np.flatnonzero(shards.identities == identity) for identity in identities[:SHOWN_IDENTITIES]]
    if all(len(row) == 1 for row in rows):
        contact_sheet(shards.decode(np.concatenate(rows)), figure, title=settings["dataset"])
        return
    by_label = [{shards.labels[index]: int(index) for index in row} for row in rows[:SHOWN_ROWS]]
    longest = max(by_label, key=lambda row: len(row))
    labels = list(longest)[:SHOWN_COLUMNS]  # an identity may lack some that were left out
    blank = np.full((shards.image_size, shards.image_size, 3), 255, np.uint8)
    cells = [[shards.decode([row[label]])[0] if label in row else blank for label in labels] for row in by_label]
    names = [f"{identity:05}" for identity in identities[:SHOWN_ROWS]]
    columns = [label.replace("augmentation_", "") for label in labels]
    image_grid(cells, figure, row_labels=names, column_labels=columns, title=settings["dataset"])


if __name__ == "__main__":
    run(show_faces, snakemake)
