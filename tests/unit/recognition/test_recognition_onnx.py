"""ONNX networks embed images as torch networks do, normalise as their graph asks for, and refuse gradients."""

import re
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F_

from brownid.recognition.embedding import embed_images, raw_embeddings
from brownid.recognition.loading import load_backbone, load_network
from brownid.recognition.onnx import OnnxBackbone
from brownid.runtime.errors import BrownidError

onnx = pytest.importorskip("onnx", reason="the optional extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="the optional extra 'onnx' is not installed")

SIDE, LENGTH = 8, 5
WEIGHTS = np.random.default_rng(0).normal(size=(3 * SIDE * SIDE, LENGTH)).astype(np.float32)


def value(name, array):
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(array), name)


def save(path, nodes, shape, constants=(), outputs=(("out", (None, LENGTH)),), more_inputs=(), kind="FLOAT", opset=13):
    """A graph of `nodes` from "input" to `outputs`; `more_inputs` are names and shapes."""
    from onnx import TensorProto, helper

    def described(name, shape, kind="FLOAT"):
        return helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)

    inputs = [described("input", shape, kind), *(described(*entry) for entry in more_inputs)]
    outs = [described(name, shape) for name, shape in outputs]
    graph = helper.make_graph(nodes, "network", inputs, outs, list(constants))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


def linear(last, nodes=(), outputs=("out",)):
    """The nodes of a linear network behind others, the last of which makes `last`."""
    from onnx import helper

    flat = helper.make_node("Flatten", [last], ["flat"])
    return [*nodes, flat, *(helper.make_node("MatMul", ["flat", "weights"], [name]) for name in outputs)]


def write_network(path, shape=("batch", 3, SIDE, SIDE), steps=(), constants=(), **more):
    """A linear network behind `steps`, each an operation with its further inputs and attributes, in a chain."""
    from onnx import helper

    nodes, last = [], "input"
    for number, (kind, inputs, attributes) in enumerate(steps):
        given = inputs if None in inputs else [None, *inputs]
        nodes.append(helper.make_node(kind, [name or last for name in given], [f"step{number}"], **attributes))
        last = f"step{number}"
    return save(path, linear(last, nodes), shape, [value("weights", WEIGHTS), *constants], **more)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (7, SIDE, SIDE, 3), dtype=np.uint8)


def by_hand(images):
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.flatten(1) @ torch.from_numpy(WEIGHTS)


def test_uint8_images_are_embedded_as_red_green_blue_from_minus_one_to_one(tmp_path, images):
    network = OnnxBackbone(write_network(tmp_path / "w600k.onnx"))
    torch.testing.assert_close(embed_images(network, images, batch_size=3), F_.normalize(by_hand(images)))
    assert network.colour_order == "RGB"
    said = network.description
    assert (said.family, said.architecture, said.image_size, said.embedding_dim) == ("onnx", "w600k", SIDE, LENGTH)


def test_mirror_fusion_and_no_images_work_too(tmp_path, images):
    network = OnnxBackbone(write_network(tmp_path / "a.onnx"))
    expected = F_.normalize(by_hand(images) + by_hand(np.ascontiguousarray(images[:, :, ::-1])))
    torch.testing.assert_close(embed_images(network, images, mirror=True), expected)
    assert tuple(embed_images(network, images[:0]).shape) == (0, LENGTH)


F = np.float32
MEAN, DEVIATION = F([123.7, 116.3, 103.5]), F([58.4, 57.1, 57.4])
EACH = (1, 3, 1, 1)  # the shape of one number a channel


