"""Where an average face lies in the pictures of a generator: as in FFHQ, unless its settings say otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brownid.alignment.templates import template
from brownid.errors import BrownidError
from brownid.generators.protocol import Point

NAMES = {"eyes": "that of the eye", "landmarks": "eyes, tip of the nose and corners of the mouth, those"}
COUNTS = {"eyes": 2, "landmarks": 5}


@dataclass(frozen=True)
class AverageFace:
    """The landmarks of an average frontal face, (x, y) in pixels, those on the left of the image first.

    Those of the named template (see `brownid.alignment.templates`), unless two `eyes` or five `landmarks`, in the order
    of `ARCFACE_112`, are given in the generator's own pixels.
    """

    template: str = "ffhq"
    eyes: Sequence[Sequence[float]] | None = None
    landmarks: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        template(self.template, 1)  # refuses an unknown name
        if self.eyes is not None and self.landmarks is not None:
            raise BrownidError("A generator has `eyes` or `landmarks`, which begin with the eyes, not both: drop one.")
        for name, count in COUNTS.items():
            points = getattr(self, name)
            if points is not None and not _are_points(points, count):
                raise BrownidError(
                    f"{name} are {points}: give {('two', 'five')[count == 5]} points [x, y] in pixels, {NAMES[name]} "
                    "on the left of the image first."
                )

    def points(self, side: int) -> tuple[Point, ...]:
        """The landmarks in images of `side` pixels: five where all are known, else the two eyes."""
        given = self.landmarks if self.eyes is None else self.eyes
        known = template(self.template, side) if given is None else given
        return tuple((float(x), float(y)) for x, y in known)


def _are_points(points: Sequence[Sequence[float]], count: int) -> bool:
    """Whether these are `count` points, finite, and left before right."""
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    pairs = [(0, 1), (3, 4)][: count // 2]
    return (
        array.shape == (count, 2)
        and bool(np.isfinite(array).all())
        and all(array[left, 0] < array[right, 0] for left, right in pairs)
    )
