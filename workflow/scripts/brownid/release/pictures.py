"""The picture of a release's card: the first identities of each training set, a row each."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet
from PIL import Image

from brownid.figures.faces import image_grid
from brownid.release.contents import LAYOUT_FOLDERS

FOLDER = LAYOUT_FOLDERS["parquet"]
PICTURE = "figures/examples.png"  # no "train" in the name, which would make it a split
COLUMNS = 9  # images of a row: the reference and eight variations, or as many references
MOST_ROWS, MOST_SETS = 8, 8
HEIGHT = 88  # pixels of an image
ROWS_AT_ONCE = 128


def show_training_sets(root: Path, names: Sequence[str]) -> None:
    """Write the picture from the Parquet files of some training sets of a release; nothing where there are none."""
    names = [name for name in names if (root / FOLDER / name).is_dir()][:MOST_SETS]
    cells: list[list[np.ndarray]] = []
    headings: dict[int, str] = {}
    each = max(1, MOST_ROWS // max(1, len(names)))
    for name in names:
        headings[len(cells)] = name
        cells += _first_rows(root / FOLDER / name, min(each, 2))
    sizes = {image.shape for row in cells for image in row}
    if len(sizes) == 1:
        image_grid(cells, root / PICTURE, headings=headings, height=HEIGHT)


def _first_rows(folder: Path, count: int) -> list[list[np.ndarray]]:
    """The first identities with several images, the reference first; where all have one, the first images."""
    rows: list[list[np.ndarray]] = []
    singles: list[np.ndarray] = []
    for images in _identities(folder):
        if len(images) > 1:
            rows.append(images[:COLUMNS])
        else:
            singles += images
        if len(rows) == count or len(singles) == COLUMNS:
            break
    return rows or [singles]


def _identities(folder: Path) -> Iterator[list[np.ndarray]]:
    """The decoded first images of each identity, in the order of the rows."""
    label, images = None, list[np.ndarray]()
    for path in sorted(folder.glob("*.parquet")):
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=["label", "image"]):
                for row in batch.to_pylist():
                    if row["label"] != label and images:
                        yield images
                        images = []
                    label = row["label"]
                    if len(images) < COLUMNS:
                        images.append(np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")))
    if images:
        yield images
