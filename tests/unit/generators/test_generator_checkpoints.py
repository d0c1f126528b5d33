"""Published files of generators: what is read from them, and what is refused."""

import argparse
import io
import json
import os
import pickle
from collections import OrderedDict, deque
from pathlib import PosixPath

import numpy as np
import pytest
import safetensors.torch
import torch
from checkpoint_files import (
    EasyDict,
    Persistent,
    Reduced,
    _reconstruct_persistent_obj,
    network,
    pickled,
    rosinality_image,
    rosinality_weights,
    write_network_pickle,
)
from safetensors import safe_open
from torch import nn

from brownid.generators.stylegan2.generator import StyleGAN2, random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.generator import StyleGAN3, random_stylegan3
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.weights.generator_files import convert, read_generator_file

STYLEGAN2 = {"z_dim": 6, "c_dim": 0, "w_dim": 6, "img_resolution": 8, "img_channels": 3}
SYNTHESIS = {"channel_base": 32, "channel_max": 5, "num_fp16_res": 4, "conv_clamp": 256}
STYLEGAN3_STATE = {
    "mapping.w_avg": torch.ones(4),
    "synthesis.input.weight": torch.arange(4.0).reshape(2, 2),
    "synthesis.input.transform": torch.eye(3),
    "synthesis.L0_36_512.magnitude_ema": torch.tensor(2.0),
}
STYLEGAN3_KEYWORDS = {"img_resolution": 16, "mapping_kwargs": EasyDict(num_layers=2), "use_radial_filters": False}


@pytest.fixture(scope="module")
def stylegan2_state() -> dict:
    settings = StyleGAN2Settings.from_nvidia(
        {**STYLEGAN2, "mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": SYNTHESIS}
    )
    return random_stylegan2(settings, seed=3).state_dict()


@pytest.fixture
def refusal(tmp_path):
    """The sentence with which a file of the given bytes or network is refused."""

    def write(content: object) -> str:
        path = tmp_path / "network.pkl"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_network_pickle(path, content)
        with pytest.raises(BrownidError) as caught:
            read_generator_file(path)
        assert str(caught.value).startswith(f"{path}: ")
        return str(caught.value)

    return write


def rosinality_file(path, **content):
    torch.save({"g_ema": rosinality_weights(16), "latent_avg": torch.arange(6.0), **content}, path)
    return path


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickle_gives_the_averaged_generator_its_constructor_and_every_tensor(tmp_path, stylegan2_state, protocol):
    keywords = {
        **STYLEGAN2,
        "mapping_kwargs": EasyDict(num_layers=2),
        "synthesis_kwargs": EasyDict(SYNTHESIS, channel_max=torch.tensor(5).numpy()[()]),
    }
    path = write_network_pickle(tmp_path / "ffhq.pkl", network(stylegan2_state, keywords=keywords), protocol)
    found = read_generator_file(path)
    assert found.family == "stylegan2" and found.resolution == 8
    assert found.constructor == {**STYLEGAN2, "mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": SYNTHESIS}
    assert found.source == f"ffhq.pkl sha256:{sha256(path)}"
    assert sorted(found.state) == sorted(stylegan2_state)
    for name, tensor in found.state.items():
        torch.testing.assert_close(tensor, stylegan2_state[name], rtol=0, atol=0)
    StyleGAN2(StyleGAN2Settings.from_nvidia(found.constructor)).load_state_dict(found.state, strict=True)


def test_constructor_arguments_by_position_and_of_stylegan3_s_program_come_out_in_one_form(tmp_path, stylegan2_state):
    generator = network(
        stylegan2_state, arguments=tuple(STYLEGAN2.values()), keywords={"mapping_kwargs": EasyDict(), **SYNTHESIS}
    )
    found = read_generator_file(write_network_pickle(tmp_path / "a.pkl", generator))
    assert found.constructor == {**STYLEGAN2, "mapping_kwargs": {}, "synthesis_kwargs": SYNTHESIS}


