"""`brownid init` writes a configuration for the files that a user has, and says what is of no use in a sentence."""

import sys

import numpy as np
import pytest
import torch
import yaml

from brownid.configuration.loading import load_configuration
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.recognition.backbones import backbone
from brownid.samples import png
from brownid.verification.bins import write_bin
from brownid.weights.generator_files import GeneratorFile, save_generator_file

SIZES = {"z_dim": 6, "c_dim": 0, "w_dim": 6, "img_resolution": 256, "img_channels": 3}
PARTS = {"mapping_kwargs": {"num_layers": 1}, "synthesis_kwargs": {"channel_base": 1024, "channel_max": 4}}


def image(side, number=0):
    return png.encode(np.full((side, side, 3), number, np.uint8))


@pytest.fixture(scope="module")
def own(tmp_path_factory, weights):
    """A folder with a StyleGAN2, networks, photographs, crops, and a benchmark."""
    folder = tmp_path_factory.mktemp("own")
    state = random_stylegan2(StyleGAN2Settings.from_nvidia({**SIZES, **PARTS}), seed=1).state_dict()
    save_generator_file(folder / "gan.safetensors", GeneratorFile("stylegan2", {**SIZES, **PARTS}, state, "test"))
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / "other.pt")
    (folder / "slim.safetensors").symlink_to(weights)
    for number in range(4):
        for place in (f"people/{number // 2}/{number}.png", f"portraits/{number}.png", f"mixed/{number}.png"):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(image(32 + number * place.startswith("mixed")))
    (folder / "empty").mkdir()
    (folder / "empty/notes.txt").touch()
    for side in (16, 32, 64):
        write_bin(folder / f"b{side}.bin", [image(side)] * 4, [True, False])
    return folder


@pytest.fixture
def written(own, run, monkeypatch, tmp_path):
    """The configuration that the command writes, complete, and what it prints."""
    monkeypatch.chdir(own)

    def init(*words):
        said = run("init", *words, "-o", tmp_path / "new.yaml").output
        return load_configuration(yaml.safe_load((tmp_path / "new.yaml").read_text())), said

    return init


def test_a_generator_and_a_network_give_references_and_variations(written):
    config, said = written("--generator", "gan.safetensors", "--network", "slim.safetensors", "--identities", "9")
    assert (
        config["generators"]["generator"] | {"family": "stylegan2", "file": "gan.safetensors"}
        == (config["generators"]["generator"])
    )
    assert "StyleGAN2, 256 x 256 pixels" in said and "slim slim_iresnet, crops of 32 pixels, 16-dimensional" in said
    assert config["networks"]["network"]["architecture"] == "slim_iresnet"
    assert config["networks"]["network"]["image_size"] == config["images"]["image_size"] == 32
    assert config["references"]["faces"]["identities"] == 9 and config["variations"]["faces_n16"]
    assert not config["benchmarks"] and not config["training"] and config["release"] is None


def test_the_architecture_of_a_checkpoint_is_found_by_the_names_and_shapes_of_its_tensors(written, own):
    state = {f"module.{name}": tensor.half() for name, tensor in backbone("adaface", "ir_18").state_dict().items()}
    torch.save({"state_dict": state}, own / "ir.ckpt")
    config, _ = written("--generator", "gan.safetensors", "--network", "ir.ckpt")
    network = config["networks"]["network"]
    assert (network["family"], network["architecture"], network["image_size"]) == ("adaface", "ir_18", 112)


def test_a_benchmark_has_the_data_trained_on_and_the_network_scored(written):
    words = ("--generator", "gan.safetensors", "--network", "slim.safetensors", "--benchmark", "b32.bin")
    config, said = written(*words, "--benchmark", "b64.bin", "--photographs", "people")
    assert config["scoring"]["networks"] == ["network"] and "benchmark b32: " in said
    assert (
        config["benchmarks"]["b64"]["alignment"]["template"] == "arcface"
        and not config["benchmarks"]["b32"]["alignment"]
    )
    assert config["training"]["fr_faces"]["datasets"] == ["faces", "faces_n16"]
    assert config["training"]["fr_photographs"] and config["references"]["faces"]["leak_guard"] == "photographs"


