"""Face detectors with published weights find what the peers' own code finds in the same photographs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import published
import pytest

from brownid.alignment.detection import detector
from brownid.alignment.faces import Detection
from brownid.databases.decoding import load_rgb

# Made once by facenet-pytorch's own code; how, the file says.
STORED = json.loads((published.HERE / "facenet_faces.json").read_text())["faces"]
PICTURES = sorted(STORED)
# Faces that the frame cuts through. facenet-pytorch stretches what is left of such a face to a square, brownid fills
# the rest with black as the authors of MTCNN do, so the boxes differ.
CUT = ["obama_partial_face.jpg", "obama_partial_face2.jpg"]
WHOLE = sorted(set(PICTURES) - {*CUT, "sheet.png"})
THRESHOLD, SIDE, OVERLAP, CANDIDATES = 0.7, 640, 0.3, 5000  # of YuNet


@dataclass(frozen=True)
class Difference:
    """Between a face and the peer's: overlap of the boxes (IoU), of scores, of points in eye distances."""

    overlap: float
    score: float
    points: float


@pytest.fixture(scope="module")
def yunet(files):
    return detector({"family": "yunet", "file": files.model("yunet.onnx"), "threshold": THRESHOLD, "max_side": SIDE})


@pytest.fixture(scope="module")
def mtcnn(files):
    paths = {name: files.model(f"{name}.pt") for name in ("pnet", "rnet", "onet")}
    return detector({"family": "mtcnn", "files": paths, "max_side": 4096})  # no photograph is shrunk


def opencv_faces(path, image) -> list[Detection]:
    """What cv2.FaceDetectorYN finds when it is used as OpenCV documents it, on the picture shrunk to `SIDE`."""
    size = np.array(image.shape[1::-1])
    small_size = np.rint(size / max(1, size.max() / SIDE)).astype(int)
    small = cv2.resize(image, small_size.tolist(), interpolation=cv2.INTER_AREA)
    network = cv2.FaceDetectorYN.create(str(path), "", small_size.tolist(), THRESHOLD, OVERLAP, CANDIDATES)
    rows = network.detect(np.ascontiguousarray(small[..., ::-1]))[1]
    ratio = size / small_size
    return [
        Detection(
            (*(row[:2] * ratio), *((row[:2] + row[2:4]) * ratio)), float(row[14]), row[4:14].reshape(5, 2) * ratio
        )
        for row in (rows if rows is not None else [])
    ]


def stored_faces(name) -> list[Detection]:
    return [Detection(tuple(face["box"]), face["score"], np.array(face["points"])) for face in STORED[name]]


def differences(found: Sequence[Detection], expected: Sequence[Detection]) -> list[Difference]:
    """Between each expected face and the found one that overlaps it most; both must find as many."""
    assert len(found) == len(expected)
    nearest = [max(range(len(found)), key=lambda i: overlap(found[i].box, face.box)) for face in expected]
    assert len(set(nearest)) == len(expected), "two faces of the peer are one"
    return [
        Difference(
            overlap(found[index].box, face.box),
            abs(found[index].score - face.score),
            np.abs(found[index].points - face.points).max() / np.hypot(*(face.points[1] - face.points[0])),
        )
        for index, face in zip(nearest, expected, strict=True)
    ]


def overlap(first, second) -> float:
    """Intersection over union of two boxes."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    common = np.prod(np.maximum(sides, 0))
    area, other = ((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return common / (area + other - common)


@pytest.mark.parametrize("name", PICTURES)
def test_yunet_finds_what_opencv_finds(files, yunet, name):
    image = load_rgb(files.pictures / name)
    for difference in differences(yunet.detect(image), opencv_faces(files.model("yunet.onnx"), image)):
        assert difference.overlap >= 0.98
        assert difference.score <= 0.0003
        assert difference.points <= 0.033


def test_yunet_finds_what_opencv_finds_in_photographs_of_100_pixels(files, yunet):
    for path in sorted(files.orl.glob("*/*_0001.pgm")):
        image = load_rgb(path)
        for difference in differences(yunet.detect(image), opencv_faces(files.model("yunet.onnx"), image)):
            assert difference.overlap >= 0.98
            assert difference.score <= 0.0003
            assert difference.points <= 0.033


@pytest.mark.parametrize("name", WHOLE)
def test_mtcnn_finds_what_facenet_pytorch_finds(files, mtcnn, name):
    for difference in differences(mtcnn.detect(load_rgb(files.pictures / name)), stored_faces(name)):
        assert difference.overlap >= 0.85
        assert difference.score <= 0.02
        assert difference.points <= 0.06


def test_mtcnn_finds_the_40_faces_of_a_sheet_as_facenet_pytorch_does(files, mtcnn):
    found = differences(mtcnn.detect(load_rgb(files.pictures / "sheet.png")), stored_faces("sheet.png"))
    assert min(difference.overlap for difference in found) >= 0.75  # faces of 70 pixels: rounding counts
    assert np.median([difference.overlap for difference in found]) >= 0.85
    assert max(difference.score for difference in found) <= 0.02


@pytest.mark.parametrize("name", CUT)
def test_mtcnn_finds_a_face_that_the_frame_cuts_as_facenet_pytorch_does(files, mtcnn, name):
    (difference,) = differences(mtcnn.detect(load_rgb(files.pictures / name)), stored_faces(name))
    assert difference.score <= 0.02
