"""Reading the images of a database at the template that a stage wants, with a list of those that cannot be read."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import ArrayLike

from brownid.alignment.detection import detector
from brownid.alignment.faces import Detector
from brownid.alignment.photographs import AlignedImage, align_landmarks, align_photograph
from brownid.alignment.warp import realign
from brownid.databases.decoding import decode_rgb, load_rgb
from brownid.databases.index import Sample
from brownid.databases.listing import path_of
from brownid.databases.recordio import read_image, split_address
from brownid.runtime.errors import BrownidError, one_line
from brownid.runtime.files import atomic_path
from brownid.runtime.process import check_failures, progress

LANDMARKS = "landmarks"  # the attribute: "x1,y1,...,x5,y5" in pixels of the upright image, as `ARCFACE_112` orders them


def landmark_text(points: np.ndarray | Sequence[Sequence[float]]) -> str:
    """Landmarks `[5, 2]` as an index keeps them, to a hundredth of a pixel."""
    return ",".join(f"{number:.2f}" for number in np.asarray(points, dtype=np.float64).ravel())


def landmark_points(text: object) -> np.ndarray:
    """The landmarks `[5, 2]` of an index's text; BrownidError where it is none."""
    try:
        return np.array([float(number) for number in str(text).split(",")]).reshape(5, 2)
    except ValueError:
        raise BrownidError(f"the landmarks {text!r} in the index are not five points") from None


def five_of_68(points: ArrayLike) -> np.ndarray:
    """Centres of the eyes, tip of the nose and corners of the mouth `[5, 2]` of the 68 landmarks that dlib finds."""
    array = np.asarray(points, dtype=np.float64)
    return np.stack([array[36:42].mean(axis=0), array[42:48].mean(axis=0), array[30], array[48], array[54]])


ALIGNMENT_ERRORS = (cv2.error, np.linalg.LinAlgError, MemoryError)  # of pixels or landmarks that no library foresaw
NOT_SQUARE = ("pad", "stretch", "crop")
LONGEST_SHAPE = 4  # longer side over shorter one: beyond, an image is no crop of a face
READ_AT_ONCE = 64  # images of a batch
SEARCHED_FOLDERS = 1000  # of each level, where the right root is looked for
Failure = tuple[str, str]  # (path as in the index, reason)
Item = TypeVar("Item")
# uint8 RGB [h, w, 3] and its sample -> [S, S, 3]; a BrownidError is the reason why this image fails
Align = Callable[[np.ndarray, Sample], np.ndarray]


def read_images(
    samples: Sequence[Sample],
    root: str | Path,
    image_size: int,
    maximum_failed_share: float = 0.0,
    align: Align | None = None,
) -> tuple[np.ndarray, list[Sample], list[Failure]]:
    """The images uint8 RGB `[n, S, S, 3]` of the samples that can be read, these samples, and the failures.

    Without `align` (see `brownid.databases.reading.image_aligner`) an image is taken to be aligned already and is
    only resized. A missing or damaged image, and one that `align` refuses, is a failure with its path; more than
    `maximum_failed_share` of them (0 to 1) raises BrownidError.
    """
    reading = Reading(samples, root, image_size, maximum_failed_share, align)
    images = list(reading.batches())
    whole = np.concatenate(images) if images else np.empty((0, image_size, image_size, 3), np.uint8)
    return whole, reading.kept, reading.failures


@dataclass
class Reading:
    """The images of a database, read batch by batch; which ones are `kept`, and which failed, is known at the end."""

    samples: Sequence[Sample]
    root: str | Path
    image_size: int
    maximum_failed_share: float = 0.0
    align: Align | None = None
    kept: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def batches(self) -> Iterator[np.ndarray]:
        """The images of the samples that can be read, uint8 RGB `[b, S, S, 3]`; see `read_images`."""
        move = self.align or (lambda image, sample: resize(image, self.image_size))
        images: list[np.ndarray] = []
        for sample in progress(self.samples, "read images", "image"):
            try:
                images.append(aligned(load_image(Path(self.root) / sample.path), move, sample))
                self.kept.append(sample)
            except BrownidError as error:
                self.failures.append((sample.path, str(error)))
            if len(images) == READ_AT_ONCE:
                yield np.stack(images)
                images = []
        named = [(str(Path(self.root) / path), reason) for path, reason in self.failures]
        check_failures(named, len(self.samples), self.maximum_failed_share, f"images below {self.root}")
        if images:
            yield np.stack(images)


def aligned(image: np.ndarray, align: Callable[[np.ndarray, Item], np.ndarray], item: Item) -> np.ndarray:
    """Result of `align` for an image uint8 RGB `[h, w, 3]` and its `item`; BrownidError with the reason if it fails."""
    try:
        return align(image, item)
    except ALIGNMENT_ERRORS as error:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise BrownidError(f"its {size} pixels cannot be aligned ({one_line(error)})") from error


