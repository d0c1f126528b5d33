"""How the images of a database come to the template that a stage wants: resized, moved from another one, or aligned."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from brownid.alignment import AlignedImage, Detector, align_landmarks, align_photograph, detector, realign
from brownid.databases.landmarks import LANDMARKS, landmark_points
from brownid.databases.reading import Align, resize, squared
from brownid.errors import BrownidError


def image_aligner(
    alignment: Mapping[str, Any] | None,
    side: int,
    detector_spec: Mapping[str, Any] | None = None,
    not_square: str | None = None,
) -> Align:
    """What brings an image of a database to `side` pixels, as `brownid.databases.read_images` takes it.

    `alignment` is None for images that are crops on the wanted template already. Otherwise it has `to`, the template
    that is wanted, and `template`: the one that the images are crops on, or None for photographs. Of a photograph the
    index's landmarks count, and where it has none the detector of `detector_spec` (see `brownid.alignment.detector`)
    looks for them. An image without either is a BrownidError, which makes it a failure of that image. `not_square` says
    how crops become square (see `brownid.databases.reading.squared`); photographs need not be.
    """
    if alignment is None:
        return lambda image, sample: resize(image, side, not_square)
    source, wanted = alignment["template"], alignment["to"]
    if source is not None:
        return lambda image, sample: realign(squared(image, not_square)[None], source, wanted, side)[0]
    finder = _open_detector(detector_spec) if detector_spec is not None else None
    return lambda image, sample: _aligned(image, sample.meta.get(LANDMARKS), finder, wanted, side)


def _open_detector(spec: Mapping[str, Any]) -> Detector:
    if spec["family"] != "mtcnn":
        return detector(spec)
    from brownid.runtime import default_device

    return detector(spec, default_device())


def _aligned(image: np.ndarray, landmarks: object, finder: Detector | None, wanted: str, side: int) -> np.ndarray:
    if landmarks is not None:
        return align_landmarks(image, landmark_points(landmarks), wanted, side)
    if finder is None:
        raise BrownidError("the index has no landmarks of it, and no detector is configured")
    result = align_photograph(image, finder, wanted, side)
    if isinstance(result, AlignedImage):
        return result.image
    raise BrownidError(result.reason)