def steps(*names):
    """Chains of steps by name, and the constants that they use."""
    chosen = {
        "minus": ("Sub", ["middle"], {}),
        "minus_reversed": ("Sub", ["middle", None], {}),
        "plus": ("Add", ["negative_middle"], {}),
        "times": ("Mul", ["share"], {}),
        "times_reversed": ("Mul", ["share", None], {}),
        "over": ("Div", ["middle"], {}),
        "over_255": ("Div", ["white"], {}),
        "minus_means": ("Sub", ["means"], {}),
        "over_deviations": ("Div", ["deviations"], {}),
        "batch_norm": ("BatchNormalization", ["one", "zero", "mean", "variance"], {}),
        "half": ("Mul", ["half"], {}),
        "plus_half": ("Add", ["half"], {}),
        "minus_half": ("Sub", ["half"], {}),
        "over_half": ("Div", ["half"], {}),
        "to_bytes": ("Mul", ["middle"], {}),
        "plus_middle": ("Add", ["middle"], {}),
        "cast": ("Cast", [], {"to": 1}),
        "same": ("Identity", [], {}),
        "turned": ("Gather", ["turned"], {"axis": 1}),
        "back": ("Slice", ["first", "before", "axis", "backwards"], {}),
        "quantised": ("QuantizeLinear", ["unit_step", "byte_zero"], {}),
        "unquantised": ("DequantizeLinear", ["unit_step", "byte_zero"], {}),
        "clipped": ("Clip", ["black", "white"], {}),
        "channels_last": ("Transpose", [], {"perm": [0, 2, 3, 1]}),
        "channels_first": ("Transpose", [], {"perm": [0, 3, 1, 2]}),
        "minus_means_last": ("Sub", ["mean"], {}),
        "plus_of_sum": ("Sum", ["negative_middle"], {}),
        "smaller": ("AveragePool", [], {"kernel_shape": [1, 1]}),
        "floor": ("Floor", [], {}),
        "flat": ("Reshape", ["flat_shape"], {}),
        "images": ("Reshape", ["images_shape"], {}),
        "each_weighted": ("Conv", ["weight_of_each", "minus_ones"], {"group": 3}),
        "turned_and_weighted": ("Conv", ["turned_weights", "minus_ones"], {}),
        "mixed": ("Conv", ["mixing_weights"], {}),
    }
    return [chosen[name] for name in names]


CONSTANTS = {
    "middle": F(127.5), "negative_middle": F(-127.5), "share": F(1 / 128), "white": F(255), "black": F(0),
    "half": F(0.5),
    "means": MEAN.reshape(EACH), "deviations": DEVIATION.reshape(EACH), "one": np.ones(3, F), "zero": np.zeros(3, F),
    "mean": MEAN, "variance": DEVIATION**2, "turned": np.array([2, 1, 0]), "first": np.array([2]),
    "before": np.array([-4]), "axis": np.array([1]), "backwards": np.array([-1]),
    "unit_step": F(1), "byte_zero": np.uint8(0), "flat_shape": np.array([0, -1]),
    "images_shape": np.array([-1, 3, SIDE, SIDE]), "mixing_weights": np.ones((3, 3, 1, 1), F),
    "weight_of_each": np.full((3, 1, 1, 1), 1 / 127.5, F), "minus_ones": -np.ones(3, F),
    "turned_weights": (np.eye(3, dtype=F)[::-1] / F(127.5)).reshape(3, 3, 1, 1),
}  # fmt: skip


def constants():
    return [value(name, array) for name, array in CONSTANTS.items()]


BYTES, UNIT, SIGNED = (0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("minus times", BYTES),
        ("minus_reversed times_reversed", BYTES),
        ("plus over", BYTES),
        ("over_255", BYTES),
        ("minus", BYTES),
        ("minus_means over_deviations", BYTES),
        ("batch_norm", BYTES),
        ("cast same minus same times", BYTES),
        ("turned minus_means over_deviations", BYTES),
        ("back minus times", BYTES),
        ("channels_last minus_means_last channels_first over_deviations", BYTES),
        ("quantised unquantised", BYTES),
        ("clipped", BYTES),
        ("times over_half minus_half half", BYTES),
        ("plus_of_sum times", BYTES),
        ("smaller floor minus", BYTES),
        ("flat minus images batch_norm", BYTES),
        ("flat images batch_norm", BYTES),
        ("each_weighted", BYTES),
        ("turned_and_weighted", BYTES),
        ("mixed minus", SIGNED),
        ("minus_half over_half", UNIT),
        ("over_half", SIGNED),
        ("", SIGNED),
        ("same", SIGNED),
        ("to_bytes plus_middle minus times", SIGNED),
        ("half plus_half minus_half over_half", SIGNED),
    ],
)
def test_the_range_is_what_the_beginning_of_the_graph_makes_of_it(tmp_path, names, expected):
    network = OnnxBackbone(write_network(tmp_path / "a.onnx", steps=steps(*names.split()), constants=constants()))
    assert network.input_range == expected


