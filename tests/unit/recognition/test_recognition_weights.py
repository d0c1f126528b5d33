"""Weights: what is read, what is refused, and that nothing is executed."""

import datetime
import json
import os
import pathlib
import sys
import types
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import asdict
from decimal import Decimal

import numpy as np
import pytest
import safetensors.torch
import torch

from brownid.recognition.backbones import Description, backbone
from brownid.recognition.loading import load_backbone, save_backbone
from brownid.runtime.errors import BrownidError
from brownid.weights.state_dict import read_weights


@pytest.fixture
def network():
    torch.manual_seed(3)
    return backbone("slim", "slim_iresnet", image_size=32, embedding_dim=16)


def same(first, second) -> bool:
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_saved_weights_say_what_they_are_and_come_back(tmp_path, network):
    save_backbone(tmp_path / "a.safetensors", network)
    loaded = load_backbone(tmp_path / "a.safetensors")
    assert same(loaded, network)
    assert loaded.description == Description("slim", "slim_iresnet", 32, 16)
    assert not loaded.training


def test_equal_weights_give_equal_files(tmp_path, network):
    for name in ("a", "b", "c", "d"):
        save_backbone(tmp_path / name, network)
    assert len({(tmp_path / name).read_bytes() for name in "abcd"}) == 1


def test_a_description_that_differs_from_the_files_is_refused(tmp_path, network):
    save_backbone(tmp_path / "a.safetensors", network)
    with pytest.raises(BrownidError, match=r"a\.safetensors: .* saved with image_size 32, not 56"):
        load_backbone(tmp_path / "a.safetensors", "slim", "slim_iresnet", image_size=56)


def test_a_plain_state_dict_loads_when_the_network_is_named(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "a.pth")
    assert same(load_backbone(tmp_path / "a.pth", "slim", "slim_iresnet", 32, 16), network)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "a.safetensors")
    assert same(load_backbone(tmp_path / "a.safetensors", "slim", "slim_iresnet", 32, 16), network)
    with pytest.raises(BrownidError, match="name family and architecture"):
        load_backbone(tmp_path / "a.pth")


def test_a_state_dict_of_the_old_torch_format_loads(tmp_path, network):
    old = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    loaded = load_backbone(tmp_path / "a.pth", "slim", "slim_iresnet", 32, 16)
    assert torch.equal(loaded.fc.weight, network.fc.weight)


def test_an_adaface_checkpoint_loads_its_model_and_leaves_the_head(tmp_path):
    torch.manual_seed(0)
    network = backbone("adaface", "ir_18", image_size=32)
    state = {f"model.{k}": v for k, v in network.state_dict().items()} | {"head.kernel": torch.zeros(512, 7)}
    torch.save({"epoch": 25, "state_dict": state, "hyper_parameters": {"arch": "ir_18"}}, tmp_path / "a.ckpt")
    assert same(load_backbone(tmp_path / "a.ckpt", "adaface", "ir_18", 32), network)


class ModelCheckpoint:
    """Stands for the Lightning class that the published checkpoints name in their pickle."""

    def __init__(self):
        self.best = 1.0


