"""Input and output files of commands; existing files are replaced only with --overwrite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.runtime.process import logger

if TYPE_CHECKING:
    import numpy as np

    from brownid.databases.index import Sample


def check_new_file(path: Path | None, overwrite: bool) -> None:
    """Refuse, before any work, an existing file (unless `overwrite`); None: no file was asked for."""
    if path is None:
        return
    if path.is_dir():
        raise BrownidError(f"{path}: a folder of this name exists; name a file.")
    if path.exists() and not overwrite:
        raise BrownidError(f"{path}: the file exists already; name another one, or add --overwrite.")


def check_new_files(overwrite: bool, *paths: Path | None) -> None:
    """`check_new_file` of several."""
    for path in paths:
        check_new_file(path, overwrite)


def checksums(**paths: Path | None) -> dict[str, str | None]:
    """The SHA-256 of files by role, None where there is none, for the settings that a collection records."""
    from brownid.runtime.files import sha256

    return {f"{role}_sha256": None if path is None else sha256(path) for role, path in paths.items()}


def check_new_folder(path: Path | None) -> None:
    """Refuse, before any work, a folder that holds something: a whole folder is never replaced."""
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise BrownidError(f"{path}: a file of this name exists; name a folder.")
    if path.is_dir() and any(path.iterdir()):
        raise BrownidError(f"{path}: the folder exists already and is not empty; name another one, or remove it.")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which appears at `path` when the block ends well."""
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image uint8 RGB `[S, S, 3]`; the folder is made."""
    from brownid.samples import png

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png.encode(image))


def wrote(path: Path, what: str = "") -> None:
    """Tell the user about a file or folder."""
    from brownid.databases.listing import path_text

    typer.echo(f"wrote {path_text(path)}{f' ({what})' if what else ''}")


def size_text(count: float) -> str:
    """Bytes in words."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def image_samples(paths: Sequence[Path]) -> list[Sample]:
    """The images that files and folders name, as samples: identity, label (the key) and path.

    A single folder with one subfolder a person gives each person's images one identity: the number that the subfolder
    is named after, or its place in the order of names. Any other image is an identity of its own, counted from 0.
    """
    from brownid.databases.index import Sample
    from brownid.databases.listing import path_text
    from brownid.databases.recordio import record_samples

    found: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append(path_text(path.as_posix()))
            continue
        below = _images_below(path)
        if not below:
            if len(paths) > 1:
                raise BrownidError(f"{path}: the folder holds a record file; name it alone.")
            root = path_text(path.as_posix())
            return [replace(sample, path=f"{root}/{sample.path}") for sample in record_samples(path)]
        nested = [image for image in below if "/" in image]
        if len(paths) == 1 and nested:
            if len(nested) < len(below):
                loose = next(image for image in below if "/" not in image)
                raise BrownidError(
                    f"{path / loose}: the image is in no identity's folder, others are; move it into one."
                )
            return _of_identity_folders(path, nested)
        found += [f"{path_text(path.as_posix())}/{image}" for image in below]
    return [Sample(path, path, number) for number, path in enumerate(found)]


def read_aligned(
    samples: Sequence[Sample], image_size: int, not_square: str | None = None
) -> tuple[np.ndarray, list[Sample]]:
    """The images uint8 RGB `[n, S, S, 3]` that can be read, and their samples; the others are warned of.

    `not_square` says how crops become square, see `brownid.databases.reading.squared`.
    """
    from brownid.databases.reading import NOT_SQUARE, image_aligner, read_images

    if not_square is not None and not_square not in NOT_SQUARE:
        raise BrownidError(f"--not-square is {not_square!r}; it is one of {', '.join(NOT_SQUARE)}.")
    align = image_aligner(None, image_size, not_square=not_square)
    images, kept, _ = read_images(samples, "", image_size, maximum_failed_share=1.0, align=align)
    return images, kept


def _of_identity_folders(root: Path, images: Sequence[str]) -> list[Sample]:
    from brownid.databases.folders import doubt_about_root
    from brownid.databases.index import Sample
    from brownid.databases.listing import distinct_keys, path_text

    doubt = doubt_about_root(root, images)
    if doubt:
        logger.warning("%s; if so, name %s instead", doubt.reason, doubt.roots)
    inside: dict[str, list[str]] = {}  # the paths in each folder
    for image in images:
        folder, _, path = image.partition("/")
        inside.setdefault(folder, []).append(path)
    names = sorted(inside)
    numbered = all(name.isdecimal() for name in names) and len({int(name) for name in names}) == len(names)
    base = path_text(root.as_posix())
    return [
        Sample(key, f"{base}/{name}/{path}", int(name) if numbered else place)
        for place, name in enumerate(names)
        for path, key in distinct_keys(inside[name]).items()
    ]


def _images_below(folder: Path) -> list[str]:
    """The paths of the images below a folder; none where it has a record file instead."""
    from brownid.databases.listing import checked_paths, find_images

    listing = find_images(folder)
    return [] if listing.record_files and not listing.paths else checked_paths(folder, listing)