def test_stylegan3_is_told_from_its_modules(tmp_path):
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    found = read_generator_file(write_network_pickle(tmp_path / "r.pkl", generator))
    assert found.family == "stylegan3"
    assert found.constructor == {"img_resolution": 16, "mapping_kwargs": {"num_layers": 2}, "use_radial_filters": False}
    assert {name: tensor.tolist() for name, tensor in found.state.items()} == {
        name: tensor.tolist() for name, tensor in STYLEGAN3_STATE.items()
    }


def test_a_pickle_of_stylegan3_loads_into_our_module_strictly(tmp_path):
    keywords = {
        **{"z_dim": 4, "c_dim": 0, "w_dim": 4, "img_resolution": 16, "img_channels": 3},
        **{"mapping_kwargs": EasyDict(num_layers=1), "channel_max": 2, "num_layers": 3, "conv_kernel": 1},
        **{"use_radial_filters": True, "magnitude_ema_beta": 0.999, "num_fp16_res": 4},
    }
    state = random_stylegan3(StyleGAN3Settings.from_nvidia(keywords), seed=2).state_dict()
    found = read_generator_file(write_network_pickle(tmp_path / "r.pkl", network(state, keywords=keywords)))
    generator = StyleGAN3(StyleGAN3Settings.from_nvidia(found.constructor))
    generator.load_state_dict(found.state, strict=True)
    assert all(torch.equal(tensor, state[name]) for name, tensor in generator.state_dict().items())


def test_the_source_in_a_pickle_is_not_executed(tmp_path):
    marker = tmp_path / "executed"
    source = f"open({str(marker)!r}, 'w').close()\nclass Generator: pass\n"
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    generator.meta["module_src"] = source
    path = write_network_pickle(tmp_path / "a.pkl", generator)
    exec(source)  # it would leave the mark
    marker.unlink()
    assert read_generator_file(path).state
    assert not marker.exists()


def test_buffers_that_do_not_persist_stay_out_and_shared_parameters_stand_under_both_names(tmp_path):
    shared = torch.nn.Parameter(torch.arange(3.0))
    layer = network({"bias": None, "weight": None, "w_avg": torch.ones(1), "freqs": torch.zeros(9)})
    layer["_non_persistent_buffers_set"] = {"freqs"}
    layer["_parameters"] = OrderedDict(weight=shared, bias=None)
    generator = network({**STYLEGAN3_STATE, "shared": shared}, keywords=STYLEGAN3_KEYWORDS)
    generator.meta["state"]["_modules"]["layer"] = layer
    generator.meta["state"]["_parameters"]["shared"] = shared
    found = read_generator_file(write_network_pickle(tmp_path / "a.pkl", generator)).state
    assert {"shared", "layer.weight", "layer.w_avg"} == set(found) - set(STYLEGAN3_STATE)
    assert found["shared"].tolist() == found["layer.weight"].tolist() == [0, 1, 2]
    found["shared"].zero_()
    assert found["layer.weight"].tolist() == [0, 1, 2]


def test_tensors_from_a_gpu_in_half_precision_or_in_torch_s_newer_format_arrive_as_float32_on_the_cpu(tmp_path):
    cpu, cuda = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    values = torch.arange(6.0).reshape(2, 3).t()

    def stored(tensor: torch.Tensor, zipped: bool) -> Reduced:
        file = io.BytesIO()
        torch.save(tensor._typed_storage(), file, _use_new_zipfile_serialization=zipped)
        raw = file.getvalue() if zipped else file.getvalue().replace(cpu, cuda)
        assert zipped or cuda in raw
        content = Reduced(torch.storage._load_from_bytes, raw)
        shape, stride = tuple(tensor.shape), tensor.stride()
        return Reduced(torch._utils._rebuild_tensor_v2, content, 0, shape, stride, False, OrderedDict())

    state = {**STYLEGAN3_STATE, "freqs": stored(values.half(), False), "phases": stored(values.double(), True)}
    found = read_generator_file(write_network_pickle(tmp_path / "a.pkl", network(state, keywords=STYLEGAN3_KEYWORDS)))
    for name in ("freqs", "phases"):
        tensor = found.state[name]
        assert tensor.dtype == torch.float32 and tensor.device.type == "cpu" and tensor.is_contiguous()
        assert tensor.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, f"{os.system.__module__}.system"), (exec, "builtins.exec"), (eval, "builtins.eval")],
)
def test_a_pickle_that_would_run_code_is_refused_by_name(tmp_path, refusal, function, name):
    marker = tmp_path / "executed"
    command = f"touch {marker}" if function is os.system else f"open({str(marker)!r}, 'w').close()"
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS, extra=Reduced(function, command))
    pickle.loads(pickle.dumps(Reduced(function, command)))  # it would leave the mark
    marker.unlink()
    sentence = refusal(generator)
    assert f"it names {name}," in sentence and "nothing in it was executed" in sentence
    assert not marker.exists()