def test_a_network_that_normalises_by_itself_is_given_bytes(tmp_path, images):
    chain = [("Sub", ["middle"], {}), ("Div", ["middle"], {})]
    network = OnnxBackbone(write_network(tmp_path / "r100.onnx", steps=chain, constants=constants()))
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)), atol=1e-5, rtol=1e-4)


def test_constants_may_be_nodes_and_quantised(tmp_path):
    from onnx import helper

    nodes = [
        helper.make_node("Constant", [], ["c"], value=value("c", F(127.5))),
        helper.make_node("Constant", [], ["s"], value_float=1 / 128),
        helper.make_node("Reshape", ["s", "shape"], ["t"]),
        helper.make_node("Sub", ["input", "c"], ["x"]),
        helper.make_node("Mul", ["x", "t"], ["y"]),
        helper.make_node("DequantizeLinear", ["packed", "steps", "zeros"], ["u"], axis=0),
        helper.make_node("Unsqueeze", ["u", "axes"], ["v"]),
        helper.make_node("Sub", ["input", "v"], ["z"]),
    ]
    made = [
        value("weights", WEIGHTS), value("shape", np.array([1, 1, 1])), value("axes", np.array([1, 2])),
        value("packed", np.int8([100, 90, 80])), value("steps", F([1.2, 1.2, 1.2])), value("zeros", np.int8([0, 0, 0])),
    ]  # fmt: skip
    shape = ("batch", 3, SIDE, SIDE)
    assert OnnxBackbone(save(tmp_path / "a.onnx", linear("y", nodes), shape, made)).input_range == BYTES
    assert OnnxBackbone(save(tmp_path / "b.onnx", linear("z", nodes), shape, made)).input_range == BYTES


def test_channels_may_be_split_normalised_apart_and_joined(tmp_path):
    from onnx import helper

    nodes = [helper.make_node("Split", ["input"], ["r", "g", "b"], axis=1)]
    nodes += [helper.make_node("Sub", [name, "middle"], [f"{name}_"]) for name in "rgb"]
    nodes += [helper.make_node("Concat", ["b_", "g_", "r_"], ["joined"], axis=1)]
    made = [value("weights", WEIGHTS), *constants()]
    path = save(tmp_path / "a.onnx", linear("joined", nodes), ("batch", 3, SIDE, SIDE), made)
    assert OnnxBackbone(path).input_range == BYTES


def test_the_user_can_say_what_the_network_reads(tmp_path, images):
    path = write_network(tmp_path / "a.onnx")
    network = load_backbone(path, reads_bytes=True, colour_order="BGR")
    assert (network.input_range, network.colour_order) == (BYTES, "BGR")
    shown = torch.from_numpy(images[..., ::-1].copy()).permute(0, 3, 1, 2).float().flatten(1)
    torch.testing.assert_close(embed_images(network, images), F_.normalize(shown @ torch.from_numpy(WEIGHTS)))
    settings = {"family": "onnx", "architecture": None, "image_size": SIDE, "reads_bytes": True}
    assert load_network(settings, path).input_range == BYTES
    normalising = write_network(tmp_path / "b.onnx", steps=steps("minus"), constants=constants())
    assert load_backbone(normalising, reads_bytes=False).input_range == SIGNED
    with pytest.raises(BrownidError, match=r"a\.onnx has the colour_order 'rgb': it must be RGB or BGR"):
        load_backbone(path, colour_order="rgb")