def load_image(path: str | Path) -> np.ndarray:
    """The image at the path of a sample as uint8 RGB `[h, w, 3]`: a file, or a record of a record file.

    See `brownid.databases.listing.path_text` for paths that are not UTF-8, and `brownid.databases.recordio`.
    BrownidError with the reason when it is missing or damaged.
    """
    record = split_address(path)
    return load_rgb(path_of(path)) if record is None else decode_rgb(read_image(*record))


def image_exists(path: str | Path) -> bool:
    """Whether there is a file at the path of a sample; of a record, whether there is its record file."""
    record = split_address(path)
    return os.path.isfile(path_of(path) if record is None else record[0])


def advice_on_root(root: str | Path, path: str) -> str:
    """A phrase about the image `path`, which is not below `root`: what is expected, and the root that has it.

    The right root is looked for up to two levels above and below.
    """
    root = Path(root).absolute()
    below = (folder for levels in ("*/", "*/*/") for folder in sorted(islice(root.glob(levels), SEARCHED_FOLDERS)))
    found = next((folder for folder in (*root.parents[:2], *below) if image_exists(folder / path)), None)
    expected = f"expected paths such as {path}"
    return expected if found is None else f"{expected}, which is below {found}: set `root` to that folder"


def squared(image: np.ndarray, not_square: str | None) -> np.ndarray:
    """An aligned image uint8 RGB `[h, w, 3]` as a square of its longer or (crop) shorter side, about the same centre.

    `not_square` says how: "pad" with black, as aligned crops are black beyond the photograph; "stretch" the shorter
    side; "crop" the longer one. None, and sides that no crop of a face has, are a BrownidError; a square is returned
    as it is.
    """
    height, width = image.shape[:2]
    if height == width:
        return image
    size = f"{width} x {height} pixels"
    if not_square is None:
        raise BrownidError(
            f"it is {size}, and an aligned image is square: set `not_square` (a command's --not-square) to "
            f"{', '.join(NOT_SQUARE[:-1])} or {NOT_SQUARE[-1]}"
        )
    if not_square not in NOT_SQUARE:
        raise BrownidError(f"not_square is {not_square!r}; it is one of {', '.join(NOT_SQUARE)}")
    shorter, longer = sorted((height, width))
    if longer > LONGEST_SHAPE * shorter:
        raise BrownidError(f"it is {size}, which is no crop of a face")
    if not_square == "stretch":
        return cv2.resize(image, (longer, longer), interpolation=cv2.INTER_CUBIC)
    if not_square == "crop":
        top, left = (height - shorter) // 2, (width - shorter) // 2
        return image[top : top + shorter, left : left + shorter]
    padded = np.zeros((longer, longer, 3), np.uint8)
    top, left = (longer - height) // 2, (longer - width) // 2
    padded[top : top + height, left : left + width] = image
    return padded


def resize(image: np.ndarray, image_size: int, not_square: str | None = None) -> np.ndarray:
    """An image uint8 RGB, made square as in `squared`, at `image_size` pixels, antialiased; itself if it is so."""
    if image.shape[:2] == (image_size, image_size):
        return image
    image = squared(image, not_square)
    method = cv2.INTER_AREA if image_size < image.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(image, (image_size, image_size), interpolation=method)


def write_failures(path: str | Path, failures: Sequence[Failure]) -> None:
    """Write the failures as CSV with the columns path and reason; a header alone when there is none."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "reason"))
        writer.writerows(failures)


def image_aligner(
    alignment: Mapping[str, Any] | None,
    image_size: int,
    detector_spec: Mapping[str, Any] | None = None,
    not_square: str | None = None,
) -> Align:
    """Function that aligns an image of a database to `image_size` pixels, as `brownid.databases.read_images` takes it.

    `alignment` is None for images that are crops on the wanted template already. Otherwise it has `to`, the template
    that is wanted, and `template`: the one that the images are crops on, or None for photographs. Of a photograph the
    index's landmarks count, and where it has none the detector of `detector_spec` (see `brownid.alignment.detector`)
    looks for them. An image without either is a BrownidError, which makes it a failure of that image. `not_square` says
    how crops become square (see `brownid.databases.reading.squared`); photographs need not be.
    """
    if alignment is None:
        return lambda image, sample: resize(image, image_size, not_square)
    source, wanted = alignment["template"], alignment["to"]
    if source is not None:
        return lambda image, sample: realign(squared(image, not_square)[None], source, wanted, image_size)[0]
    finder = _open_detector(detector_spec) if detector_spec is not None else None
    return lambda image, sample: _aligned(image, sample.meta.get(LANDMARKS), finder, wanted, image_size)


def _open_detector(spec: Mapping[str, Any]) -> Detector:
    if spec["family"] != "mtcnn":
        return detector(spec)
    from brownid.runtime.process import default_device

    return detector(spec, default_device())


def _aligned(image: np.ndarray, landmarks: object, finder: Detector | None, wanted: str, image_size: int) -> np.ndarray:
    if landmarks is not None:
        return align_landmarks(image, landmark_points(landmarks), wanted, image_size)
    if finder is None:
        raise BrownidError("the index has no landmarks of it, and no detector is configured")
    result = align_photograph(image, finder, wanted, image_size)
    if isinstance(result, AlignedImage):
        return result.image
    raise BrownidError(result.reason)