def test_classes_of_the_writing_program_are_read_as_nothing(tmp_path, network, monkeypatch):
    monkeypatch.setattr(ModelCheckpoint, "__module__", "pytorch_lightning.callbacks.model_checkpoint")
    modules = ("pytorch_lightning", "pytorch_lightning.callbacks", ModelCheckpoint.__module__)
    for name in modules:  # what pickle imports to write the class
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[ModelCheckpoint.__module__].ModelCheckpoint = ModelCheckpoint
    content = {
        "callbacks": {ModelCheckpoint: {"best": 1.0}, "other": ModelCheckpoint()},
        "hyper_parameters": Namespace(lr=0.1),
        "state_dict": {f"model.{k}": v for k, v in network.state_dict().items()},
    }
    torch.save(content, tmp_path / "a.ckpt")
    for name in modules:  # the reader does not have them
        monkeypatch.delitem(sys.modules, name)
    assert same(load_backbone(tmp_path / "a.ckpt", "slim", "slim_iresnet", 32, 16), network)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path, zipped):
    marker = tmp_path / "executed"
    torch.save(
        {"state_dict": {"model.x": Hostile(str(marker))}},
        tmp_path / "bad.ckpt",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(BrownidError, match=r"bad\.ckpt: .*never executed"):
        load_backbone(tmp_path / "bad.ckpt", "slim", "slim_iresnet", 32)
    assert not marker.exists()


def test_wrong_keys_are_named(tmp_path, network):
    state = network.state_dict()
    state["extra"] = torch.zeros(1)
    del state["fc.weight"]
    state["conv1.weight"] = torch.zeros(8, 3, 3, 3)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(BrownidError) as caught:
        load_backbone(tmp_path / "a.pth", "slim", "slim_iresnet", 32, 16)
    message = str(caught.value)
    assert "1 missing: fc.weight" in message
    assert "1 unexpected: extra" in message
    assert "conv1.weight [8, 3, 3, 3] instead of [16, 3, 3, 3]" in message
    assert "a.pth" in message and "slim_iresnet" in message


@pytest.mark.parametrize("cut", [0, 5, 100, -1000])
def test_a_truncated_file_is_a_sentence_naming_it(tmp_path, network, cut):
    for name, write in (("a.safetensors", save_backbone), ("a.pth", lambda p, n: torch.save(n.state_dict(), p))):
        write(tmp_path / name, network)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(BrownidError, match=name):
            load_backbone(tmp_path / name, "slim", "slim_iresnet", 32, 16)


def test_an_absent_file_is_a_sentence(tmp_path):
    with pytest.raises(BrownidError, match=r"none\.pth: cannot read"):
        load_backbone(tmp_path / "none.pth", "slim", "slim_iresnet")


def written(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_a_refusal_names_the_class_and_does_not_advise_to_execute_it(tmp_path, zipped):
    torch.save({"x": Hostile("nowhere")}, tmp_path / "bad.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(BrownidError) as caught:
        read_weights(tmp_path / "bad.pt")
    assert f"it names {os.mkdir.__module__}.mkdir," in str(caught.value)
    assert "weights_only" not in str(caught.value) and "Re-running" not in str(caught.value)


DEEP = b"\x80\x02})" + b"\x85" * 5000 + b"Ns."


@pytest.mark.parametrize("zipped", [True, False])
def test_tuples_too_large_to_hash_are_refused(tmp_path, zipped):
    torch.save({}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    if zipped:
        with zipfile.ZipFile(tmp_path / "b.pt", "w") as copy, zipfile.ZipFile(tmp_path / "a.pt") as source:
            for entry in source.infolist():
                copy.writestr(entry.filename, DEEP if entry.filename.endswith("data.pkl") else source.read(entry))
    else:
        empty = b"\x80\x02}q\x00."
        whole = (tmp_path / "a.pt").read_bytes()
        assert whole.count(empty) == 1
        (tmp_path / "b.pt").write_bytes(whole.replace(empty, DEEP))
    with pytest.raises(BrownidError, match="a key of more than 100 parts"):
        read_weights(tmp_path / "b.pt")


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, network, damage):
    network.fc.weight.data[0, 0] = damage
    save_backbone(tmp_path / "a.safetensors", network)
    with pytest.raises(BrownidError, match=r"a\.safetensors: NaN or infinite numbers in fc\.weight"):
        load_backbone(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [{1: torch.ones(1)}, [torch.ones(1)]])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    with pytest.raises(BrownidError, match=r"a\.pt: holds no state dict"):
        read_weights(written(tmp_path / "a.pt", content))


def prefixed(prefix, tensors):
    return {prefix + name: tensor for name, tensor in tensors.items()}


SECTIONS = (
    "model",
    "state_dict",
    "state_dict_backbone",
    "network",
    "backbone",
    "net",
    "ema",
    "model_state_dict",
    "else",
)
PREFIXES = ("module.", "backbone.", "net.", "model.", "_orig_mod.", "module.backbone.", "_orig_mod.module.", "encoder.")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_wrappers_is_left_out(tmp_path, network, prefix, zipped):
    content = prefixed(prefix, network.state_dict())
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert same(load_backbone(tmp_path / "a.pth", "slim", "slim_iresnet", 32, 16), network)


@pytest.mark.parametrize("section", SECTIONS)
def test_weights_are_found_in_any_section(tmp_path, network, section):
    head = {"kernel": torch.zeros(16, 7), "fc.weight": torch.zeros(7, 16)}
    content = {
        "epoch": 3,
        "state_dict_softmax_fc": head,
        section: prefixed("module.", network.state_dict()),
        "best": 0.5,
    }
    assert same(load_backbone(written(tmp_path / "a.pt", content), "slim", "slim_iresnet", 32, 16), network)
    deeper = {"checkpoint": {"epoch": 3, "weights": {section: network.state_dict()}}}
    assert same(load_backbone(written(tmp_path / "b.pt", deeper), "slim", "slim_iresnet", 32, 16), network)


def test_prefixed_safetensors_load_too(tmp_path, network):
    safetensors.torch.save_file(prefixed("module.", network.state_dict()), tmp_path / "a.safetensors")
    assert same(load_backbone(tmp_path / "a.safetensors", "slim", "slim_iresnet", 32, 16), network)


def test_a_head_outside_of_the_prefix_is_left_out_and_named_in_the_log(tmp_path, network, caplog):
    caplog.set_level("INFO")
    head = {"head.kernel": torch.ones(1), "fc.weight": torch.ones(7, 16), "kernel": torch.ones(1)}
    path = written(tmp_path / "a.ckpt", prefixed("model.", network.state_dict()) | head)
    assert same(load_backbone(path, "slim", "slim_iresnet", 32, 16), network)
    assert "a.ckpt: read with the prefix model.; left out: head.kernel, fc.weight, kernel" in caplog.text


def test_a_head_within_the_prefix_is_refused_with_the_place_where_it_was_found(tmp_path, network):
    path = written(tmp_path / "a.pt", {"model": prefixed("module.", network.state_dict() | {"kernel": torch.ones(1)})})
    words = r"a\.pt \(as slim slim_iresnet, read from the section model and the prefix module\.\).*1 unexpected: kernel"
    with pytest.raises(BrownidError, match=words):
        load_backbone(path, "slim", "slim_iresnet", 32, 16)


def test_of_weights_and_their_running_average_the_weights_are_read_with_a_warning(tmp_path, network, caplog):
    averaged = {name: tensor * 0 for name, tensor in network.state_dict().items()}
    for content in (
        {"ema": averaged, "model": network.state_dict()},
        prefixed("teacher.backbone.", averaged) | prefixed("student.backbone.", network.state_dict()),
    ):
        assert same(load_backbone(written(tmp_path / "a.pt", content), "slim", "slim_iresnet", 32, 16), network)
    assert "the section model is read, not the section ema" in caplog.text
    assert "the prefix student.backbone. is read, not the prefix teacher.backbone." in caplog.text


NEIGHBOURS = {
    "a path": lambda: pathlib.PosixPath("/data/faces"),
    "a Windows path": lambda: pathlib.PureWindowsPath("C:/data"),
    "a numpy number": lambda: np.float64(0.5),
    "a numpy integer": lambda: np.int64(5),
    "a numpy array": lambda: np.arange(6.0).reshape(2, 3),
    "an array of texts": lambda: np.array(["a", None], object),
    "a numpy type": lambda: np.dtype("float32"),
    "a date": lambda: datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC),
    "a time span": lambda: datetime.timedelta(hours=1),
    "an ordered dict": lambda: OrderedDict(a=1),
    "a dict of lists": lambda: defaultdict(list, a=[1, 2]),
    "a deque": lambda: deque([1, 2], maxlen=3),
    "a counter": lambda: Counter("aab"),
    "arguments": lambda: Namespace(lr=0.1, path=pathlib.PosixPath("/data")),
    "a namespace": lambda: types.SimpleNamespace(lr=0.1),
    "a decimal": lambda: Decimal("0.1"),
    "sets and bytes": lambda: {"a": {1, 2}, "b": b"raw", "c": complex(1, 2), "d": frozenset({1}), "e": range(3)},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("make", NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_objects_next_to_the_weights_do_not_keep_them_from_being_read(tmp_path, network, make, zipped):
    content = {"hyper_parameters": {"it": make(), "twice": [make()]}, "state_dict": network.state_dict()}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert same(load_backbone(tmp_path / "a.pt", "slim", "slim_iresnet", 32, 16), network)


def test_weights_in_a_dict_of_another_class_are_read(tmp_path, network):
    torch.save({"model": defaultdict(float, network.state_dict())}, tmp_path / "a.pt")
    assert same(load_backbone(tmp_path / "a.pt", "slim", "slim_iresnet", 32, 16), network)


def test_a_file_of_a_whole_module_is_refused_with_what_to_save_instead(tmp_path, network):
    torch.save(network.fc, tmp_path / "a.pt")
    with pytest.raises(
        BrownidError, match=r"a\.pt: .*names torch\.nn\.modules.*Save the network's state_dict\(\) alone"
    ):
        load_backbone(tmp_path / "a.pt", "slim", "slim_iresnet")


def test_a_torchscript_program_is_refused_with_what_to_save_instead(tmp_path, network):
    torch.jit.save(torch.jit.script(network.fc), tmp_path / "a.pt")
    with pytest.raises(BrownidError, match=r"a\.pt: .*TorchScript program: save the state_dict\(\) of the net"):
        load_backbone(tmp_path / "a.pt", "slim", "slim_iresnet")


@pytest.mark.parametrize("number_format", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_formats_are_converted(tmp_path, network, number_format):
    state = network.state_dict()
    counter = next(name for name in state if name.endswith("num_batches_tracked"))
    state[counter] = torch.tensor(10**6)
    state = {
        name: tensor.to(number_format) for name, tensor in state.items()
    }  # in half precision a million is infinite
    loaded = load_backbone(written(tmp_path / "a.pt", state), "slim", "slim_iresnet", 32, 16)
    assert loaded.fc.weight.dtype == torch.float32
    assert torch.equal(loaded.fc.weight, state["fc.weight"].float())


def test_integers_in_place_of_weights_are_refused(tmp_path, network):
    state = network.state_dict() | {"fc.weight": network.fc.weight.data.to(torch.int8)}
    with pytest.raises(BrownidError, match=r"1 not of floating-point numbers: fc\.weight int8"):
        load_backbone(written(tmp_path / "a.pt", state), "slim", "slim_iresnet", 32, 16)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_a_flipped_bit_in_the_weights_is_noticed(tmp_path, network, name):
    path = tmp_path / name
    (save_backbone if name.endswith("safetensors") else lambda p, n: torch.save(n.state_dict(), p))(path, network)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(BrownidError, match=rf"{name}: (damaged: its content does not match|.*damaged .*CRC)"):
        load_backbone(path, "slim", "slim_iresnet", 32, 16)


def test_files_of_the_version_without_a_checksum_are_still_read(tmp_path, network):
    about = json.dumps({"version": 1, **asdict(network.description)})
    safetensors.torch.save_file(network.state_dict(), tmp_path / "a.safetensors", {"brownid_backbone": about})
    assert same(load_backbone(tmp_path / "a.safetensors"), network)


def test_weights_that_tell_no_images_apart_are_warned_about_when_loaded(tmp_path, network, caplog):
    save_backbone(tmp_path / "fine.safetensors", network)
    load_backbone(tmp_path / "fine.safetensors")
    assert not caplog.text
    network.features.weight.data.zero_()  # the last batch-norm, whose bias is all that is left
    network.features.bias.data.fill_(1.0)
    save_backbone(tmp_path / "dead.safetensors", network)
    load_backbone(tmp_path / "dead.safetensors")
    assert "dead.safetensors: two unrelated images of noise have almost the same embedding" in caplog.text


@pytest.mark.parametrize(
    "described",
    [
        [],
        [1],
        0,
        {"version": 1},
        {"version": 1, "family": "slim", "architecture": [], "image_size": 32, "embedding_dim": 16},
    ],
)
def test_a_damaged_description_is_refused(tmp_path, described):
    safetensors.torch.save_file(
        {"a": torch.ones(1)}, tmp_path / "a.safetensors", {"brownid_backbone": json.dumps(described)}
    )
    with pytest.raises(BrownidError, match=r"a\.safetensors: (weights of another|the description of)"):
        load_backbone(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "sizes", [{"embedding_dim": 10**15}, {"embedding_dim": 10**7}, {"image_size": 10**12}, {"image_size": 4096}]
)
def test_sizes_that_need_far_more_than_the_file_holds_are_refused_before_memory_is_taken(tmp_path, sizes):
    described = {
        "version": 1,
        "family": "insightface",
        "architecture": "iresnet18",
        "image_size": 112,
        "embedding_dim": 512,
    }
    safetensors.torch.save_file(
        {"a": torch.ones(1)}, tmp_path / "a.safetensors", {"brownid_backbone": json.dumps(described | sizes)}
    )
    with pytest.raises(BrownidError, match=r"a\.safetensors: (declares [\d,]+ weights, but holds 1|no network has)"):
        load_backbone(tmp_path / "a.safetensors")


def test_a_shape_without_numbers_that_torch_does_not_know_is_a_sentence(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(BrownidError, match=r"a\.safetensors: damaged safetensors file"):
        load_backbone(tmp_path / "a.safetensors", "slim", "slim_iresnet")
