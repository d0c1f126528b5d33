"""MTCNN: the published names and shapes, and a cascade made by hand that finds a bright square."""

import warnings

import numpy as np
import pytest
import torch

from brownid.alignment.detection import detector
from brownid.alignment.mtcnn import MTCNN, ONet, PNet, RNet, pyramid_sizes
from brownid.alignment.settings import MTCNNSettings
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256

LANDMARKS = np.array([(0.25, 0.375), (0.75, 0.375), (0.5, 0.5), (0.25, 0.75), (0.75, 0.75)])


def zeroed(network):
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    return network


def fires_on_bright_windows():
    """A P-Net whose first channels are means: its score is that of a window of 12 white pixels, and of no other."""
    network = zeroed(PNet())
    network.conv1.weight[0] = 1 / 27  # three colours, 3 x 3
    network.conv2.weight[0, 0] = network.conv3.weight[0, 0] = 1 / 9
    network.prelu1.weight.fill_(1)  # negative means pass
    network.prelu2.weight.fill_(1)
    network.prelu3.weight.fill_(1)
    network.conv4_1.weight[1, 0], network.conv4_1.bias[1] = 400, -400 * 0.97
    return network


@pytest.fixture
def by_hand():
    """The bright square's cascade: R-Net lets everything pass, O-Net too, with landmarks at fixed shares of the box."""
    with torch.no_grad():
        pnet, rnet, onet = fires_on_bright_windows(), zeroed(RNet()), zeroed(ONet())
        rnet.dense5_1.bias[1] = onet.dense6_1.bias[1] = 5
        onet.dense6_3.bias.copy_(torch.from_numpy(LANDMARKS.T.ravel()))
    return MTCNN(pnet, rnet, onet, MTCNNSettings(smallest_face=12))


def with_square(left, top, side, height=60, width=72):
    image = np.zeros((height, width, 3), np.uint8)
    image[top : top + side, left : left + side] = 255
    return image


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (PNet, {"conv1": (10, 3, 3, 3), "conv4_1": (2, 32, 1, 1), "conv4_2": (4, 32, 1, 1)}),
        (RNet, {"conv3": (64, 48, 2, 2), "dense4": (128, 576), "dense5_1": (2, 128), "dense5_2": (4, 128)}),
        (ONet, {"conv4": (128, 64, 2, 2), "dense5": (256, 1152), "dense6_1": (2, 256), "dense6_3": (10, 256)}),
    ],
)
def test_weights_have_the_published_names_and_shapes(network, shapes):
    state = network().state_dict()
    for name, shape in shapes.items():
        assert tuple(state[f"{name}.weight"].shape) == shape and f"{name}.bias" in state
    last = {PNet: 3, RNet: 4, ONet: 5}[network]
    assert all(f"prelu{i}.weight" in state for i in range(1, last + 1))
    assert len(state) == {PNet: 13, RNet: 16, ONet: 21}[network]


def test_the_networks_give_one_output_a_crop_and_one_a_second_pixel():
    assert [tuple(o.shape) for o in PNet()(torch.zeros(1, 3, 12, 12))] == [(1, 1, 1), (1, 4, 1, 1)]
    assert tuple(PNet()(torch.zeros(1, 3, 32, 40))[0].shape) == (1, 11, 15)
    assert [tuple(o.shape) for o in RNet()(torch.zeros(7, 3, 24, 24))] == [(7,), (7, 4)]
    assert [tuple(o.shape) for o in ONet()(torch.zeros(7, 3, 48, 48))] == [(7,), (7, 4), (7, 2, 5)]


def test_photographs_as_they_are_decoded_need_not_be_writable(by_hand):
    image = with_square(24, 16, 12)
    image.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(by_hand.detect(image)) == len(by_hand.detect(image[::-1, ::-1])) == 1


def test_the_pyramid_ends_where_the_image_is_one_window():
    assert pyramid_sizes(120, 240, 12) == [(120, 240), (85, 170), (60, 121), (43, 86), (30, 61), (21, 43), (15, 30)]
    assert pyramid_sizes(120, 240, 80) == [(18, 36), (13, 26)]
    assert pyramid_sizes(30, 40, 40) == []


def test_a_bright_square_is_found_with_its_landmarks(by_hand):
    (face,) = by_hand.detect(with_square(24, 16, 12))
    np.testing.assert_allclose(face.box, (23.5, 15.5, 35.5, 27.5))  # edges, counted from the first pixel's centre
    np.testing.assert_allclose(face.points, np.array((24, 16)) + 12 * LANDMARKS, atol=1e-5)
    assert face.score == pytest.approx(1 / (1 + np.exp(-5)))


