"""The kinds of databases, how the images of each are indexed, and indexes that others made, such as the authors'."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.databases.ffhq import index_ffhq
from brownid.databases.folders import index_identity_folders, index_portraits, index_utkface
from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.multipie import Picture, index_multipie
from brownid.databases.reading import advice_on_root, image_exists
from brownid.databases.recordio import index_records
from brownid.databases.templates import index_templates
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

OWN_FILES = ("index", "lists", "metadata", "landmarks")  # the keys of a databases entry that name files
FOLDERS = {"portraits": index_portraits, "utkface": index_utkface, "recordio": index_records}
# The authors' MultiPIE index has both of bob's names of one group: `train` in the protocols of its CSV lists (U),
# `world` in those of its .lst lists (P_center_lit, E_lit).
GROUP_NAMES = {"world": "train"}


def index_images(settings: Mapping[str, Any], files: Mapping[str, Sequence[str | Path]], index: Path) -> None:
    """Write the SQLite index of a database's folder: `settings` are those of the stage `index_database`.

    `files` are the user's files about the database by the key that names them, one of `OWN_FILES`: none, one or several
    each.
    """
    root, kind = settings["root"], settings["kind"]
    one = {key: paths[0] for key, paths in files.items() if paths}
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


def import_index(root: str | Path, index: str | Path, source: str | Path, kind: str) -> int:
    """Write the samples and protocols of the index `source` as an index of ours; returns the number of samples.

    Of the kind `multipie`, pictures get the attribute classes that follow from their paths (some of the authors' have
    camera and expression, others none). BrownidError where none of the images is below `root`.
    """
    with DatabaseIndex.open(source) as published:
        samples = [_completed(sample) if kind == "multipie" else sample for sample in published.samples()]
        protocols = {protocol: _renamed(groups) for protocol, groups in published.members().items()}
    if not samples:
        raise BrownidError(f"The index {source} holds no samples.")
    missing = sum(not image_exists(Path(root) / sample.path) for sample in samples)
    if missing == len(samples):
        raise BrownidError(
            f"None of the {len(samples)} images of the index {source} is below {root}, which must be laid out as "
            f"that of the index's maker; {advice_on_root(root, samples[0].path)}."
        )
    if missing:
        logger.warning("%d of %d images of the index %s are not below %s", missing, len(samples), source, root)
    DatabaseIndex.create(index, samples, protocols)
    return len(samples)


def _completed(sample: Sample) -> Sample:
    picture = Picture.from_path(sample.path)
    if picture is None:
        return sample
    return Sample(sample.key, sample.path, sample.identity, {**sample.meta, **picture.sample().meta})


def _renamed(groups: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The groups under our names; two that get one name are joined."""
    renamed: dict[str, dict[str, None]] = {}
    for group, keys in groups.items():
        renamed.setdefault(GROUP_NAMES.get(group, group), {}).update(dict.fromkeys(keys))
    return {group: list(keys) for group, keys in renamed.items()}
