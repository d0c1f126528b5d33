"""Where facial landmarks belong in an aligned image.

Positions are (x, y) in pixels; (0, 0) is the centre of the upper left pixel, x runs right, y down. "Left" and "right"
are those of the image, not of the person.
"""

from dataclasses import dataclass

import numpy as np

from brownid.errors import BrownidError


@dataclass(frozen=True)
class Template:
    """Landmark positions `points` (x, y) in a square image of `side` pixels."""

    side: int
    points: tuple[tuple[float, float], ...]

    def scaled(self, side: int) -> np.ndarray:
        """The points `[landmarks, 2]`, float64, for a square image of another side.

        Pixel edges, not centres, keep their place: (p + 1/2) · ratio − 1/2. A landmark then stays on the same spot of
        the face when the image is averaged down.
        """
        if side < 1:
            raise BrownidError(f"An aligned image cannot have a side of {side} pixels: give a positive number.")
        return (np.array(self.points, dtype=np.float64) + 0.5) * (side / self.side) - 0.5


# Left eye, right eye, tip of the nose, left and right corner of the mouth: the template of ArcFace training crops.
ARCFACE_112 = Template(
    112, ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
)
# The eyes of the mean face of generators trained on FFHQ; FFHQ-256 and FFHQ-128 are this template at those sides.
# A photograph is brought to it by the oriented crop of `brownid.alignment.ffhq`, which looks at the mouth too.
FFHQ_1024 = Template(1024, ((380.0, 480.0), (650.0, 480.0)))
# The eyes of ARCFACE_112, made horizontal: for crops that know only the two eyes.
TWO_EYE_112 = Template(112, ((38.2946, 51.6), (73.5318, 51.6)))

TEMPLATES = {"arcface": ARCFACE_112, "ffhq": FFHQ_1024, "two_eye": TWO_EYE_112}


def common_points(source: str, target: str) -> slice:
    """Which landmarks both named templates know: all five, or the two eyes, which are the first of every template."""
    return slice(0, min(len(_named(source).points), len(_named(target).points)))


def template(name: str, side: int) -> np.ndarray:
    """The landmark positions `[landmarks, 2]` of the named template in an image of `side` pixels."""
    return _named(name).scaled(side)


def _named(name: str) -> Template:
    if name not in TEMPLATES:
        raise BrownidError(f"There is no alignment template {name!r}: choose one of {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]
