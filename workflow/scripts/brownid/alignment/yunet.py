"""The face detector YuNet, run by OpenCV's networks from its ONNX file.

"YuNet: A Tiny Millisecond-level Face Detector" (Wu, Peng, Yu; Machine Intelligence Research 2023); the file
face_detection_yunet_2023mar.onnx of opencv_zoo. Its outputs are read here as `cv2.FaceDetectorYN` reads them (the same
faces, to five digits): that class asks for a device, of which OpenCV 5 warns for each detector.
"""

from pathlib import Path

import cv2
import numpy as np

from brownid.alignment.faces import Detection, enlarged, resized
from brownid.alignment.settings import YuNetSettings
from brownid.alignment.warp import check_colour_image
from brownid.runtime.errors import BrownidError, one_line

OVERLAP = 0.3  # boxes that share more than this of their union are one face
CANDIDATES = 5000  # boxes looked at before the overlapping ones are removed
STRIDES = (8, 16, 32)  # pixels between the cells of each level of the network
DIVISOR = STRIDES[-1]
OUTPUTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}  # numbers a cell
SMALL_SIDE = 160  # pixels: a photograph smaller than this may show a face that is too small for the network


class YuNet:
    """A `Detector`. `threshold` is the least score of a face.

    A photograph, shrunk to `max_side` where it is larger, is filled up with black to multiples of 32 pixels, or to a
    square of `max_side` for a file that runs at one size only. As the network knows faces of about 10 to 300 pixels
    only, and the smallest ones badly, a photograph without a detection is looked at again: enlarged, where it is small,
    then at half the size.
    """

    def __init__(self, path: str | Path, settings: YuNetSettings) -> None:
        self.threshold, self.max_side, self.path = settings.threshold, settings.max_side, Path(path)
        try:
            self.network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise BrownidError(f"{path}: not a readable ONNX file of YuNet ({one_line(error)}).") from error
        self.least_canvas = DIVISOR
        try:
            self._rows(np.zeros((DIVISOR, DIVISOR, 3), np.uint8))
        except BrownidError:  # an input of fixed size, in a file or with an engine of OpenCV that does not resize it
            self.least_canvas = _filled_up(self.max_side)

    def detect(self, image: np.ndarray) -> list[Detection]:
        """The faces of a uint8 RGB photograph `[H, W, 3]`, best score first."""
        check_colour_image(image)
        whole = min(self.max_side, max(image.shape[:2]))
        sides = (whole, min(self.max_side, max(whole, SMALL_SIDE)), max(whole // 2, 1))
        found = (self._faces(image, side) for side in dict.fromkeys(sides))
        return next((faces for faces in found if faces), [])

    def _faces(self, image: np.ndarray, longest: int) -> list[Detection]:
        """Faces detected with the photograph's longer side resized to `longest` pixels, best score first."""
        seen, ratio = resized(image, longest)
        rows = self._rows(seen)
        boxes, scores = rows[:, :4].astype(int).tolist(), rows[:, 14].tolist()
        kept = np.ravel(cv2.dnn.NMSBoxes(boxes, scores, self.threshold, OVERLAP, 1.0, CANDIDATES)).astype(int)
        return sorted((_face(row, ratio) for row in rows[kept]), key=lambda face: -face.score)

    def _rows(self, image: np.ndarray) -> np.ndarray:
        """Each cell that may be a face: x, y, width, height, ten coordinates, score; float64 `[n, 15]`."""
        height, width = (max(_filled_up(side), self.least_canvas) for side in image.shape[:2])
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[: image.shape[0], : image.shape[1]] = image[..., ::-1]  # the network reads BGR, 0 to 255
        names = [f"{name}_{stride}" for stride in STRIDES for name in OUTPUTS]
        try:
            self.network.setInput(cv2.dnn.blobFromImage(canvas))
            outputs = dict(zip(names, self.network.forward(names), strict=True))
        except cv2.error as error:
            raise BrownidError(f"{self.path}: OpenCV cannot run the file as YuNet ({one_line(error)}).") from error
        return np.concatenate([self._rows_of(outputs, stride, height // stride, width // stride) for stride in STRIDES])

    def _rows_of(self, outputs: dict[str, np.ndarray], stride: int, rows: int, columns: int) -> np.ndarray:
        """Those of one level, whose cells lie in rows and columns."""
        values = {}
        for name, numbers in OUTPUTS.items():
            output = outputs[f"{name}_{stride}"]
            if output.size != rows * columns * numbers:
                raise BrownidError(
                    f"{self.path}: its output {name}_{stride} has the shape {list(output.shape)} where the input has "
                    f"{columns * stride} x {rows * stride} pixels: it is not YuNet, or of another fixed size."
                )
            values[name] = output.reshape(-1, numbers).astype(np.float64)
        scores = np.sqrt(values["cls"].clip(0, 1) * values["obj"].clip(0, 1))[:, 0]
        likely = np.flatnonzero(scores >= self.threshold)
        cells = np.stack([likely % columns, likely // columns], axis=1)
        size = np.exp(values["bbox"][likely, 2:]) * stride
        corner = (cells + values["bbox"][likely, :2]) * stride - size / 2
        points = (values["kps"][likely].reshape(-1, 5, 2) + cells[:, None]) * stride
        found = np.concatenate([corner, size, points.reshape(-1, 10), scores[likely, None]], axis=1)
        return found[np.isfinite(found).all(axis=1)]


def _filled_up(side: int) -> int:
    """The next multiple of the coarsest stride."""
    return -(-side // DIVISOR) * DIVISOR


def _face(row: np.ndarray, ratio: np.ndarray) -> Detection:
    """A row as a face of the photograph; its points begin with the person's right eye, the image's left one."""
    corners = enlarged(np.array((row[:2], row[:2] + row[2:4])), ratio)
    return Detection(tuple(corners.ravel().tolist()), float(row[14]), enlarged(row[4:14].reshape(5, 2), ratio))
