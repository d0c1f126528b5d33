"""Aligned images moved from one template to another, without looking for landmarks again."""

import numpy as np

from brownid.alignment.templates import common_points, template
from brownid.alignment.warp import warp_image
from brownid.errors import BrownidError


def realign(images: np.ndarray, source_template: str, target_template: str, side: int) -> np.ndarray:
    """uint8 images `[N, S, S, 3]` aligned to `source_template`, aligned to `target_template`: `[N, side, side, 3]`.

    Both are names of `TEMPLATES`. All five points are matched where both templates know them, else the eyes.
    Antialiased where it shrinks; black where the target shows more than the source. An image is moved as its template
    says, wherever its own landmarks are. BrownidError for images of another kind and for unknown names.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise BrownidError(
            f"Images to align anew are uint8 [number, side, side, 3], not {images.dtype} {list(images.shape)}."
        )
    shared = common_points(source_template, target_template)
    target = template(target_template, side)[shared]
    if not len(images):
        return np.empty((0, side, side, 3), np.uint8)
    source = template(source_template, images.shape[1])[shared]
    return np.stack([warp_image(image, source, target, side) for image in images])
