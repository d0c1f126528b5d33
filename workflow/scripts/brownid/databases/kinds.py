"""The kinds of databases, and how the images of each are indexed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.databases.ffhq import index_ffhq
from brownid.databases.folders import index_identity_folders, index_portraits, index_utkface
from brownid.databases.multipie import index_multipie
from brownid.databases.published import import_index
from brownid.databases.recordio import index_records
from brownid.databases.templates import index_templates

OWN_FILES = ("index", "lists", "metadata", "landmarks")  # the keys of a databases entry that name files
FOLDERS = {"portraits": index_portraits, "utkface": index_utkface, "recordio": index_records}


def index_images(settings: Mapping[str, Any], files: Mapping[str, Sequence[str | Path]], index: Path) -> None:
    """Write the SQLite index of a database's folder: `settings` are those of the stage `index_database`.

    `files` are the user's files about the database by the key that names them, one of `OWN_FILES`: none, one or several
    each.
    """
    root, kind = settings["root"], settings["kind"]
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
