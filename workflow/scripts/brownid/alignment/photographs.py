"""A photograph to an aligned face (detect, choose, warp), and to the oriented crop of FFHQ."""

from dataclasses import dataclass

import cv2
import numpy as np

from brownid.alignment.faces import Detection, Detector, choose_face
from brownid.alignment.templates import is_oriented
from brownid.alignment.templates import template as template_points
from brownid.alignment.warp import check_colour_image, check_near, landmark_array, warp_by_matrix, warp_image
from brownid.runtime.errors import BrownidError

LEAST_BORDER = 3  # pixels kept around the square
BORDER_SHARE = 0.1  # of the square's side
PADDING_SHARE = 0.3
BLUR_SHARE = 0.02  # standard deviation of the blur
EASY_BLUR = 4.0  # pixels; a wider blur is computed on a smaller image, where it looks the same


def align_ffhq(image: np.ndarray, landmarks: np.ndarray, image_size: int, padding: bool = True) -> np.ndarray:
    """A photograph uint8 RGB `[H, W, 3]` as an FFHQ image `[S, S, 3]`.

    `landmarks` are the five of `ARCFACE_112` or the 68 of FFHQ's metadata, `[5, 2]` or `[68, 2]`. `padding=False`
    leaves what is beyond the photograph black. BrownidError where the landmarks give no square or are off the image.
    """
    check_colour_image(image)
    check_near(image, landmarks)
    centre, across = oriented_square(landmarks)
    image, offset = _cut(image, centre, across)
    centre = centre - offset
    factor = int(np.hypot(*across) / image_size)  # half the square's side: twice the wanted resolution is left
    if factor > 1:
        image, centre, across = _block_means(image, factor), (centre + 0.5) / factor - 0.5, across / factor
    if padding:
        image, offset = _padded(image, centre, across)
        centre = centre + offset
    return warp_by_matrix(image, _square_matrix(centre, across, image_size), image_size)


