"""Faces in photographs: what a detector finds, boxes of faces, and the choice of the face of a photograph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np


def suppress_overlaps(boxes: np.ndarray, scores: np.ndarray, most: float, of_smaller: bool = False) -> np.ndarray:
    """The indices of the boxes that stay, best score first.

    A box goes where it shares more than `most` with a better one that stays: of their union or, with `of_smaller`, of
    the smaller box. Of equal scores the first one is the better.
    """
    order = np.argsort(-scores, kind="stable")
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        shared = np.prod(np.maximum(np.minimum(boxes[best, 2:], boxes[rest, 2:]) - corner, 0), axis=1)
        whole = np.minimum(areas[best], areas[rest]) if of_smaller else areas[best] + areas[rest] - shared
        order = rest[shared <= most * whole]
    return np.array(kept, dtype=np.intp)


def corrected(boxes: np.ndarray, corrections: np.ndarray) -> np.ndarray:
    """Boxes with their edges moved by `corrections` `[n, 4]`, shares of width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + corrections * np.concatenate([size, size], axis=1)


def squared(boxes: np.ndarray) -> np.ndarray:
    """The squares of the same centres with the longer sides, on whole pixels, at least one pixel wide."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    side = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True).round(), 1)
    first = (centre - side / 2).round()
    return np.concatenate([first, first + side], axis=1)


CENTRE_WEIGHT = 2.0  # how much the square of the distance from the centre counts against the area


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Detection:
    """A face in a photograph; positions are (x, y) in its pixels, (0, 0) the centre of the upper left one.

    `points` `[5, 2]` are the eye, the eye, the tip of the nose, the corner and the corner of the mouth, first the one
    that is on the left in the image of an upright face: the order of `ARCFACE_112`.
    """

    box: tuple[float, float, float, float]  # left, top, right, bottom
    score: float  # 0 to 1
    points: np.ndarray


class Detector(Protocol):
    """Finds faces; finding none is an empty list."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        """The faces of a uint8 RGB photograph `[H, W, 3]`, best score first."""
        ...


def choose_face(detections: Sequence[Detection], width: int, height: int) -> Detection | None:
    """The face that a photograph of one person shows: large and near the centre. None where there is none.

    The largest value of area − 2 · (distance of the box's centre from the photograph's)² wins, the first one of equals:
    bystanders are smaller or farther out, whatever their scores.
    """

    def prominence(face: Detection) -> float:
        left, top, right, bottom = face.box
        distance = np.hypot((left + right - width) / 2, (top + bottom - height) / 2)
        return (right - left) * (bottom - top) - CENTRE_WEIGHT * distance**2

    return max(detections, key=prominence, default=None)


def resized(image: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The image with its longer side of `longest` pixels, antialiased, and by how much (x, y) it is smaller."""
    height, width = image.shape[:2]
    ratio = max(height, width) / longest
    if ratio == 1:
        return image, np.ones(2)
    size = max(round(width / ratio), 1), max(round(height / ratio), 1)
    method = cv2.INTER_AREA if ratio > 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=method), np.array((width, height)) / size


def enlarged(points: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Positions `[..., 2]` in a `resized` image as those in the photograph: edges, not centres, keep their place."""
    return (points + 0.5) * ratio - 0.5
