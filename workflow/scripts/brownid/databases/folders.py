"""Databases without a naming of their own: one folder an identity, or one image an identity."""

import os
from pathlib import Path

from brownid.databases.index import DatabaseIndex, Sample, key_of
from brownid.errors import BrownidError
from brownid.runtime import logger

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
PROTOCOL = "default"
GROUP = "train"


def index_identity_folders(root: str | Path, index: str | Path) -> int:
    """Index `root/<identity>/<image>`, one folder a person (as in CASIA-WebFace); returns the number of images.

    Identities are numbered in the order of the folders' names, which the attribute `folder` keeps; an image directly in
    `root` belongs to nobody and is refused.
    """
    paths = image_paths(root)
    loose = [path for path in paths if len(path.parts) == 1]
    if loose:
        raise BrownidError(f"The image {Path(root) / loose[0]} is in no identity's folder; move it into one.")
    folders = {folder: number for number, folder in enumerate(sorted({path.parts[0] for path in paths}))}
    samples = [
        Sample(key_of(path.as_posix()), path.as_posix(), folders[path.parts[0]], {"folder": path.parts[0]})
        for path in paths
    ]
    return _write(root, index, samples)


def index_portraits(root: str | Path, index: str | Path) -> int:
    """Index a tree with one image a person (as FFHQ); returns the number of images."""
    paths = image_paths(root)
    samples = [Sample(key_of(path.as_posix()), path.as_posix(), number) for number, path in enumerate(paths)]
    return _write(root, index, samples)


def image_paths(root: str | Path) -> list[Path]:
    """The paths of all images below `root`, relative to it and sorted; BrownidError where there is none.

    Hidden files and folders (.thumbnails, the ._1.png of macOS) are no part of a database.
    """
    paths = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(folder).relative_to(root)
        paths += [place / name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES and name[0] != "."]
    paths.sort()
    if not paths:
        raise BrownidError(f"There is no image ({', '.join(sorted(IMAGE_SUFFIXES))}) below {root}; check the folder.")
    return paths


def _write(root: str | Path, index: str | Path, samples: list[Sample]) -> int:
    DatabaseIndex.create(index, samples, {PROTOCOL: {GROUP: [sample.key for sample in samples]}})
    identities = len({sample.identity for sample in samples})
    logger.info("indexed %d images of %d identities below %s", len(samples), identities, root)
    return len(samples)