def test_inputs_that_name_weights_are_left_out(tmp_path, images):
    more = [("weights", WEIGHTS.shape), ("weights_before_quantisation", (4, 4))]
    network = OnnxBackbone(write_network(tmp_path / "a.onnx", more_inputs=more))
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)))
    network = OnnxBackbone(write_network(tmp_path / "b.onnx", more_inputs=more[:1]))
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)))


@pytest.mark.parametrize("place", ["weights.bin", "../weights.bin", "link.bin", "{folder}/weights.bin"])
def test_weights_are_read_from_files_next_to_the_network_and_from_no_others(tmp_path, images, place):
    expected = embed_images(OnnxBackbone(write_network(tmp_path / "whole.onnx")), images)
    model = onnx.load(tmp_path / "whole.onnx")
    model.graph.input.append(onnx.helper.make_tensor_value_info("unread", onnx.TensorProto.FLOAT, []))
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    folder = tmp_path / "networks"
    folder.mkdir()
    for path in (folder / "weights.bin", tmp_path / "weights.bin"):
        path.write_bytes(weights.raw_data)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=place.format(folder=folder))
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    if place == "weights.bin":
        assert torch.equal(embed_images(OnnxBackbone(folder / "a.onnx"), images), expected)
    else:
        with pytest.raises(BrownidError, match=r"a\.onnx: not a readable ONNX file"):
            OnnxBackbone(folder / "a.onnx")


def test_channels_may_come_last(tmp_path, images):
    shape = ("batch", SIDE, SIDE, 3)
    chain = [*steps("minus_means_last", "channels_first")]
    network = OnnxBackbone(write_network(tmp_path / "a.onnx", shape, chain, constants()))
    assert network.input_range == BYTES and network.description.image_size == SIDE
    shown = torch.from_numpy(images).float() - torch.from_numpy(MEAN)
    expected = F_.normalize(shown.permute(0, 3, 1, 2).flatten(1) @ torch.from_numpy(WEIGHTS))
    torch.testing.assert_close(embed_images(network, images), expected, atol=1e-5, rtol=1e-4)


def test_a_network_of_bytes_is_given_bytes(tmp_path, images):
    chain = [("Cast", [], {"to": 1}), *steps("minus"), ("Div", ["middle"], {})]
    network = OnnxBackbone(write_network(tmp_path / "a.onnx", steps=chain, constants=constants(), kind="UINT8"))
    assert network.input_range == BYTES
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)), atol=1e-5, rtol=1e-4)


def test_an_open_side_is_that_of_the_configuration(tmp_path):
    path = write_mean_network(tmp_path / "open.onnx", ("batch", 3, "height", "width"))
    assert load_network({"family": "onnx", "image_size": 40}, path).description.image_size == 40
    assert load_backbone(path).description.image_size == 112


@pytest.mark.parametrize(("first", "second"), [((None, LENGTH), (None, 1)), ((None, LENGTH, 1, 1), None)])
def test_embeddings_may_have_norms_next_to_them_or_trailing_ones(tmp_path, images, first, second):
    from onnx import helper

    nodes = linear("input", outputs=("rows",))
    if second:
        nodes += [
            helper.make_node("ReduceL2", ["rows"], ["norms"], axes=[1], keepdims=1),
            helper.make_node("Div", ["rows", "norms"], ["out"]),
        ]
        outputs = (("out", first), ("norms", second))
    else:
        nodes.append(helper.make_node("Unsqueeze", ["rows", "axes"], ["out"]))
        outputs = (("out", first),)
    made = [value("weights", WEIGHTS), value("axes", np.array([2, 3]))]
    network = OnnxBackbone(save(tmp_path / "a.onnx", nodes, ("batch", 3, SIDE, SIDE), made, outputs))
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)))


def test_a_network_that_tells_no_images_apart_is_warned_about(tmp_path, caplog):
    blind = [("Mul", ["tiny"], {}), ("Add", ["ones"], {})]  # the constant outweighs what it sees
    made = [value("tiny", F(1e-4)), value("ones", F(1))]
    load_backbone(write_network(tmp_path / "fine.onnx"))
    assert not caplog.text
    load_backbone(write_network(tmp_path / "blind.onnx", steps=blind, constants=made))
    assert re.search(r"blind\.onnx: two unrelated images of noise .* from -1 to 1 \(set reads_bytes", caplog.text)


