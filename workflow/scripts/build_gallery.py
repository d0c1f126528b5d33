"""Make the thumbnails of a dataset for the gallery."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.gallery.sheets import write_gallery
from brownid.runtime.files import atomic_path
from brownid.samples.images import ImageShards


def build_gallery(settings: Mapping[str, Any], *, images: Sequence[Path], identities: Path | None, data: Path) -> None:
    """Write the folder that `data` lies in: sprite sheets of all images, and scripts with what the judge measured."""
    shards = ImageShards(images)
    measured = None if identities is None else _measured(identities)
    with atomic_path(data.parent) as folder:
        folder.mkdir()
        write_gallery(
            folder,
            settings["dataset"],
            shards,
            thumbnail_size=settings["thumbnail_size"],
            most_images=settings["most_images"],
            identities=measured,
        )


def _measured(table: Path) -> dict[int, dict[str, float]]:
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        int(row["identity"]): {name: float(value) for name, value in row.items() if name != "identity" and value}
        for row in rows
    }


if __name__ == "__main__":
    run(build_gallery, snakemake)
