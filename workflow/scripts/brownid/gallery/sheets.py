"""Sprite sheets of a dataset's thumbnails, identity by identity, and what the page must know of them, as scripts.

A browser refuses to fetch files from a folder, but loads pictures and scripts: so the data are calls of a function.
"""

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import progress
from brownid.samples.collection import REFERENCE
from brownid.samples.images import ImageShards

COLUMNS = ROWS = 16  # tiles of a sheet: a megapixel of 64-pixel tiles, which a phone decodes at once
BLOCK = 8  # side of a JPEG block: tiles of whole blocks do not bleed into each other
QUALITY = 85
PART = 20_000  # identities of a script
MEASURES = ("reference_angle", "consistency", "nearest_impostor", "leak_angle")  # of an identity, by the judge
DATA = "data.js"  # begins the data of a dataset; parts and sheets stand beside it


def write_gallery(
    folder: Path,
    dataset: str,
    shards: ImageShards,
    *,
    thumbnail_size: int,
    most_images: int = 100_000,
    identities: Mapping[int, Mapping[str, float]] | None = None,
) -> None:
    """Write the sheets and scripts of a dataset into `folder`, which is there.

    `identities` has the `MEASURES` of each identity, as far as they are known, and `nearest_identity`, the number of
    the one that it is most alike. An identity begins with its reference. Where any has several images, one that has
    the reference alone is left out. Of a dataset of more than `most_images` only the first identities are shown, which
    together have no more than that. Memory is that of one sheet, and of identities and labels.
    """
    order, starts = _ordered(shards)
    totals = {"images": len(order), "identities": len(starts)}
    order, starts = _first(order, starts, most_images)
    numbers = shards.identities[order[starts]].tolist()
    counts = np.diff([*starts, len(order)]).tolist()
    side = _side(thumbnail_size, shards.image_size)
    labels = [shards.labels[row] for row in order]
    sets: dict[tuple[str, ...], int] = {}
    kinds = [
        sets.setdefault(tuple(labels[start : start + count]), len(sets))
        for start, count in zip(starts.tolist(), counts, strict=True)
    ]
    about = {
        "name": dataset,
        "side": side,
        "columns": COLUMNS,
        "rows": ROWS,
        "images": len(order),
        "identities": len(numbers),
        "left_out": totals["identities"] - len(numbers),
        "totals": totals,
        "parts": max(1, math.ceil(len(numbers) / PART)),
        "labels": [list(names) for names in sets],
        "measures": [name for name in MEASURES if any(_known(row.get(name)) for row in (identities or {}).values())],
    }
    for sheet, start in enumerate(progress(range(0, len(order), COLUMNS * ROWS), f"thumbnails of {dataset}", "sheet")):
        _write_sheet(folder / f"{sheet:05}.jpg", shards, order[start : start + COLUMNS * ROWS], side)
    for part in range(int(str(about["parts"]))):
        chosen = slice(part * PART, (part + 1) * PART)
        columns = _columns(numbers[chosen], counts[chosen], kinds[chosen], identities)
        _write_call(folder / f"part-{part:03}.js", "part", [dataset, part, columns])
    _write_call(folder / DATA, "dataset", [about])


def _ordered(shards: ImageShards) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the images that are shown, by identity, its reference first, and where each identity begins."""
    others = np.array([label != REFERENCE for label in shards.labels], bool)
    order = np.lexsort((np.arange(len(shards)), others, shards.identities))
    _, owners, counts = np.unique(shards.identities, return_inverse=True, return_counts=True)
    if (counts > 1).any():
        order = order[counts[owners[order]] > 1]
    if not len(order):
        raise BrownidError(f"{shards.paths[0]}: there are no images in this dataset, so there is no gallery.")
    return order, np.flatnonzero(np.diff(shards.identities[order], prepend=-1))


def _first(order: np.ndarray, starts: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The first identities that together have at most `most` images; always one."""
    ends = np.append(starts[1:], len(order))
    shown = max(1, int(np.searchsorted(ends, most, side="right")))
    return order[: ends[shown - 1]], starts[:shown]


def _side(wanted: int, image_size: int) -> int:
    """Pixels of a tile: the wanted ones, never more than an image has, in whole blocks."""
    return max(BLOCK, min(wanted, image_size) // BLOCK * BLOCK)


def _write_sheet(path: Path, shards: ImageShards, rows: np.ndarray, side: int) -> None:
    pixels = shards.decode(rows)
    sheet = np.full((math.ceil(len(rows) / COLUMNS) * side, COLUMNS * side, 3), 128, np.uint8)
    for place, image in enumerate(pixels):
        top, left = place // COLUMNS * side, place % COLUMNS * side
        tile = image if len(image) == side else cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        sheet[top : top + side, left : left + side] = tile
    drawn = io.BytesIO()
    Image.fromarray(sheet).save(drawn, format="jpeg", quality=QUALITY, subsampling=0)
    path.write_bytes(drawn.getvalue())


def _columns(
    numbers: Sequence[int],
    counts: Sequence[int],
    kinds: Sequence[int],
    identities: Mapping[int, Mapping[str, float]] | None,
) -> dict[str, list]:
    columns: dict[str, list] = {"identity": list(numbers), "count": list(counts), "labels": list(kinds)}
    if identities is not None:
        rows = [identities.get(number, {}) for number in numbers]
        for name in (*MEASURES, "nearest_identity"):
            values = [row.get(name) for row in rows]
            columns[name] = [round(value, 4) if value is not None and _known(value) else None for value in values]
    return columns


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _write_call(path: Path, function: str, values: Sequence[object]) -> None:
    texts = [json.dumps(value, separators=(",", ":"), allow_nan=False) for value in values]
    path.write_text(f"gallery.{function}({','.join(texts)});\n", encoding="utf-8")
