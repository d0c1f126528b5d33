"""ONNX networks embed images as torch networks do, normalise as their graph asks for, and refuse gradients."""

import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from brownid.errors import BrownidError
from brownid.recognition.embedding import embed_images, raw_embeddings
from brownid.recognition.loading import load_network
from brownid.recognition.onnx import OnnxBackbone, normalises_itself

onnx = pytest.importorskip("onnx", reason="the optional extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="the optional extra 'onnx' is not installed")

SIDE, LENGTH = 8, 5
WEIGHTS = np.random.default_rng(0).normal(size=(3 * SIDE * SIDE, LENGTH)).astype(np.float32)


def write_network(path, shape=("batch", 3, SIDE, SIDE), names=(), outputs=1):
    """A linear network; `names` are those of a subtraction of 127.5 and a product with 1 / 127.5 before it."""
    from onnx import TensorProto, helper, numpy_helper

    constants = [numpy_helper.from_array(WEIGHTS, "weights")]
    nodes, last = [], "input"
    for name, kind, value in zip(names, ("Sub", "Mul"), (127.5, 1 / 127.5), strict=False):
        constants.append(numpy_helper.from_array(np.array(value, np.float32), f"{name}_value"))
        nodes.append(helper.make_node(kind, [last, f"{name}_value"], [f"{name}_out"], name=name))
        last = f"{name}_out"
    nodes.append(helper.make_node("Flatten", [last], ["flat"], name="Flatten_0"))
    nodes += [helper.make_node("MatMul", ["flat", "weights"], [f"out{i}"], name=f"MatMul_{i}") for i in range(outputs)]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    rows = [helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, (shape[0], LENGTH)) for i in range(outputs)]
    graph = helper.make_graph(nodes, "linear", [image], rows, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (7, SIDE, SIDE, 3), dtype=np.uint8)


def by_hand(images):
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.flatten(1) @ torch.from_numpy(WEIGHTS)


def test_uint8_images_are_embedded_as_red_green_blue_from_minus_one_to_one(tmp_path, images):
    network = OnnxBackbone(write_network(tmp_path / "w600k.onnx"))
    torch.testing.assert_close(embed_images(network, images, batch_size=3), F.normalize(by_hand(images)))
    assert network.colour_order == "RGB" and not network.reads_bytes
    said = network.description
    assert (said.family, said.architecture, said.side, said.embedding_dim) == ("onnx", "w600k", SIDE, LENGTH)


def test_mirror_fusion_and_no_images_work_too(tmp_path, images):
    network = OnnxBackbone(write_network(tmp_path / "a.onnx"))
    expected = F.normalize(by_hand(images) + by_hand(np.ascontiguousarray(images[:, :, ::-1])))
    torch.testing.assert_close(embed_images(network, images, mirror=True), expected)
    assert tuple(embed_images(network, images[:0]).shape) == (0, LENGTH)


@pytest.mark.parametrize("names", [("_minusscalar0", "_mulscalar0"), ("Sub_1", "Mul_2")])
def test_a_network_that_normalises_by_itself_is_given_bytes(tmp_path, images, names):
    network = OnnxBackbone(write_network(tmp_path / "r100.onnx", names=names))
    assert network.reads_bytes
    torch.testing.assert_close(embed_images(network, images), F.normalize(by_hand(images)), atol=1e-5, rtol=1e-4)


def test_only_both_names_among_the_first_eight_count():
    assert normalises_itself(["_minusscalar0", "conv0", "_mulscalar0"])
    assert not normalises_itself(["Sub_0", "Conv_1"])
    assert not normalises_itself(["Sub_0", *["Conv"] * 7, "Mul_8"])
    assert not normalises_itself(["subtract", "multiply"])


def test_the_user_can_say_what_the_network_reads(tmp_path):
    path = write_network(tmp_path / "unnamed.onnx", names=("", "_"))
    assert not OnnxBackbone(path).reads_bytes
    assert OnnxBackbone(path, reads_bytes=True).reads_bytes


