"""Index the images of a genuine database."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.databases.kinds import index_images


def index_database(
    settings: Mapping[str, Any],
    *,
    manifest: Path | None,
    published_index: Sequence[Path],
    lists: Sequence[Path],
    metadata: Sequence[Path],
    landmarks: Sequence[Path],
    index: Path,
) -> None:
    """Write the SQLite index of a database's folder; images that `manifest` lists and that are gone are logged.

    The other inputs are the user's files about the database, as `index_images` takes them.
    """
    if manifest is not None:
        _log_missing(manifest, Path(settings["root"]))
    files = {"index": published_index, "lists": lists, "metadata": metadata, "landmarks": landmarks}
    index_images(settings, files, index)


def _log_missing(manifest: Path, root: Path) -> None:
    with open(manifest, encoding="utf-8", newline="") as file:
        listed = [row["path"] for row in csv.DictReader(file)]
    missing = [path for path in listed if not (root / path).is_file()]
    for path in missing:
        logger.warning("%s: the file is missing", root / path)
    if missing:
        logger.warning("%d of the %d images that were photographed are missing", len(missing), len(listed))


if __name__ == "__main__":
    run(index_database, snakemake)