def test_a_shrunk_photograph_has_its_landmarks_in_its_own_pixels(by_hand):
    by_hand.max_side = 72
    (face,) = by_hand.detect(with_square(48, 32, 24, height=120, width=144))
    np.testing.assert_allclose(face.box, (47.5, 31.5, 71.5, 55.5))
    np.testing.assert_allclose(face.points, (np.array((24, 16)) + 12 * LANDMARKS) * 2 + 0.5, atol=1e-4)


def test_boxes_are_corrected_by_every_network_in_turn(by_hand):
    by_hand.pnet.conv4_2.bias[:] = torch.tensor([0.5, 0, 0.5, 0])  # 6 pixels to the right
    by_hand.rnet.dense5_2.bias[:] = torch.tensor([0, 0.5, 0, 0.5])  # 6 down
    by_hand.onet.dense6_2.bias[:] = torch.tensor([-0.25, -0.25, 0.25, 0.25])  # 3 pixels more on every side
    (face,) = by_hand.detect(with_square(24, 16, 12))
    np.testing.assert_allclose(face.box, (26.5, 18.5, 44.5, 36.5))
    np.testing.assert_allclose(face.points, np.array((30, 22)) + 12 * LANDMARKS, atol=1e-5)  # shares of O-Net's crop


def test_faces_at_the_edge_and_beyond_are_padded_with_black(by_hand):
    by_hand.pnet.conv4_2.bias[:] = -3.0  # far off the image
    assert len(by_hand.detect(with_square(0, 0, 12))) == 1


def test_the_refining_networks_reject(by_hand):
    by_hand.rnet.dense5_1.bias[1] = 0  # one half is not enough
    assert by_hand.detect(with_square(24, 16, 12)) == []
    by_hand.rnet.dense5_1.bias[1] = 5
    by_hand.threshold = 0.999
    assert by_hand.detect(with_square(24, 16, 12)) == []


def test_no_face_and_too_small_a_photograph_are_empty_lists(by_hand):
    assert by_hand.detect(np.zeros((60, 60, 3), np.uint8)) == []
    assert by_hand.detect(np.full((5, 60, 3), 255, np.uint8)) == []


def test_dense_layers_count_columns_before_rows_before_channels():
    network = zeroed(RNet())
    with torch.no_grad():
        network.conv1.bias[0], network.prelu1.weight[:] = 1, 1
        network.conv2.weight[0, 0, 1, 1] = network.conv3.weight[5, 0, 0, 0] = 1
        network.conv1.weight[0, 0, 1, 1] = 1
        network.dense4.weight[0, (2 * 3 + 1) * 64 + 5] = 1  # column 2, row 1, channel 5
        network.dense5_2.weight[:, 0] = 1
        image = torch.zeros(1, 3, 24, 24)
        values = []
        for row, column in ((9, 17), (17, 9)):
            image.zero_()[0, 0, row, column] = 3
            values.append(float(network(image)[1][0, 0]))
    assert values[0] > values[1] == 1


@pytest.fixture
def files(tmp_path):
    torch.manual_seed(0)
    paths = {}
    for name, network in (("pnet", PNet()), ("rnet", RNet()), ("onet", ONet())):
        for end in (m for key, m in network.named_modules() if key in ("conv4_1", "dense5_1", "dense6_1")):
            torch.nn.init.normal_(end.weight)
            end.bias.data[1] += 1.5  # otherwise random networks are too unsure to find anything
        paths[name] = tmp_path / f"{name}.pt"
        torch.save(network.state_dict(), paths[name])
    return paths


def test_the_whole_cascade_is_deterministic(files):
    spec = {"family": "mtcnn", "files": files, "sha256": {"pnet": sha256(files["pnet"])}, "smallest_face": 24}
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    first, second = detector(spec).detect(image), detector(spec).detect(image)
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        assert one.box == other.box and one.score == other.score and (one.points == other.points).all()
    assert sorted((face.score for face in first), reverse=True) == [face.score for face in first]


def test_weights_of_another_network_are_refused_by_name(files):
    with pytest.raises(BrownidError, match=r"onet.pt \(as RNet of MTCNN\).*do not fit"):
        detector({"family": "mtcnn", "files": {**files, "rnet": files["onet"]}})
    with pytest.raises(BrownidError, match=r"rnet.pt: the model file has the SHA-256 .*, not 00"):
        detector({"family": "mtcnn", "files": files, "sha256": {"rnet": "00"}})


def test_a_smallest_face_below_the_window_is_refused(files):
    with pytest.raises(BrownidError, match=r"smallest_face is 6, .* at least 12"):
        detector({"family": "mtcnn", "files": files, "smallest_face": 6})