def test_photographs_are_persons_in_folders_or_one_person_each(written):
    config, said = written("--photographs", "people")
    assert config["databases"]["photographs"]["kind"] == "people" and "4 images of 2 identities" in said
    assert config["training"]["fr_photographs"]["datasets"] == ["photographs"]


def test_the_embedded_world_needs_no_files(written):
    config, _ = written("--embedded", "--identities", 50)
    assert config["references"]["faces"]["identities"] == 50 and config["networks"]["steering"]["database"]


def test_two_benchmarks_of_one_name_are_refused(refusal, own, monkeypatch):
    monkeypatch.chdir(own)
    (own / "other").mkdir(exist_ok=True)
    (own / "other/b32.bin").write_bytes((own / "b32.bin").read_bytes())
    words = ("--network", "slim.safetensors", "--generator", "gan.safetensors")
    said = refusal("init", *words, "--benchmark", "b32.bin", "--benchmark", "other/b32.bin", "-o", "two.yaml")
    assert "other/b32.bin: another benchmark is called b32 already" in said


def test_a_record_file_needs_no_detector(refusal, own, monkeypatch):
    monkeypatch.chdir(own)
    (own / "records").mkdir(exist_ok=True)
    for name in ("train.rec", "train.idx"):
        (own / "records" / name).touch()
    said = refusal("init", "--photographs", "records", "--detector", "yunet.onnx", "-o", "records.yaml")
    assert "records: a record file holds aligned crops, in which no detector looks" in said


def test_an_existing_configuration_is_never_replaced(refusal, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 7")
    assert "exists already, and is not replaced" in refusal("init", "--embedded", "-o", tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "seed: 7"


GAN, SLIM = ("--generator", "gan.safetensors"), ("--network", "slim.safetensors")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "There is nothing to make data of: give --generator with --network, --photographs, or --embedded."),
        (GAN, "--generator needs --network"),
        ((*SLIM, "--generator", "b32.bin"), "holds no network 'G_ema', the averaged generator of NVIDIA's"),
        ((*SLIM, "--generator", "people"), "What fits is a file of StyleGAN2 or StyleGAN3"),
        ((*GAN, "--network", "other.pt"), "which fit no FR network known here: insightface (iresnet18, "),
        ((*GAN, "--network", "gan.safetensors"), "What fits are the weights of such a network in a state dict"),
        ((*GAN, *SLIM, "--benchmark", "b16.bin"), "its crops have 16 pixels, but the network reads 32"),
        (("--photographs", "empty"), "1 .txt); check the path. What fits is a folder of images per person"),
        (("--photographs", "nowhere"), "there is no such folder"),
        (("--photographs", "b32.bin"), "this is a file; name a folder with a folder of images per person"),
        ((*GAN, "--network", "gone.pth"), "gone.pth: cannot read the weights: No such file or directory."),
        (("--photographs", "portraits"), "a network cannot be trained on one image per person"),
        (("--photographs", "mixed"), "no crops of one size (32 x 32, 33 x 33, 34 x 34 pixels)"),
        (("--photographs", "people", "--detector", "other.pt"), "not a readable ONNX file of YuNet"),
        (("--photographs", "people", *("--detector", "other.pt") * 2), "--detector is given 2 times"),
        (("--embedded", *SLIM), "needs no files: leave the other sources out"),
    ],
)
def test_what_is_of_no_use_is_a_sentence_with_what_was_found_and_what_would_fit(
    own, refusal, monkeypatch, tmp_path, words, sentence
):
    monkeypatch.chdir(own)
    assert sentence in refusal("init", *words, "-o", tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()


def test_an_onnx_network_without_its_package_is_told_how_to_install_it_and_no_more(own, refusal, monkeypatch, tmp_path):
    monkeypatch.chdir(own)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x0a\x12\x00")
    said = refusal("init", *GAN, "--network", tmp_path / "net.onnx", "-o", tmp_path / "new.yaml")
    assert "run `make onnx` in the clone" in said and "What fits" not in said