def test_an_unknown_class_is_refused_by_name(refusal):
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS, extra=argparse.Namespace(a=1))
    assert "argparse.Namespace" in refusal(generator)
    assert "torch.nn.modules.linear.Linear" in refusal(
        network({"a.weight": torch.ones(1)}, extra=torch.nn.Linear(1, 1))
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00a\x4b\x01sb.", "it changes the function"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "more memory"),
        (b"\x80\x02\x82\x01.", "by a number"),
        (b"\x80\x02K\x01Q.", "outside the file"),
        (b"\x80\x02cdnnlib.tflib.network\nNetwork\n.", "python legacy.py"),
        (b"\x80\x02}.", "no network 'G_ema'"),
        (pickled({"G_ema": Persistent("Generator", version=5)}), "version 5"),
        (pickled({"G_ema": Persistent("Generator", _modules={})}), "constructed with"),
        (
            pickled({"G_ema": network({"w": torch.ones(2)}, "TriPlaneGenerator", keywords={"img_resolution": 4})}),
            "TriPlane",
        ),
        (pickled({"G_ema": network({"w": 3}, keywords={"img_resolution": 4})}), "w is no tensor but a int"),
        (
            pickled({"G_ema": network({"w": torch.ones(2)}, keywords={"f": torch.ones(2)})}),
            "arguments hold a StoredTensor",
        ),
        (b"a text\n", "no file of a generator that is known"),
        (b"", "no file of a generator that is known"),
        (b"\x80", "no file of a generator that is known"),
        (b"PK\x03\x04 and no archive", "truncated or damaged"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "does not say which generator"),
        (b"\x09\x00\x00\x00\x00\x00\x00\x00{}", "damaged safetensors"),
    ],
)
def test_other_files_are_refused_with_the_reason(refusal, data, reason):
    assert reason in refusal(data)


def test_a_tensor_whose_numbers_name_code_is_refused(refusal):
    file = io.BytesIO()
    torch.save(Reduced(os.system, "true"), file)
    storage = Reduced(torch.storage._load_from_bytes, file.getvalue())
    tensor = Reduced(torch._utils._rebuild_tensor_v2, storage, 0, (1,), (1,), False, OrderedDict())
    sentence = refusal(network({**STYLEGAN3_STATE, "freqs": tensor}, keywords=STYLEGAN3_KEYWORDS))
    assert f"it names {os.system.__module__}.system," in sentence


def test_a_tensor_larger_than_its_content_is_refused(refusal):
    part = torch.ones(2)
    part_reduced = part.__reduce_ex__(2)[1]
    large = Reduced(torch._utils._rebuild_tensor_v2, part_reduced[0], 0, (10**12,), (0,), False, OrderedDict())
    assert "does not fit" in refusal(network({**STYLEGAN3_STATE, "freqs": large}, keywords=STYLEGAN3_KEYWORDS))


