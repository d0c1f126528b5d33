"""Index the images of a genuine database."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.databases.kinds import index_images
from brownid.runtime import logger


def index_database(
    settings: Mapping[str, Any], *, manifest: Path | None, files: Mapping[str, Sequence[Path]], index: Path
) -> None:
    """Write the SQLite index of a database's folder; images that `manifest` lists and that are gone are logged.

    `files` are those of `index_images`.
    """
    if manifest is not None:
        _log_missing(manifest, Path(settings["root"]))
    index_images(settings, files, index)


def _log_missing(manifest: Path, root: Path) -> None:
    with open(manifest, encoding="utf-8", newline="") as file:
        listed = [row["path"] for row in csv.DictReader(file)]
    missing = [path for path in listed if not (root / path).is_file()]
    for path in missing:
        logger.warning("%s: the file is missing", root / path)
    if missing:
        logger.warning("%d of the %d images that were photographed are missing", len(missing), len(listed))
