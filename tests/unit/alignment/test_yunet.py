"""YuNet through OpenCV, on a tiny ONNX file with the published inputs and outputs; detectors by name and checksum.

In the file a cell of 8 x 8 pixels is as much a face as it is red; box and landmarks lie at fixed offsets from it. As in
the published file its input is declared with one size, and runs at any; in another it runs at that size only.
"""

import cv2
import numpy as np
import pytest

from brownid.alignment.detection import detector
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256

onnx = pytest.importorskip("onnx", reason="the package onnx writes the test's network")

SIDE = 64
BOX = (0.5, 0.5, np.log(3), np.log(4))  # centre of the cell, 24 x 32 pixels
POINTS = np.array([(0.1, 0.2), (0.9, 0.2), (0.5, 0.5), (0.2, 0.8), (0.8, 0.8)])  # in cells of 8 pixels


def write_red_detector(path, fixed=False):
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, outputs = [], [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    for stride in (8, 16, 32):
        cells = (SIDE // stride) ** 2
        red = np.zeros((1, 3, stride, stride), np.float32)
        red[:, 2] = 1 / (255 * stride**2)  # the input is BGR, 0 to 255
        shape = constant(f"shape_{stride}", np.array([1, cells if fixed else -1, 1]))
        weights = constant(f"red_{stride}", red)
        none = constant(f"none_{stride}", np.zeros(1, np.float32))
        nodes += [
            helper.make_node(
                "Conv", ["input", weights], [f"map_{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Reshape", [f"map_{stride}", shape], [f"obj_{stride}"]),
            helper.make_node("Mul", [f"obj_{stride}", none], [f"zeros_{stride}"]),
        ]
        for name, row in (("cls", [float(stride == 8)]), ("bbox", BOX), ("kps", POINTS.ravel())):
            rows = constant(f"{name}_rows_{stride}", np.array(row, np.float32).reshape(1, 1, -1))
            nodes.append(helper.make_node("Add", [f"zeros_{stride}", rows], [f"{name}_{stride}"]))
        outputs += [(f"{n}_{stride}", [1, cells, k]) for n, k in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "red", [image], infos, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("yunet") / "red.onnx"
    write_red_detector(path)
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["any size", "one size"])
def yunet(file, request):
    path = file
    if request.param:
        path = file.with_name("fixed.onnx")
        write_red_detector(path, fixed=True)
    return detector({"family": "yunet", "file": str(path), "sha256": sha256(path), "max_side": SIDE})


def with_red(height, width, *cells, size=8):
    image = np.zeros((height, width, 3), np.uint8)
    for row, column in cells:
        image[size * row : size * (row + 1), size * column : size * (column + 1), 0] = 255
    return image


def test_a_face_has_the_box_and_landmarks_that_the_network_says(yunet):
    (face,) = yunet.detect(with_red(64, 48, (5, 3)))
    assert face.score == 1
    np.testing.assert_allclose(face.box, (28 - 12, 44 - 16, 28 + 12, 44 + 16), atol=1e-4)
    np.testing.assert_allclose(face.points, 8 * POINTS + (24, 40), atol=1e-4)


def test_the_network_is_given_blue_green_red(yunet):
    assert yunet.detect(with_red(64, 48, (5, 3))[..., ::-1]) == []


def test_a_large_photograph_is_shrunk_and_its_landmarks_are_in_its_own_pixels(yunet):
    (face,) = yunet.detect(with_red(192, 144, (5, 3), size=24))
    np.testing.assert_allclose(face.points, 3 * (8 * POINTS + (24, 40)) + 1, atol=1e-3)  # centre of a 3 x 3 block


def test_faces_come_by_score_and_the_threshold_counts(yunet):
    image = with_red(64, 64, (1, 1), (6, 6))
    image[48:56, 48:52] = 0  # half red: score √½
    assert [round(face.score, 2) for face in yunet.detect(image)] == [1.0, 0.71]
    image[48:52] = 0  # a quarter: below the threshold
    assert len(yunet.detect(image)) == 1


def finds_only_at(yunet, monkeypatch, size):
    """Let the detector find one face of 10 pixels in the corner where it looks at the photograph in this size."""
    row = np.array([[0, 0, 10, 10, *POINTS.ravel(), 0.9]])
    looks = []

    def rows(image):
        looks.append(image.shape[:2])
        return row if image.shape[:2] == size else row[:0]

    monkeypatch.setattr(yunet, "_rows", rows)
    return looks


def test_a_face_too_large_for_the_network_is_found_at_half_the_size(yunet, monkeypatch):
    looks = finds_only_at(yunet, monkeypatch, (32, 24))
    (face,) = yunet.detect(np.full((128, 96, 3), 200, np.uint8))
    np.testing.assert_allclose(face.box, (1.5, 1.5, 41.5, 41.5))  # four photograph pixels are one of the input
    assert looks == [(64, 48), (32, 24)]


def test_a_face_too_small_for_the_network_is_found_in_the_enlarged_photograph(file, monkeypatch):
    yunet = detector({"family": "yunet", "file": file})
    looks = finds_only_at(yunet, monkeypatch, (160, 120))
    (face,) = yunet.detect(np.full((40, 30, 3), 200, np.uint8))
    np.testing.assert_allclose(face.box, (-0.375, -0.375, 2.125, 2.125))  # four pixels of the input are one
    assert looks == [(40, 30), (160, 120)]


def test_the_network_runs_at_a_size_that_follows_the_photograph(file, monkeypatch):
    yunet = detector({"family": "yunet", "file": file})
    sizes = []
    blob = cv2.dnn.blobFromImage
    monkeypatch.setattr(cv2.dnn, "blobFromImage", lambda canvas: sizes.append(canvas.shape[:2]) or blob(canvas))
    for height, width in ((250, 250), (33, 100), (112, 92), (640, 400), (2000, 1000)):
        (face,) = yunet.detect(with_red(height, width, (1, 2), size=8 * max(1, height // 640)))
        assert face.score > 0.8
    assert sizes == [(256, 256), (64, 128), (128, 96), (640, 416), (640, 320)]


def test_no_detector_prints_anything(file, capfd):
    detector({"family": "yunet", "file": file}).detect(with_red(64, 48, (5, 3)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shape", [(64, 48), (250, 250), (33, 100)])
def test_faces_are_those_of_opencvs_own_class(file, shape):
    ours = detector({"family": "yunet", "file": file, "threshold": 0.3})
    image = np.random.default_rng(4).integers(0, 256, (*shape, 3), np.uint8)
    peer = cv2.FaceDetectorYN.create(str(file), "", shape[::-1], 0.3, 0.3, 5000)
    rows = peer.detect(np.ascontiguousarray(image[..., ::-1]))[1]
    found = ours.detect(image)
    assert len(found) == len(rows) > 2
    rows = rows[np.argsort(-rows[:, 14], kind="stable")]
    np.testing.assert_allclose([face.score for face in found], rows[:, 14], atol=1e-5)
    np.testing.assert_allclose([face.box[:2] for face in found], rows[:, :2], atol=1e-3)
    np.testing.assert_allclose([face.points.ravel() for face in found], rows[:, 4:14], atol=1e-3)


def test_a_file_of_another_network_is_refused_by_name(tmp_path):
    path = tmp_path / "other.onnx"
    write_red_detector(path, fixed=True)
    finder = detector({"family": "yunet", "file": path, "max_side": 96})  # where the file runs at 64
    with pytest.raises(BrownidError, match=r"other\.onnx: OpenCV cannot run the file as YuNet"):
        finder.detect(np.zeros((80, 80, 3), np.uint8))


def test_nothing_to_see_is_an_empty_list(yunet):
    assert yunet.detect(np.zeros((1, 1, 3), np.uint8)) == yunet.detect(np.zeros((3, 5000, 3), np.uint8)) == []


def test_a_missing_or_changed_file_names_the_checksums(file, tmp_path):
    with pytest.raises(BrownidError, match=r"gone.onnx: the model file .* is missing; its SHA-256 should be ab12"):
        detector({"family": "yunet", "file": tmp_path / "gone.onnx", "sha256": "ab12"})
    with pytest.raises(BrownidError, match=f"has the SHA-256 {sha256(file)}, not ab12"):
        detector({"family": "yunet", "file": file, "sha256": "ab12"})


def test_a_damaged_file_is_refused_by_name(tmp_path):
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(BrownidError, match=r"damaged.onnx: not a readable ONNX file of YuNet"):
        detector({"family": "yunet", "file": path})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"family": "haar"}, "'haar' is unknown: known are yunet, mtcnn"),
        ({"family": "yunet"}, "needs the path of its model file"),
        ({"family": "mtcnn", "files": {"pnet": "p.pt"}}, "with the keys pnet, rnet, onet"),
    ],
)
def test_a_wrong_description_is_refused(spec, words):
    with pytest.raises(BrownidError, match=words):
        detector(spec)


def test_a_misspelt_setting_is_refused_with_the_one_that_was_meant(file):
    with pytest.raises(BrownidError, match=r"yunet: there is no setting 'treshold'; did you mean"):
        detector({"family": "yunet", "file": file, "treshold": 0.5})


@pytest.mark.parametrize("settings", [{"threshold": 1.5}, {"threshold": "much"}, {"max_side": 8}])
def test_settings_out_of_range_are_refused(file, settings):
    with pytest.raises(BrownidError, match=f"YuNetSettings.{next(iter(settings))} is"):
        detector({"family": "yunet", "file": file, **settings})
