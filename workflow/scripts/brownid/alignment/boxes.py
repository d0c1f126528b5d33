"""Boxes of faces as arrays `[n, 4]` of left, top, right, bottom, in pixels from the image's upper left edge."""

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
