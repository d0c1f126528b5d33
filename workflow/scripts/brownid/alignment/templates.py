"""Landmark positions of aligned images.

Positions are (x, y) in pixels; (0, 0) is the centre of the upper left pixel, x runs right, y down. "Left" and "right"
are those of the image, not of the person.
"""

from dataclasses import dataclass

import numpy as np

from brownid.runtime.errors import BrownidError


@dataclass(frozen=True)
class Template:
    """Landmark positions `points` (x, y) in a square image of `image_size` pixels.

    To an `oriented` one, photographs come by the oriented crop of FFHQ (`brownid.alignment.photographs`), which looks
    at eyes and mouth and puts faces near the points; to any other, by the similarity that best takes landmarks to the
    points.
    """

    image_size: int
    points: tuple[tuple[float, float], ...]
    oriented: bool = False

    def scaled(self, image_size: int) -> np.ndarray:
        """The points `[landmarks, 2]`, float64, for a square image of another side.

        Pixel edges, not centres, keep their place: (p + 1/2) · ratio − 1/2. A landmark then stays on the same spot of
        the face when the image is averaged down.
        """
        if image_size < 1:
            raise BrownidError(f"An aligned image cannot have a side of {image_size} pixels: give a positive number.")
        return (np.array(self.points, dtype=np.float64) + 0.5) * (image_size / self.image_size) - 0.5


# Left eye, right eye, tip of the nose, left and right corner of the mouth: the template of ArcFace training crops.
ARCFACE_112 = Template(
    112, ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
)
# Where faces lie in images that were aligned as FFHQ is; FFHQ-256 and FFHQ-128 are this template at those sides. Means
# over 153 photographs that were brought to it by the recipe of that dataset, and then measured again.
FFHQ_1024 = Template(
    1024, ((385.0, 485.0), (638.0, 487.0), (511.0, 623.0), (404.0, 743.0), (624.0, 743.0)), oriented=True
)
# What the published datasets took for the eyes of these images, 17 pixels farther apart than the recipe allows: an
# ArcFace crop by these lies 0.14 radians of embedding angle farther from the proper one than a crop by FFHQ_1024.
FFHQ_PUBLISHED_1024 = Template(1024, ((380.0, 480.0), (650.0, 480.0)), oriented=True)
# The eyes of ARCFACE_112, made horizontal: for crops that know only the two eyes.
TWO_EYE_112 = Template(112, ((38.2946, 51.6), (73.5318, 51.6)))

TEMPLATES = {
    "arcface": ARCFACE_112,
    "two_eye": TWO_EYE_112,
    "ffhq": FFHQ_1024,
    "ffhq_published": FFHQ_PUBLISHED_1024,
}


def common_points(source: str, target: str) -> slice:
    """Landmarks that two templates share: all five, or the two eyes, the first of every template."""
    return slice(0, min(len(_named(source).points), len(_named(target).points)))


def template(name: str, image_size: int) -> np.ndarray:
    """The landmark positions `[landmarks, 2]` of the named template in an image of `image_size` pixels."""
    return _named(name).scaled(image_size)


def is_oriented(name: str) -> bool:
    """Whether photographs come to the named template by the oriented crop of FFHQ."""
    return _named(name).oriented


def _named(name: str) -> Template:
    if name not in TEMPLATES:
        raise BrownidError(f"There is no alignment template {name!r}: choose one of {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]