def test_memory_that_onnxruntime_does_not_get_halves_the_batch(tmp_path, images, monkeypatch):
    network = OnnxBackbone(write_network(tmp_path / "a.onnx"))
    run, sizes = network.session.run, []

    class Small:
        def run(self, names, given):
            sizes.append(len(given["input"]))
            if sizes[-1] > 2:
                raise RuntimeError("bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 805306368")
            return run(names, given)

    network.session = Small()
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)))
    assert max(sizes[2:]) <= 2


@pytest.mark.parametrize("name", ["net.onnx", "net.pth", "net"])
def test_the_family_is_told_from_the_content_of_the_file(tmp_path, images, name):
    network = load_backbone(write_network(tmp_path / name))
    assert network.description.family == "onnx"
    with pytest.raises(BrownidError, match=f"{name}: an ONNX file, .* its family is onnx, not 'insightface'"):
        load_backbone(tmp_path / name, "insightface", "iresnet50")


@pytest.mark.parametrize(
    "write", [lambda p: torch.save({"a": torch.ones(1)}, p), lambda p: p.write_bytes(b"\x80\x02}.")]
)
def test_a_torch_file_that_is_called_onnx_is_not_one(tmp_path, write):
    write(tmp_path / "a.onnx")
    with pytest.raises(BrownidError, match=r"a\.onnx: the family is onnx, but this is no ONNX file"):
        load_backbone(tmp_path / "a.onnx", "onnx")


@pytest.mark.parametrize("batch", [1, 3])
def test_a_file_with_a_fixed_batch_embeds_any_number(tmp_path, images, batch):
    network = OnnxBackbone(write_network(tmp_path / "fixed.onnx", shape=(batch, 3, SIDE, SIDE)))
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)))


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
        ({"shape": ("batch", 3, 4, 16)}, "reads 16 x 4 pixels; crops are square"),
        ({"outputs": (("out", (None, LENGTH)), ("flat", (None, WEIGHTS.shape[0])))}, "should have one output"),
        ({"kind": "INT64"}, r"reads tensor\(int64\)|not a readable ONNX file"),
    ],
)
def test_networks_of_another_kind_are_refused(tmp_path, settings, words):
    with pytest.raises(BrownidError, match=f"other.onnx: .*{words}"):
        OnnxBackbone(write_network(tmp_path / "other.onnx", **settings))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (("batch", 1, SIDE, SIDE), "network of colour images"),
        ((3, SIDE, SIDE), r"one input of images, \[batch, 3, S"),
    ],
)
def test_inputs_of_another_kind_are_refused(tmp_path, shape, words):
    with pytest.raises(BrownidError, match=f"other.onnx: .*{words}"):
        OnnxBackbone(write_mean_network(tmp_path / "other.onnx", shape))


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
    network = load_network({"family": "onnx", "architecture": None, "image_size": SIDE}, path)
    torch.testing.assert_close(embed_images(network, images), F_.normalize(by_hand(images)))
    with pytest.raises(BrownidError, match=r"a\.onnx: the network has image_size 8, not 112"):
        load_network({"family": "onnx", "image_size": 112}, path)


def write_mean_network(path, shape):
    """The mean colour as the embedding, of images of any side."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("ReduceMean", ["input"], ["output"], axes=[-2, -1], keepdims=0)]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    rows = helper.make_tensor_value_info("output", TensorProto.FLOAT, (None, 3))
    graph = helper.make_graph(nodes, "mean", [image], [rows])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parametrize("shape", [("batch", 3, 200_000, 200_000), (10**9, 3, SIDE, SIDE), ("batch", 3, 0, 0)])
def test_an_input_that_is_empty_or_fills_the_memory_is_refused(tmp_path, shape):
    with pytest.raises(BrownidError, match=r"huge.onnx: .* is empty or larger than"):
        OnnxBackbone(write_mean_network(tmp_path / "huge.onnx", shape))
