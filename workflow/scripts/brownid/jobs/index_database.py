"""Index the images of a genuine database."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brownid.databases.ffhq import index_ffhq
from brownid.databases.folders import index_identity_folders, index_portraits
from brownid.databases.multipie import index_multipie
from brownid.databases.published import import_index
from brownid.databases.recordio import index_records
from brownid.databases.templates import index_templates
from brownid.databases.utkface import index_utkface
from brownid.runtime import logger

OWN_FILES = ("index", "lists", "metadata", "landmarks")  # the keys of a databases entry that name files
FOLDERS = {"portraits": index_portraits, "utkface": index_utkface, "recordio": index_records}


def index_database(
    settings: Mapping[str, Any], *, manifest: Path | None, files: Mapping[str, Sequence[Path]], index: Path
) -> None:
    """Write the SQLite index of a database's folder; images that `manifest` lists and that are gone are logged.

    `files` are the user's files about the database by the key that names them, one of `OWN_FILES`: none, one or several
    each.
    """
    root, kind = settings["root"], settings["kind"]
    if manifest is not None:
        _log_missing(manifest, Path(root))
    one = {key: next(iter(paths), None) for key, paths in files.items()}
    if one.get("index"):
        import_index(root, index, one["index"], kind)
    elif kind == "people":
        index_identity_folders(root, index, settings.get("identity_subfolders", False))
    elif kind == "multipie":
        index_multipie(root, index, lists=files.get("lists", ()))
    elif kind == "ffhq":
        index_ffhq(root, index, one["metadata"], settings["images"])
    elif kind == "templates":
        index_templates(root, index, one["metadata"], one.get("landmarks"))
    else:
        FOLDERS[kind](root, index)


def _log_missing(manifest: Path, root: Path) -> None:
    listed = pd.read_csv(manifest)["path"]
    missing = [path for path in listed if not (root / path).is_file()]
    for path in missing:
        logger.warning("%s: the file is missing", root / path)
    if missing:
        logger.warning("%d of the %d images that were photographed are missing", len(missing), len(listed))
