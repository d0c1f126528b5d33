"""Index the images of a genuine database."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.databases.folders import index_identity_folders, index_portraits
from brownid.databases.multipie import index_multipie

INDEXERS = {"multipie": index_multipie, "people": index_identity_folders, "portraits": index_portraits}


def index_database(settings: Mapping[str, Any], *, index: Path) -> None:
    """Write the SQLite index of a database's folder."""
    INDEXERS[settings["kind"]](settings["root"], index)
