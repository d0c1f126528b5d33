"""Reading the images of a database, with a list of those that cannot be read."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from brownid.databases.index import Sample
from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.runtime import logger, progress

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's for more than 8 bits: it would cut, not scale
Failure = tuple[str, str]  # (path as in the index, reason)
# uint8 RGB [h, w, 3] and its sample -> [side, side, 3]; a BrownidError is the reason why this image fails
Align = Callable[[np.ndarray, Sample], np.ndarray]


def read_images(
    samples: Sequence[Sample],
    root: str | Path,
    side: int,
    maximum_failed_share: float = 0.0,
    align: Align | None = None,
) -> tuple[np.ndarray, list[Sample], list[Failure]]:
    """The images uint8 RGB `[n, side, side, 3]` of the samples that can be read, these samples, and the failures.

    Without `align` (see `brownid.databases.photographs.image_aligner`) an image is taken to be aligned already and is
    only resized. A missing or damaged image, and one that `align` refuses, is a failure with its path; more than
    `maximum_failed_share` of them (0 to 1) raises BrownidError.
    """
    kept, images, failures = [], [], []
    for sample in progress(samples, "read images", "image"):
        try:
            image = load_rgb(Path(root) / sample.path)
            images.append(resize(image, side) if align is None else align(image, sample))
            kept.append(sample)
        except BrownidError as error:
            failures.append((sample.path, str(error)))
    check_failures(failures, len(samples), root, maximum_failed_share)
    stacked = np.stack(images) if images else np.empty((0, side, side, 3), np.uint8)
    return stacked, kept, failures


def load_rgb(path: str | Path) -> np.ndarray:
    """The image file as uint8 RGB `[h, w, 3]`, upright; BrownidError with the reason when it is missing or damaged.

    Cameras note in the EXIF data how they were held; the pixels are turned accordingly. Grey of
    16 bits is scaled to 8.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            return np.asarray(image.convert("RGB")) if image.mode not in DEEP_MODES else _from_deep(image)
    except FileNotFoundError as error:
        raise BrownidError("the file is missing") from error
    # Pillow reports damage by any of these, depending on the format and on where it is
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrownidError(f"not a readable image ({str(error).replace(str(path), 'file')})") from error


def _from_deep(image: Image.Image) -> np.ndarray:
    """Grey of 16 bits as uint8 RGB `[h, w, 3]`."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise BrownidError("its pixels are neither 8 nor 16 bits, so what is white is not known; convert it")
    return np.repeat(np.rint(values / 257).astype(np.uint8)[..., None], 3, axis=2)


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """A square uint8 RGB image at `side` pixels, antialiased; the image itself when it has that side already."""
    if image.shape[:2] == (side, side):
        return image
    if image.shape[0] != image.shape[1]:
        raise BrownidError(f"not an aligned image: it is {image.shape[1]} x {image.shape[0]} pixels, not square")
    method = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(image, (side, side), interpolation=method)


def write_failures(path: str | Path, failures: Sequence[Failure]) -> None:
    """Write the failures as CSV with the columns path and reason; a header alone when there is none."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "reason"))
        writer.writerows(failures)


def check_failures(failures: Sequence[Failure], total: int, root: str | Path, maximum_failed_share: float) -> None:
    """Log every failure; BrownidError where they are more than the share (0 to 1) of all `total` images."""
    for path, reason in failures:
        logger.warning("%s: %s", Path(root) / path, reason)
    if failures:
        logger.warning("%d of %d images failed", len(failures), total)
    if len(failures) > maximum_failed_share * total:
        path, reason = failures[0]
        raise BrownidError(
            f"{len(failures)} of {total} images below {root} failed, more than the share of {maximum_failed_share} "
            f"that `maximum_failed_share` allows; the first is {Path(root) / path}: {reason}."
        )
