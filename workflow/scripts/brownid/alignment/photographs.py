"""A photograph to an aligned face: detect, choose, warp. A photograph without a usable face is a value."""

from dataclasses import dataclass

import numpy as np

from brownid.alignment.detection import Detection, Detector, choose_face
from brownid.alignment.ffhq import align_ffhq
from brownid.alignment.templates import is_oriented
from brownid.alignment.templates import template as template_points
from brownid.alignment.warp import warp_image
from brownid.errors import BrownidError


@dataclass(frozen=True, eq=False)
class AlignedImage:
    """The face, uint8 RGB `[side, side, 3]`, and where it was in the photograph."""

    image: np.ndarray
    face: Detection


@dataclass(frozen=True)
class NotAligned:
    """Why a photograph gave no aligned face: words to follow its path in a list of failures."""

    reason: str


def align_photograph(image: np.ndarray, detector: Detector, template: str, side: int) -> AlignedImage | NotAligned:
    """The most prominent face (`choose_face`) of a uint8 RGB photograph `[H, W, 3]`, on the named template.

    The photograph must be upright: whoever reads it applies its EXIF orientation. BrownidError only for what concerns
    every photograph: an unknown template, a wrong side, an image of another kind.
    """
    template_points(template, side)  # a wrong name or side is no failure of this photograph
    face = choose_face(detector.detect(image), image.shape[1], image.shape[0])
    if face is None:
        return NotAligned("no face was detected")
    try:
        return AlignedImage(align_landmarks(image, face.points, template, side), face)
    except BrownidError as error:
        return NotAligned(f"the landmarks of the detected face cannot be aligned: {error}")


def align_landmarks(image: np.ndarray, points: np.ndarray, template: str, side: int) -> np.ndarray:
    """A photograph uint8 RGB `[H, W, 3]` on the named template, from five landmarks `[5, 2]`: `[side, side, 3]`.

    `ffhq` and `ffhq_published` are the oriented crop of that dataset (which takes its 68 landmarks too); `two_eye`
    looks at the eyes alone; with two landmarks, the eyes, every template does.
    """
    target = template_points(template, side)
    if is_oriented(template) and len(points) != 2:
        return align_ffhq(image, points, side)
    shared = min(len(points), len(target))
    return warp_image(image, points[:shared], target[:shared], side)
