"""Databases without a naming of their own: one folder per identity, one image per identity, and UTKFace."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.listing import checked_paths, distinct_keys, find_images, image_paths
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger

PROTOCOL = "default"
GROUP = "train"

# Usual names of folders that hold identity folders, alone or before a number, a size or another word.
COLLECTIONS = re.compile(
    r"(train|training|val|valid|validation|test|testing|dev|eval|evaluation|gallery|probe|query|split|fold|part|set|"
    r"subset|batch|chunk|shard|img|imgs|image|images|pic|pics|picture|pictures|photo|photos|face|faces|frame|frames|"
    r"aligned|crop|crops|cropped|raw|data|dataset|datasets)(?![a-z])",
    re.IGNORECASE,
)
# Up to FEW folders with, on average, at least MANY folders of images, and MUCH times as many as there are of them,
# are not identities with videos either.
FEW, MANY, MUCH = 10, 10, 4


def index_identity_folders(root: str | Path, index: str | Path, identity_subfolders: bool = False) -> int:
    """Index `root/<identity>/<image>`, one folder per person (as in CASIA-WebFace); returns the number of images.

    Identities are numbered in the order of the folders' names, which the attribute `folder` keeps. Images may lie
    deeper, as in `<identity>/<video>/<frame>`. BrownidError for an image directly in `root`, and for a `root` that
    seems one or two levels too high, as its folders hold those of the identities; `identity_subfolders` skips this
    test.
    """
    listing = find_images(root)
    paths = checked_paths(root, listing)
    doubt = None if identity_subfolders else doubt_about_root(root, paths)
    if doubt:
        raise BrownidError(
            f"{doubt.reason}. Set `root` to {doubt.roots}; or, if the folders of {root} are the identities all the "
            "same, set `identity_subfolders: true`."
        )
    loose = [path for path in paths if "/" not in path]
    if loose:
        remedy = "move it into one"
        if listing.record_files:
            remedy = f"for the images of {listing.record_files[0]}, set `kind: recordio`"
        elif len(loose) == len(paths):
            remedy = (
                f"nor is another: set `root` to the folder above {root} if this is one identity, or `kind: portraits` "
                "if each image shows another person"
            )
        raise BrownidError(f"The image {Path(root) / loose[0]} is in no identity's folder; {remedy}.")
    numbers = {name: number for number, name in enumerate(sorted({path.partition("/")[0] for path in paths}))}
    keyed = ((key, path, path.partition("/")[0]) for path, key in distinct_keys(paths).items())
    samples = (Sample(key, path, numbers[folder], {"folder": folder}) for key, path, folder in keyed)
    return _write(root, index, samples, len(paths), len(numbers))


def index_portraits(root: str | Path, index: str | Path) -> int:
    """Index a tree with one image per person (as FFHQ); returns the number of images."""
    paths = image_paths(root)
    samples = (Sample(key, path, number) for number, (path, key) in enumerate(distinct_keys(paths).items()))
    return _write(root, index, samples, len(paths), len(paths))


class Doubt(NamedTuple):
    """Why the folders of a root do not seem to be the identities."""

    reason: str
    roots: str  # what seems to be the root, or several


def doubt_about_root(root: str | Path, paths: Sequence[str]) -> Doubt | None:
    """Why the folders of `root` do not seem to be the identities; None where they may be.

    `paths` are those of all images below `root`. The folders are no identities where most images lie in folders of
    folders that are named like a part of a dataset (imgs, train, val), are the only one, or are few with many folders
    each.
    """
    found = _lower_roots(_tree(paths))
    if not found:
        return None
    identities = sum(found.values())
    holders = ", ".join(found)
    proposals = " or ".join(str(Path(root) / place) for place in found)
    each = " (a database each)" if len(found) > 1 else ""
    levels = max(place.count("/") for place in found) + 1
    high = "one level" if levels == 1 else f"{levels} levels"
    reason = (
        f"The folder {root} seems to be {high} too high: the {identities} folders in {holders} look like identities"
    )
    return Doubt(reason, proposals + each)


@dataclass
class _Folder:
    """A folder with images in it or below."""

    images: int = 0  # directly in it
    below: int = 0  # in its folders, at any depth
    folders: dict[str, "_Folder"] = field(default_factory=dict)

    @property
    def holds_folders(self) -> bool:
        """Whether its images are mainly in folders of its own."""
        return self.below > self.images


def _tree(paths: Sequence[str]) -> _Folder:
    root = _Folder()
    for place, count in Counter(path.rpartition("/")[0] for path in paths).items():
        folder = root
        for name in place.split("/") if place else ():
            folder.below += count
            folder = folder.folders.setdefault(name, _Folder())
        folder.images += count
    return root


def _lower_roots(folder: _Folder, place: str = "") -> dict[str, int]:
    """The folders below that look like the root, with the number of their folders; none where this one does."""
    nested = {name: inner for name, inner in folder.folders.items() if inner.holds_folders}
    count = len(folder.folders)
    inside = sum(len(inner.folders) for inner in nested.values())
    if count > 1 and not (count <= FEW and inside >= len(nested) * max(MANY, MUCH * len(nested))):
        nested = {name: inner for name, inner in nested.items() if _is_collection(name, inner)}
    if 2 * sum(inner.images + inner.below for inner in nested.values()) <= folder.images + folder.below:
        return {}
    found: dict[str, int] = {}
    for name, inner in nested.items():
        found |= _lower_roots(inner, f"{place}{name}/") or {place + name: len(inner.folders)}
    return found


def _is_collection(name: str, folder: _Folder) -> bool:
    inside = (inner_name for inner_name, inner in folder.folders.items() if inner.holds_folders)
    return any(COLLECTIONS.match(each) for each in (name, *inside))


def _write(root: str | Path, index: str | Path, samples: Iterable[Sample], images: int, identities: int) -> int:
    DatabaseIndex.create(index, samples, {PROTOCOL: {GROUP: None}})
    logger.info("indexed %d images of %d identities below %s", images, identities, root)
    return images


GENDERS = ("male", "female")
RACES = ("white", "black", "asian", "indian", "others")

_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+(\.\w+)*")


def index_utkface(root: str | Path, index: str | Path) -> int:
    """Index the images below `root` with the attributes age, gender and race; returns their number.

    A few published files lack an attribute in their names: they are indexed without any, and counted in the log.
    """
    samples = [
        Sample(key, path, number, _attributes(path.rpartition("/")[2]))
        for number, (path, key) in enumerate(distinct_keys(image_paths(root)).items())
    ]
    unnamed = sum(not sample.meta for sample in samples)
    if unnamed == len(samples):
        raise BrownidError(f"No image below {root} has a name of UTKFace, such as 25_1_2_20170116003421547.jpg.")
    if unnamed:
        logger.warning("%d of %d images have no age, gender and race in their names", unnamed, len(samples))
    DatabaseIndex.create(index, samples, {PROTOCOL: {GROUP: None}})
    return len(samples)


def _attributes(name: str) -> dict[str, str | int]:
    match = _NAME.fullmatch(name)
    if match is None:
        return {}
    return {"age": int(match["age"]), "gender": GENDERS[int(match["gender"])], "race": RACES[int(match["race"])]}
