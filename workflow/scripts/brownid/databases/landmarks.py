"""The five landmarks of an image as an attribute of a database index."""

from collections.abc import Sequence

import numpy as np

from brownid.errors import BrownidError

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


def five_of_68(points: Sequence[Sequence[float]]) -> np.ndarray:
    """Centres of the eyes, tip of the nose and corners of the mouth `[5, 2]` of the 68 landmarks that dlib finds."""
    array = np.asarray(points, dtype=np.float64)
    return np.stack([array[36:42].mean(axis=0), array[42:48].mean(axis=0), array[30], array[48], array[54]])
