"""Similarity transforms between landmarks, and the warp of photographs and crops onto a template."""

import cv2
import numpy as np

from brownid.alignment.templates import common_points, template
from brownid.runtime.errors import BrownidError

SMALLEST_EXTENT = 1e-6  # pixels: landmarks closer together than this are one point
FARTHEST = 2  # longer sides of an image: landmarks farther outside belong to no face in it


def similarity_from_points(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The `[2, 3]` matrix of the rotation, scale and shift that best takes `source` to `target`, both `[n, 2]`, n >= 2.

    Least squares in closed form (Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991). Never a reflection: mirrored landmarks get the best proper similarity. Raises BrownidError for
    landmarks that are not finite, that differ in number, or that all lie on one point.
    """
    source, target = landmark_array(source, "source"), landmark_array(target, "target")
    if source.shape != target.shape:
        raise BrownidError(
            f"{len(source)} landmarks cannot be aligned with a template of {len(target)}: both need the same points."
        )
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = target_centred.T @ source_centred / len(source)  # equation 38
    u, singular, vt = np.linalg.svd(covariance)
    proper = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # equations 39 and 43
    rotation = u @ np.diag(proper) @ vt  # equation 40
    scale = (singular * proper).sum() / source_centred.var(axis=0).sum()  # equation 42
    if scale * source_centred.std() < SMALLEST_EXTENT:
        raise BrownidError(
            f"The landmarks {source.round(1).tolist()} match the template only at size zero: are they in its order?"
        )
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])  # equation 41


def low_pass_kernel(shrink: float) -> np.ndarray:
    """The odd, symmetric weights (sum 1) that an image needs along each axis before it is made `shrink` times smaller.

    A triangle whose half width is one target pixel, as in antialiased bilinear resizing. It tends to the single weight
    1 as `shrink` tends to 1, and is that weight for an image that grows.
    """
    shrink = max(float(shrink), 1.0)
    reach = int(np.ceil(shrink)) - 1
    weights = 1 - np.abs(np.arange(-reach, reach + 1)) / shrink
    return weights / weights.sum()


def warp_image(image: np.ndarray, landmarks: np.ndarray, template: np.ndarray, image_size: int) -> np.ndarray:
    """Move a photograph so that its `landmarks` lie on the `template` points, both `[n, 2]`.

    `image` is uint8 `[H, W, 3]`; the result is uint8 `[S, S, 3]`, black where the photograph does not reach.
    Antialiased and interpolated as `FixedCrop` does it, so that genuine and generated images are treated alike.
    """
    check_colour_image(image)
    check_near(image, landmarks)
    return warp_by_matrix(image, similarity_from_points(landmarks, template), image_size)


def check_colour_image(image: np.ndarray) -> None:
    """Raise BrownidError unless `image` is a uint8 colour image `[H, W, 3]` with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise BrownidError(
            f"Only uint8 colour images [height, width, 3] can be aligned; this one is {image.dtype} {image.shape}."
        )


def check_near(image: np.ndarray, landmarks: np.ndarray) -> None:
    """Raise BrownidError for landmarks `[n, 2]` so far outside `image` that they cannot belong to it."""
    landmarks, size = landmark_array(landmarks, "source"), np.array((image.shape[1], image.shape[0]))
    reach = FARTHEST * size.max()
    far = ((landmarks < -reach) | (landmarks > size + reach)).any(axis=1)
    if far.any():
        x, y = landmarks[far][0]
        raise BrownidError(
            f"The landmark ({x:.4g}, {y:.4g}) is far off the image of {size[0]} x {size[1]} pixels: do the landmarks "
            "belong to it?"
        )


def warp_by_matrix(image: np.ndarray, matrix: np.ndarray, image_size: int) -> np.ndarray:
    """`image` uint8 `[H, W, 3]` moved by a similarity `[2, 3]` (source to target) into `[S, S, 3]`.

    Antialiased where it shrinks, black where the image does not reach. Only the part that the target sees is filtered,
    so the work does not grow with the rest of a large photograph.
    """
    kernel = low_pass_kernel(1 / np.hypot(matrix[0, 0], matrix[1, 0]))
    left, top, right, bottom = _seen_part(image, matrix, image_size, len(kernel) // 2 + 2)
    if right <= left or bottom <= top:
        return np.zeros((image_size, image_size, 3), np.uint8)
    image = image[top:bottom, left:right]
    if len(kernel) > 1:
        image = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (left, top)
    return cv2.warpAffine(image, moved, (image_size, image_size), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))


def _seen_part(image: np.ndarray, matrix: np.ndarray, image_size: int, reach: int) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) that a target of `image_size` pixels reads, `reach` pixels wider."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([(x, y) for x in (-1, image_size) for y in (-1, image_size)]) @ inverse[:, :2].T + inverse[:, 2]
    first = np.floor(corners.min(axis=0)) - reach
    last = np.ceil(corners.max(axis=0)) + reach + 1
    height, width = image.shape[:2]
    left, top = np.clip(first, 0, (width, height)).astype(int)
    right, bottom = np.clip(last, 0, (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def landmark_array(points: np.ndarray, role: str) -> np.ndarray:
    """Landmarks as float64 `[n, 2]`, n >= 2; BrownidError where they are not finite or all lie on one point."""
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise BrownidError(f"The {role} landmarks have shape {points.shape}; at least two points [n, 2] are needed.")
    if not np.isfinite(points).all():
        raise BrownidError(f"The {role} landmarks {points.tolist()} are not finite numbers.")
    if np.ptp(points, axis=0).max() < SMALLEST_EXTENT:
        raise BrownidError(f"The {role} landmarks all lie on one point, {points[0].tolist()}: no face can be aligned.")
    return points


def realign(images: np.ndarray, source_template: str, target_template: str, image_size: int) -> np.ndarray:
    """uint8 images `[N, S, S, 3]` aligned to `source_template`, aligned to `target_template`: `[N, S, S, 3]`.

    Both are names of `TEMPLATES`. All five points are matched where both templates know them, else the eyes.
    Antialiased where it shrinks; black where the target shows more than the source. An image is moved as its template
    says, wherever its own landmarks are. BrownidError for images of another kind and for unknown names.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise BrownidError(f"Images to realign are uint8 [number, S, S, 3], not {images.dtype} {list(images.shape)}.")
    shared = common_points(source_template, target_template)
    target = template(target_template, image_size)[shared]
    if not len(images):
        return np.empty((0, image_size, image_size, 3), np.uint8)
    source = template(source_template, images.shape[1])[shared]
    return np.stack([warp_image(image, source, target, image_size) for image in images])