@pytest.mark.parametrize("batch", [1, 3])
def test_a_file_with_a_fixed_batch_embeds_any_number(tmp_path, images, batch):
    network = OnnxBackbone(write_network(tmp_path / "fixed.onnx", shape=(batch, 3, SIDE, SIDE)))
    torch.testing.assert_close(embed_images(network, images), F.normalize(by_hand(images)))


def test_gradients_are_refused_with_a_sentence(tmp_path):
    network = OnnxBackbone(write_network(tmp_path / "a.onnx"))
    images = torch.zeros(1, 3, SIDE, SIDE, requires_grad=True)
    with pytest.raises(BrownidError, match=r"a.onnx: an ONNX network only embeds .* gradients do not pass"):
        raw_embeddings(network, images)
    with torch.no_grad():
        assert raw_embeddings(network, images).shape == (1, LENGTH)


def test_images_of_another_side_are_refused(tmp_path, images):
    network = OnnxBackbone(write_network(tmp_path / "a.onnx"))
    with pytest.raises(BrownidError, match="reads crops of 8 pixels"):
        embed_images(network, images[:, :4, :4])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": ("batch", SIDE, SIDE, 3)}, r"one input \[batch, 3, side, side\]"),
        ({"shape": ("batch", 3, 4, 16)}, "reads 16 x 4 pixels; crops are square"),
        ({"outputs": 2}, "one output, but has"),
    ],
)
def test_networks_of_another_kind_are_refused(tmp_path, settings, words):
    with pytest.raises(BrownidError, match=f"other.onnx: .*{words}"):
        OnnxBackbone(write_network(tmp_path / "other.onnx", **settings))


def test_a_network_that_cannot_run_is_refused_by_name(tmp_path):
    with pytest.raises(BrownidError, match=r"open.onnx: onnxruntime cannot run the network"):
        OnnxBackbone(write_network(tmp_path / "open.onnx", shape=("batch", 3, "height", "width")))  # not for 112


def test_missing_and_damaged_files_are_refused_by_name(tmp_path):
    with pytest.raises(BrownidError, match=r"gone.onnx: the ONNX file is missing"):
        OnnxBackbone(tmp_path / "gone.onnx")
    (tmp_path / "damaged.onnx").write_bytes(b"not a network")
    with pytest.raises(BrownidError, match=r"damaged.onnx: not a readable ONNX file"):
        OnnxBackbone(tmp_path / "damaged.onnx")


def test_without_onnxruntime_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BrownidError, match=r"-m pip install onnx onnxruntime`\.$"):
        OnnxBackbone(write_network(tmp_path / "a.onnx"))


def test_an_onnx_file_is_a_family_whose_side_is_checked(tmp_path, images):
    path = write_network(tmp_path / "a.onnx")
    network = load_network({"family": "onnx", "architecture": None, "side": SIDE}, path)
    torch.testing.assert_close(embed_images(network, images), F.normalize(by_hand(images)))
    with pytest.raises(BrownidError, match=r"a\.onnx: the network has side 8, not 112"):
        load_network({"family": "onnx", "side": 112}, path)


def write_mean_network(path, shape):
    """The mean colour as the embedding, of images of any side."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("ReduceMean", ["input"], ["output"], axes=[2, 3], keepdims=0)]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    rows = helper.make_tensor_value_info("output", TensorProto.FLOAT, (shape[0], 3))
    graph = helper.make_graph(nodes, "mean", [image], [rows])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("shape", [("batch", 3, 200_000, 200_000), (10**9, 3, SIDE, SIDE), ("batch", 3, 0, 0)])
def test_an_input_that_is_empty_or_fills_the_memory_is_refused(tmp_path, shape):
    with pytest.raises(BrownidError, match=r"huge.onnx: .* is empty or larger than"):
        OnnxBackbone(write_mean_network(tmp_path / "huge.onnx", shape))
