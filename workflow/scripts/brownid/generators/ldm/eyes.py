"""Where the eyes lie in the pictures of a generator: those of FFHQ, unless the configuration says otherwise."""

from collections.abc import Sequence

from brownid.alignment.templates import template
from brownid.errors import BrownidError
from brownid.generators.protocol import Point


def eyes_at(side: int, eyes: Sequence[Sequence[float]] | None) -> tuple[Point, Point]:
    """The given eyes, (x, y) in pixels, the image's left one first; without any, those of FFHQ at `side` pixels."""
    given = template("ffhq", side) if eyes is None else eyes
    points = tuple(tuple(float(number) for number in point) for point in given)
    if [len(point) for point in points] != [2, 2] or points[0][0] >= points[1][0]:
        raise BrownidError(
            f"eyes are {eyes}: give two points [x, y] in pixels, that of the eye on the left of the image first."
        )
    return points
