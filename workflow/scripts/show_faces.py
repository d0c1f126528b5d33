"""Show some faces of a dataset: the most and the least consistent identities, or an even sample."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brownid.figures.faces import image_grid
from brownid.samples.images import ImageShards

SHOWN_IDENTITIES = 48  # of references, one image each
REFERENCE_COLUMNS = 8  # of references
SHOWN_ROWS = 8  # of variations: identities
SHOWN_COLUMNS = 18  # of variations: images of each

Section = list[tuple[int, str]]  # identities and what is written next to them


def show_faces(settings: Mapping[str, Any], *, images: Sequence[Path], identities: Path | None, figure: Path) -> None:
    """One face of many identities (references), or many faces of some (variations, with their references first).

    `identities` is the table of `measure_quality`: with it the sheet shows the extremes of the judge's angles, of
    variations to their reference or between references. Without a judge it shows an even sample.
    """
    shards = ImageShards(images)
    numbers, counts = np.unique(shards.identities, return_counts=True)
    varied = bool((counts > 1).any())
    shown = SHOWN_ROWS if varied else SHOWN_IDENTITIES
    if identities is None:
        sections = _even_sample(numbers, shown)
    else:
        sections = _extremes(identities, "reference_angle" if varied else "nearest_impostor", shown)
    draw = _show_variations if varied else _show_references
    draw(shards, sections, figure, settings["dataset"])


def _even_sample(numbers: np.ndarray, shown: int) -> dict[str, Section]:
    chosen = numbers[np.unique(np.linspace(0, len(numbers) - 1, shown).round().astype(int))]
    return {f"An even sample of {len(chosen)} of {len(numbers)} identities": [(int(i), f"{i:05}") for i in chosen]}


HEADINGS = {  # column of the table -> of its smallest and its largest values
    "reference_angle": (
        "Most consistent identities: smallest mean angle to the reference (radians, by the judge)",
        "Least consistent identities: largest mean angle to the reference (radians, by the judge)",
    ),
    "nearest_impostor": (
        "Closest identities: smallest angle to the nearest other reference (radians, by the judge)",
        "Most separate identities: largest angle to the nearest other reference (radians, by the judge)",
    ),
}


def _extremes(table: Path, column: str, shown: int) -> dict[str, Section]:
    with open(table, newline="", encoding="utf-8") as file:
        angles = sorted((float(row[column]), int(row["identity"])) for row in csv.DictReader(file) if row[column])
    half = min(shown // 2, -(-len(angles) // 2))
    parts = angles[:half], angles[max(half, len(angles) - half) :]
    return {
        heading: [(identity, f"{identity:05}  {angle:.2f}") for angle, identity in part]
        for heading, part in zip(HEADINGS[column], parts, strict=True)
        if part
    }


def _show_references(shards: ImageShards, sections: Mapping[str, Section], figure: Path, title: str) -> None:
    row_of = {int(identity): row for row, identity in enumerate(shards.identities)}
    cells: list[list[np.ndarray]] = []
    captions: list[list[str]] = []
    headings: dict[int, str] = {}
    for heading, section in sections.items():
        headings[len(cells)] = heading
        for start in range(0, len(section), REFERENCE_COLUMNS):
            part = section[start : start + REFERENCE_COLUMNS]
            cells.append(list(shards.decode([row_of[identity] for identity, _ in part])))
            captions.append([label for _, label in part])
    image_grid(cells, figure, captions=captions, headings=headings, title=title)


def _show_variations(shards: ImageShards, sections: Mapping[str, Section], figure: Path, title: str) -> None:
    listed = [entry for section in sections.values() for entry in section]
    rows = [np.flatnonzero(shards.identities == identity) for identity, _ in listed]
    by_label = [{shards.labels[index]: int(index) for index in row} for row in rows]
    longest = max(by_label, key=lambda row: len(row))
    labels = list(longest)[:SHOWN_COLUMNS]  # an identity may lack some that were left out
    blank = np.full((shards.image_size, shards.image_size, 3), 255, np.uint8)
    starts = np.cumsum([0, *map(len, sections.values())]).tolist()
    image_grid(
        [[shards.decode([row[label]])[0] if label in row else blank for label in labels] for row in by_label],
        figure,
        row_labels=[name for _, name in listed],
        column_labels=[label.replace("augmentation_", "") for label in labels],
        headings=dict(zip(starts, sections, strict=False)),
        title=title,
    )


if __name__ == "__main__":
    run(show_faces, snakemake)