def oriented_square(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (x, y) of the square, and half its upper side as a vector from left to right; pixels of the photograph."""
    left_eye, right_eye, left_mouth, right_mouth = _eyes_and_mouth(landmark_array(landmarks, "face"))
    eyes = (left_eye + right_eye) / 2
    between_eyes = right_eye - left_eye
    to_mouth = (left_mouth + right_mouth) / 2 - eyes
    across = between_eyes + np.array((to_mouth[1], -to_mouth[0]))
    length = np.hypot(*across)
    half_side = max(2.0 * np.hypot(*between_eyes), 1.8 * np.hypot(*to_mouth))
    if min(length, half_side) < 1:
        raise BrownidError(f"The landmarks {np.round(landmarks, 1).tolist()} are no face: are they in the right order?")
    return eyes + 0.1 * to_mouth, across / length * half_side


def _eyes_and_mouth(points: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centres of left and right eye, left and right corner of the mouth, of five or 68 landmarks."""
    if len(points) == 5:
        return points[0], points[1], points[3], points[4]
    if len(points) == 68:
        return points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[48], points[54]
    raise BrownidError(f"The FFHQ crop needs 5 or 68 landmarks, not {len(points)}.")


def _square_matrix(centre: np.ndarray, across: np.ndarray, image_size: int) -> np.ndarray:
    """The similarity `[2, 3]` that takes the square to an image of `image_size` pixels, outer edge to outer edge."""
    down = np.array((-across[1], across[0]))
    axes = 2 * np.column_stack([across, down]) / image_size  # one target pixel, in source pixels
    corner = centre - across - down + axes @ (0.5, 0.5)  # centre of the target's first pixel
    return cv2.invertAffineTransform(np.column_stack([axes, corner]))


def _block_means(image: np.ndarray, factor: int) -> np.ndarray:
    """The image, `factor` times smaller; the last row and column are filled up where the sides do not divide."""
    height, width = image.shape[:2]
    below, right = -height % factor, -width % factor
    image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return cv2.resize(image, (image.shape[1] // factor, image.shape[0] // factor), interpolation=cv2.INTER_AREA)


def _cut(image: np.ndarray, centre: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the image in and near the square, and (x, y) of its first pixel."""
    size = np.array((image.shape[1], image.shape[0]))
    first, last = _bounds(centre, across)
    border = _border(across)
    first = np.clip(first - border, 0, size).astype(int)
    last = np.clip(last + border, 0, size).astype(int)
    if (last <= first).any():
        raise BrownidError(f"The landmarks are off the image of {size[0]} x {size[1]} pixels: do they belong to it?")
    return image[first[1] : last[1], first[0] : last[0]], first


def _padded(image: np.ndarray, centre: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image mirrored outwards and blurred, and (x, y) of its own first pixel; itself if the square is inside."""
    size, border = 2 * np.hypot(*across), _border(across)
    first, last = _bounds(centre, across)
    before = np.maximum(border - first, 0)
    after = np.maximum(last - (image.shape[1], image.shape[0]) + border, 0)
    if max(before.max(), after.max()) <= border - 4:
        return image, np.zeros(2)
    least = round(size * PADDING_SHARE)
    (left, top), (right, bottom) = np.maximum(before, least).astype(int), np.maximum(after, least).astype(int)
    padded = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT_101).astype(np.float32)
    outwards = np.maximum(
        _outwards(padded.shape[0], top, bottom)[:, None, None], _outwards(padded.shape[1], left, right)[None, :, None]
    )
    padded += (_blurred(padded, size * BLUR_SHARE) - padded) * np.clip(3 * outwards + 1, 0, 1)
    padded += (np.median(padded, axis=(0, 1)) - padded) * np.clip(outwards, 0, 1)
    return np.rint(padded).clip(0, 255).astype(np.uint8), np.array((left, top))


def _outwards(length: int, before: int, after: int) -> np.ndarray:
    """Position of each pixel of a line: 1 at its ends, 0 where the padding begins, negative inside."""
    place = np.arange(length, dtype=np.float32)
    return 1 - np.minimum(place / before, place[::-1] / after)


def _blurred(image: np.ndarray, deviation: float) -> np.ndarray:
    factor = max(int(deviation / EASY_BLUR), 1)
    height, width = image.shape[:2]
    small = cv2.resize(image, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), deviation / factor, borderType=cv2.BORDER_REFLECT)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _bounds(centre: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last (x, y) that the square reaches, whole pixels."""
    reach = np.abs(across).sum()  # a square's half width along the image's axes
    return np.floor(centre - reach), np.ceil(centre + reach)


def _border(across: np.ndarray) -> int:
    return max(round(2 * np.hypot(*across) * BORDER_SHARE), LEAST_BORDER)


@dataclass(frozen=True, eq=False)
class AlignedImage:
    """The face, uint8 RGB `[S, S, 3]`, and where it was in the photograph."""

    image: np.ndarray
    face: Detection


@dataclass(frozen=True)
class NotAligned:
    """Why a photograph gave no aligned face: words to follow its path in a list of failures."""

    reason: str


def align_photograph(
    image: np.ndarray, detector: Detector, template: str, image_size: int
) -> AlignedImage | NotAligned:
    """The most prominent face (`choose_face`) of a uint8 RGB photograph `[H, W, 3]`, on the named template.

    The photograph must be upright: the reader applies its EXIF orientation. BrownidError only for what concerns
    every photograph: an unknown template, a wrong side, an image of another kind.
    """
    template_points(template, image_size)  # a wrong name or side is no failure of this photograph
    face = choose_face(detector.detect(image), image.shape[1], image.shape[0])
    if face is None:
        return NotAligned("no face was detected")
    try:
        return AlignedImage(align_landmarks(image, face.points, template, image_size), face)
    except BrownidError as error:
        return NotAligned(f"the landmarks of the detected face cannot be aligned: {error}")


def align_landmarks(image: np.ndarray, points: np.ndarray, template: str, image_size: int) -> np.ndarray:
    """A photograph uint8 RGB `[H, W, 3]` on the named template, from five landmarks `[5, 2]`: `[S, S, 3]`.

    `ffhq` and `ffhq_published` are the oriented crop of that dataset (which takes its 68 landmarks too); `two_eye`
    looks at the eyes alone; with two landmarks, the eyes, every template does.
    """
    target = template_points(template, image_size)
    if is_oriented(template) and len(points) != 2:
        return align_ffhq(image, points, image_size)
    shared = min(len(points), len(target))
    return warp_image(image, points[:shared], target[:shared], image_size)
