"""Index the images of a genuine database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from brownid.databases.folders import index_identity_folders, index_portraits
from brownid.databases.multipie import index_multipie
from brownid.runtime import logger

INDEXERS = {"multipie": index_multipie, "people": index_identity_folders, "portraits": index_portraits}


def index_database(settings: Mapping[str, Any], *, manifest: Path | None, index: Path) -> None:
    """Write the SQLite index of a database's folder; images that `manifest` lists and that are gone are logged."""
    if manifest is not None:
        listed = pd.read_csv(manifest)["path"]
        missing = [path for path in listed if not (Path(settings["root"]) / path).is_file()]
        for path in missing:
            logger.warning("%s: the file is missing", Path(settings["root"]) / path)
        if missing:
            logger.warning("%d of the %d images that were photographed are missing", len(missing), len(listed))
    INDEXERS[settings["kind"]](settings["root"], index)