def test_values_and_modules_without_end_are_refused(refusal):
    doubling = []
    for _ in range(40):
        doubling = [doubling, doubling]
    assert "more than" in refusal(network(STYLEGAN3_STATE, keywords={"img_resolution": 4, "a": doubling}))
    loop = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    for _ in range(60):
        outer = network({}, keywords=STYLEGAN3_KEYWORDS)
        outer["_modules"] = {"inner": loop}
        loop = outer
    assert "deep" in refusal(loop)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, refusal):
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    whole = write_network_pickle(tmp_path / "a.pkl", generator).read_bytes()
    for length in range(2, len(whole), len(whole) // 20):
        assert "truncated or damaged" in refusal(whole[:length])
    whole = rosinality_file(tmp_path / "a.pt").read_bytes()
    for length in range(20, len(whole), len(whole) // 5):
        assert "truncated or damaged" in refusal(whole[:length])


def test_a_converted_file_of_another_version_is_refused(tmp_path):
    description = {"version": 3, "family": "stylegan2", "constructor": {}, "source": ""}
    safetensors.torch.save_file({}, tmp_path / "a.st", {"brownid_generator": json.dumps(description)})
    with pytest.raises(BrownidError, match=r"a\.st: a generator of format version 3"):
        read_generator_file(tmp_path / "a.st")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BrownidError, match=r"none\.pkl: cannot read the generator: No such file"):
        read_generator_file(tmp_path / "none.pkl")


def test_rosinality_s_weights_give_the_same_images_under_nvidia_s_names(tmp_path):
    weights = rosinality_weights(16)
    found = read_generator_file(rosinality_file(tmp_path / "a.pt"))
    assert found.family == "stylegan2" and found.resolution == 16
    assert found.constructor["synthesis_kwargs"]["channel_max"] == 5
    assert found.state["mapping.w_avg"].tolist() == [0, 1, 2, 3, 4, 5]
    generator = StyleGAN2(StyleGAN2Settings.from_nvidia(found.constructor), noise="fixed")
    generator.load_state_dict(found.state, strict=True)
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(generator.render(generator.map(z)), rosinality_image(weights, z), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("zipped", [True, False])
def test_training_settings_in_a_checkpoint_of_rosinality_s_are_left_out(tmp_path, zipped):
    content = {"g_ema": rosinality_weights(8), "latent_avg": torch.ones(6), "args": argparse.Namespace(size=8)}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert read_generator_file(tmp_path / "a.pt").resolution == 8


def test_a_checkpoint_without_mean_latent_or_noise_maps_gets_them_and_a_warning(tmp_path, caplog):
    weights = rosinality_weights(8, layers=1)
    maps = [name for name in weights if name.startswith("noises.")]
    torch.save({"g_ema": {name: tensor for name, tensor in weights.items() if name not in maps}}, tmp_path / "a.pt")
    found = read_generator_file(tmp_path / "a.pt")
    assert "no mean latent" in caplog.text and "noise of 3 layers" in caplog.text
    again = read_generator_file(tmp_path / "a.pt")
    assert found.state["synthesis.b8.conv0.noise_const"].std() > 0.5
    for name, tensor in found.state.items():
        assert torch.equal(tensor, again.state[name])
    generator = StyleGAN2(StyleGAN2Settings.from_nvidia(found.constructor))
    generator.load_state_dict(found.state, strict=True)
    mapped = generator.map(torch.randn(20_000, 6, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(mapped.mean(0), generator.latent_mean, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conv1.conv.weight": None}, "lacks conv1.conv.weight"),
        ({"odd.weight": torch.ones(1)}, "odd.weight"),
        ({"input.input": torch.ones(1, 5, 4)}, "input.input has the shape"),
        ({"to_rgbs.0.upsample.kernel": torch.ones(4, 4)}, "another filter"),
        ({"convs.0.conv.weight": torch.ones(2, 5, 5, 3, 3)}, "convs.0.conv.weight has the shape"),
        ({"convs.1.conv.weight": torch.ones(1, 9, 5, 3, 3)}, "numbers of channels"),
        ({"style.1.weight": None}, "names of rosinality's StyleGAN2"),
    ],
)
def test_weights_of_another_architecture_than_rosinality_s_are_refused(tmp_path, change, reason):
    weights = rosinality_weights(16) | change
    rosinality_file(tmp_path / "a.pt", g_ema={name: tensor for name, tensor in weights.items() if tensor is not None})
    with pytest.raises(BrownidError, match=reason):
        read_generator_file(tmp_path / "a.pt")


def test_a_mean_latent_of_another_width_is_refused(tmp_path):
    with pytest.raises(BrownidError, match="latent_avg has the shape"):
        read_generator_file(rosinality_file(tmp_path / "a.pt", latent_avg=torch.ones(7)))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_that_would_run_code_is_refused_by_name(tmp_path, zipped):
    marker = tmp_path / "executed"
    content = {"g_ema": Reduced(os.system, f"touch {marker}")}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        BrownidError, match=rf"a\.pt: .*nothing in it was executed: it names {os.system.__module__}\.system"
    ):
        read_generator_file(tmp_path / "a.pt")
    assert not marker.exists()


def test_a_converted_file_says_what_it_is_and_reads_as_the_published_one(tmp_path):
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    published = write_network_pickle(tmp_path / "published.pkl", generator)
    converted = tmp_path / "converted"
    content = convert(published, converted)
    with safe_open(converted, framework="pt") as file:
        described = json.loads(file.metadata()["brownid_generator"])
    assert len(described.pop("sha256")) == 64
    assert described == {
        "version": 2,
        "family": "stylegan3",
        "constructor": content.constructor,
        "source": f"published.pkl sha256:{sha256(published)}",
    }
    again = read_generator_file(converted)
    assert (again.family, again.constructor, again.source) == (content.family, content.constructor, content.source)
    assert all(torch.equal(again.state[name], tensor) for name, tensor in content.state.items())
    convert(converted, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == converted.read_bytes()
    damaged = bytearray(converted.read_bytes())
    damaged[-9] ^= 1
    converted.write_bytes(damaged)
    with pytest.raises(BrownidError, match="converted: damaged: its content does not match its checksum"):
        read_generator_file(converted)


BESIDE = {
    "paths": {"training_set_kwargs": EasyDict(path=PosixPath("/data"))},
    "torch_s_modules": {"D": nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU())},
    "code": {"augment_pipe": Reduced(os.system, "touch executed")},
    "objects": {"x": [{PosixPath("a"): {PosixPath("b")}}, range(3), 2j, deque([1]), np.random.default_rng(0)]},
    "arrays": {"x": [np.array(["a", b"b", None]), np.zeros(1, "c16,O"), np.datetime64("2020"), np.float64(2), np.inf]},
    "tensors": {"x": [torch.zeros(1).to_sparse(), Reduced(torch._utils._rebuild_qtensor, 1)]},
    "another_version": {"D": Persistent("Discriminator", version=5)},
    "no_module": {"D": Reduced(_reconstruct_persistent_obj, 3)},
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("others", BESIDE.values(), ids=BESIDE)
def test_the_averaged_generator_is_read_whatever_the_other_entries_hold(tmp_path, monkeypatch, others, protocol):
    monkeypatch.chdir(tmp_path)
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    found = read_generator_file(write_network_pickle(tmp_path / "a.pkl", generator, protocol, **others))
    assert set(found.state) == set(STYLEGAN3_STATE)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("place", ["attribute", "module", "argument", "list"])
def test_what_the_averaged_generator_holds_of_unknown_classes_is_refused_by_name(refusal, place):
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    state = generator.meta["state"]
    if place == "module":
        state["_modules"]["extra"] = nn.LeakyReLU()
    elif place == "argument":
        state["_init_kwargs"]["path"] = PosixPath("a")
    else:
        state["extra"] = PosixPath("a") if place == "attribute" else [{"a": (PosixPath("a"),)}]
    assert ("torch.nn.modules.activation.LeakyReLU" if place == "module" else "pathlib.PosixPath") in refusal(generator)


def shared_twice(levels: int) -> bytes:
    """The opcodes of a tuple that holds one tuple twice, which holds one tuple twice ..."""
    return b")" + b"2\x86" * levels


@pytest.mark.parametrize(
    "program",
    [
        b"}" + shared_twice(60) + b"Ns",  # a key
        b"\x8f(" + shared_twice(60) + b"\x90",  # a member of a set
        b"(" + shared_twice(60) + b"\x91",
        b"cbuiltins\nset\n](" + shared_twice(60) + b"e\x85R",
        b"ccollections\nOrderedDict\n](](" + shared_twice(60) + b"Nee\x85R",
    ],
)
def test_values_that_hold_themselves_twice_at_every_level_are_refused_before_they_are_hashed(refusal, program):
    sentence = refusal(b"\x80\x04" + program + b".")
    assert "a key of more than 100 parts" in sentence


@pytest.mark.parametrize(
    "place",
    ["version", "class_name", "state", "parameters", "modules", "argument", "device", "dtype", "size", "number"],
)
def test_no_refusal_prints_what_the_file_holds(refusal, place):
    large = ()
    for _ in range(60):
        large = (large, large)
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    state = generator.meta["state"]
    if place in ("version", "class_name", "state"):
        generator.meta[place] = large
    elif place in ("parameters", "modules"):
        state[f"_{place}"] = {"x" * 1_000_000: large}
    elif place == "argument":
        state["_init_kwargs"]["a"] = large
    elif place == "number":
        state["_init_kwargs"]["a"] = 1 << 2000
    else:
        function = {"device": torch.device, "dtype": np.dtype, "size": torch.Size}[place]
        state["_init_kwargs"]["a"] = Reduced(function, large)
    assert len(refusal(generator)) < 500


@pytest.mark.parametrize("text", ["f4," * 100_000, "\x1b[31m", "O", "f4" * 100, "S99999999999"])
@pytest.mark.parametrize("function", [torch.device, np.dtype])
def test_texts_for_types_and_devices_that_are_none_are_refused_unprinted(refusal, function, text):
    keywords = {**STYLEGAN3_KEYWORDS, "a": Reduced(function, text)}
    sentence = refusal(network(STYLEGAN3_STATE, keywords=keywords))
    assert len(sentence) < 400 and "\x1b" not in sentence


def test_tensors_that_share_their_numbers_are_counted_each_time(refusal):
    shared = torch.nn.Parameter(torch.zeros(100_000))
    generator = network(STYLEGAN3_STATE, keywords=STYLEGAN3_KEYWORDS)
    generator.meta["state"]["_parameters"] |= {f"w{number}": shared for number in range(200)}
    assert "does not fit its content" in refusal(generator)


def test_a_refused_file_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02cos\nsystem\n.")
    with pytest.raises(BrownidError, match=r"os\.system"):
        convert(tmp_path / "a.pkl", tmp_path / "out" / "a.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


def test_tuples_too_large_to_hash_are_refused_however_they_are_built(refusal):
    start, end = b"\x80\x02}", b"Ns."
    through_the_memo = b")q\x00" + b"0h\x00\x85q\x00" * 1500
    of_marks = b"(" * 1500 + b"t" * 1500
    for deep in (b")" + b"\x85" * 1500, b")" + b"N\x86" * 1500, through_the_memo, of_marks):
        assert "a key of more than 100 parts" in refusal(start + deep + end)
    sizes = b"]" + b"ctorch\nSize\nq\x00h\x00]]a\x85R."  # a tuple made by a function
    assert "torch.Size of something else" in refusal(b"\x80\x02" + sizes)


def test_flat_tuples_are_no_deep_ones(refusal):
    assert "no network 'G_ema'" in refusal(b"\x80\x02](" + b")\x85" * 5000 + b"e.")


def test_modules_named_twice_at_every_depth_are_refused_before_the_walk_ends(refusal):
    inner = network({}, keywords=STYLEGAN3_KEYWORDS)
    for _ in range(18):
        outer = network({}, keywords=STYLEGAN3_KEYWORDS)
        outer["_modules"] = {"a": inner, "b": inner}
        inner = outer
    assert "more than 100000 tensors and modules" in refusal(inner)


@pytest.mark.parametrize("change", [{"constructor": []}, {"constructor": {}}, {"family": 3}, {"source": None}], ids=str)
def test_a_damaged_description_of_a_converted_file_is_refused(tmp_path, change):
    description = {"version": 1, "family": "stylegan2", "constructor": {"img_resolution": 8}, "source": ""} | change
    safetensors.torch.save_file({}, tmp_path / "a.st", {"brownid_generator": json.dumps(description)})
    with pytest.raises(BrownidError, match=r"a\.st: the description of the generator is damaged"):
        read_generator_file(tmp_path / "a.st")


def test_a_generator_with_numbers_that_are_not_finite_is_refused(refusal):
    state = {**STYLEGAN3_STATE, "freqs": torch.tensor([1.0, torch.nan])}
    assert "NaN or infinite numbers in freqs" in refusal(network(state, keywords=STYLEGAN3_KEYWORDS))
