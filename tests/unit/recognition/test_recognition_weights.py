"""Weights: what is read, what is refused, and that nothing is executed."""

import json
import os
import sys
import types
import zipfile
from argparse import Namespace

import pytest
import safetensors.torch
import torch

from brownid.errors import BrownidError
from brownid.recognition.backbones import Description, backbone
from brownid.recognition.weights import load_backbone, read_weights, save_backbone


@pytest.fixture
def network():
    torch.manual_seed(3)
    return backbone("slim", "slim_iresnet", side=32, embedding_dim=16)


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
    with pytest.raises(BrownidError, match=r"a\.safetensors: .* saved with side 32, not 56"):
        load_backbone(tmp_path / "a.safetensors", "slim", "slim_iresnet", side=56)


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
    network = backbone("adaface", "ir_18", side=32)
    state = {f"model.{k}": v for k, v in network.state_dict().items()} | {"head.kernel": torch.zeros(512, 7)}
    torch.save({"epoch": 25, "state_dict": state, "hyper_parameters": {"arch": "ir_18"}}, tmp_path / "a.ckpt")
    assert same(load_backbone(tmp_path / "a.ckpt", "adaface", "ir_18", 32), network)


class ModelCheckpoint:
    """Stands for the Lightning class that the published checkpoints name in their pickle."""

    def __init__(self):
        self.best = 1.0


def test_classes_of_the_writing_program_are_read_as_nothing(tmp_path, network, monkeypatch):
    monkeypatch.setattr(ModelCheckpoint, "__module__", "pytorch_lightning.callbacks.model_checkpoint")
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = ModelCheckpoint
    monkeypatch.setitem(sys.modules, module.__name__, module)
    content = {
        "callbacks": {ModelCheckpoint: {"best": 1.0}, "other": ModelCheckpoint()},
        "hyper_parameters": Namespace(lr=0.1),
        "state_dict": {f"model.{k}": v for k, v in network.state_dict().items()},
    }
    torch.save(content, tmp_path / "a.ckpt")
    monkeypatch.delitem(sys.modules, module.__name__)  # the reader does not have it
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


def test_keys_beside_the_model_and_its_head_are_named_not_dropped(tmp_path):
    both = {"model.a": torch.ones(1), "head.kernel": torch.ones(1)}
    assert list(read_weights(written(tmp_path / "a.ckpt", both))[0]) == ["a"]
    with pytest.raises(BrownidError, match=r"a\.ckpt: beside the network.* it holds conv1\.weight"):
        read_weights(written(tmp_path / "a.ckpt", both | {"conv1.weight": torch.ones(1)}))


@pytest.mark.parametrize(
    "described",
    [[], [1], 0, {"version": 1}, {"version": 1, "family": "slim", "architecture": [], "side": 32, "embedding_dim": 16}],
)
def test_a_damaged_description_is_refused(tmp_path, described):
    safetensors.torch.save_file(
        {"a": torch.ones(1)}, tmp_path / "a.safetensors", {"brownid_backbone": json.dumps(described)}
    )
    with pytest.raises(BrownidError, match=r"a\.safetensors: (weights of another|the description of)"):
        load_backbone(tmp_path / "a.safetensors")
