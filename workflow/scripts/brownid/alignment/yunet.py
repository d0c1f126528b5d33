"""The face detector YuNet, run by OpenCV from its ONNX file.

"YuNet: A Tiny Millisecond-level Face Detector" (Wu, Peng, Yu; Machine Intelligence Research 2023); the file
face_detection_yunet_2023mar.onnx of opencv_zoo.
"""

from pathlib import Path

import cv2
import numpy as np

from brownid.alignment.detection import Detection, check_numbers, enlarged, shrunk
from brownid.alignment.warp import check_colour_image
from brownid.errors import BrownidError

OVERLAP = 0.3  # boxes that share more than this of their union are one face
CANDIDATES = 5000  # boxes looked at before the overlapping ones are removed
DIVISOR = 32  # the coarsest stride of the network


class YuNet:
    """A `Detector`. `threshold` is the least score of a face.

    The photograph, shrunk to `max_side` where it is larger, lies in the upper left corner of a black square of
    `max_side` pixels (rounded up to a multiple of 32): the published file has the fixed input 640 x 640, which not
    every engine of OpenCV resizes. As the network knows faces of about 10 to 300 pixels only, a photograph without a
    detection is looked at once more at half the size.
    """

    def __init__(self, path: str | Path, threshold: float = 0.7, max_side: int = 640) -> None:
        check_numbers(threshold, max_side)
        self.max_side = max_side
        self.canvas_side = -(-max_side // DIVISOR) * DIVISOR
        self.path = Path(path)
        size = (self.canvas_side, self.canvas_side)
        try:
            self.network = cv2.FaceDetectorYN.create(str(path), "", size, threshold, OVERLAP, CANDIDATES)
        except cv2.error as error:
            raise BrownidError(f"{path}: not a readable ONNX file of YuNet ({_reason(error)}).") from error

    def detect(self, image: np.ndarray) -> list[Detection]:
        """The faces of a uint8 RGB photograph `[H, W, 3]`, best score first."""
        check_colour_image(image)
        longest = min(self.max_side, max(image.shape[:2]))
        return self._detect(image, longest) or self._detect(image, max(longest // 2, 1))

    def _detect(self, image: np.ndarray, longest: int) -> list[Detection]:
        small, ratio = shrunk(image, longest)
        canvas = np.zeros((self.canvas_side, self.canvas_side, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[..., ::-1]  # the network reads BGR
        try:
            rows = self.network.detect(canvas)[1]
        except cv2.error as error:
            raise BrownidError(f"{self.path}: OpenCV cannot run the file as YuNet ({_reason(error)}).") from error
        faces = [_face(row.astype(np.float64), ratio) for row in (rows if rows is not None else [])]
        return sorted(faces, key=lambda face: -face.score)


def _face(row: np.ndarray, ratio: np.ndarray) -> Detection:
    """A row of OpenCV's result: x, y, width, height, ten coordinates, score.

    Its points begin with the person's right eye, which is the image's left one.
    """
    corners = enlarged(np.array((row[:2], row[:2] + row[2:4])), ratio)
    return Detection(tuple(corners.ravel().tolist()), float(row[14]), enlarged(row[4:14].reshape(5, 2), ratio))


def _reason(error: cv2.error) -> str:
    return " ".join(str(error).split())[:200]
