"""Every network is scored on the crops that it reads, and a benchmark that cannot be so is refused before any work."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from brownid.configuration import paths, stages
from brownid.configuration.crops import crop_read
from brownid.configuration.loading import load_configuration
from brownid.runtime.errors import BrownidError

DEFAULT = yaml.safe_load((Path(__file__).parents[3] / "config" / "config.yaml").read_text())


@pytest.fixture
def mixed(tmp_path):
    """The default configuration, two_eye at 56 pixels, with a network for arcface crops of 112 and own benchmarks."""
    for name in ("lfw.bin", "pairs.txt", "sface.onnx", "yunet.onnx"):
        (tmp_path / name).touch()
    config = deepcopy(DEFAULT)
    config["networks"]["sface"] = {"family": "onnx", "weights": str(tmp_path / "sface.onnx")}
    config["scoring"]["networks"] = ["sface", "steering"]
    config["detectors"] = {"finder": {"family": "yunet", "file": str(tmp_path / "yunet.onnx")}}
    config["realigned"] = {"moved": {"images": "world_webface", "template": "arcface", "image_size": 56}}
    config["training"]["fr_moved"] = {**config["training"]["fr_genuine"], "datasets": ["moved"]}
    folder = {"folder": str(tmp_path), "pairs": str(tmp_path / "pairs.txt")}
    config["benchmarks"] |= {
        "photos": {**folder, "alignment": {"detector": "finder"}},
        "crops": folder,
        "bin": {"file": str(tmp_path / "lfw.bin"), "alignment": {"template": "arcface"}},
    }
    return config


def test_each_network_reads_crops_of_its_own(mixed):
    config = load_configuration(mixed)
    crops = {name: crop_read(config, name) for name in ("sface", "steering", "fr_genuine", "fr_moved")}
    assert crops == {
        "sface": ("arcface", 112),
        "steering": ("two_eye", 56),
        "fr_genuine": ("two_eye", 56),
        "fr_moved": ("arcface", 56),
    }
    config["training"]["fr_moved"]["datasets"] = ["moved", "world_webface"]
    assert crop_read(config, "fr_moved") == ("two_eye", 56)


def test_a_network_is_scored_on_the_crops_that_it_reads(mixed):
    config = load_configuration(mixed)
    for model, crop, image_size in [("sface", "arcface_112", 112), ("fr_genuine", "two_eye_56", 56)]:
        names = paths.benchmarks_of(config, "evaluation")
        files = dict(zip(names, paths.benchmark_files(config, "evaluation", model), strict=True))
        assert files["lfw"] == f"results/benchmarks/lfw.{image_size}.bin"
        for name in ("photos", "crops", "bin"):
            assert files[name] == f"results/benchmarks/{name}.{crop}.bin"
        assert paths.benchmark_failures(config, "evaluation", model) == [
            f"results/benchmarks/{name}.{crop}.failures.csv" for name in ("bin", "crops", "photos")
        ]


def test_images_come_to_the_template_of_the_network_and_the_world_is_photographed_at_its_side(mixed):
    config = load_configuration(mixed)
    photos, crops, moved = (
        stages.prepare_benchmark(config, name, "arcface", "112") for name in ("photos", "crops", "bin")
    )
    assert {entry["image_size"] for entry in (photos, crops, moved)} == {112}
    assert (photos["alignment"]["template"], photos["alignment"]["to"]) == (None, "arcface")
    assert (crops["alignment"]["template"], crops["alignment"]["to"]) == ("two_eye", "arcface")
    assert (moved["alignment"]["template"], moved["alignment"]["to"]) == ("arcface", "arcface")
    assert stages.prepare_benchmark(config, "crops", "two_eye", "56")["alignment"] is None
    captured = stages.capture_benchmark(config, "lfw", "112")["generator"]
    assert captured == {"family": "procedural", "latent_dim": 512, "image_size": 112, "world_seed": 1}


@pytest.mark.parametrize("entry", [{"file": "lfw.bin"}, {"folder": "", "format": "adaface"}])
def test_crops_of_no_known_template_are_refused_where_networks_read_several_kinds(mixed, tmp_path, entry):
    key, name = next(iter(entry.items()))
    mixed["benchmarks"]["bin"] = {**entry, key: str(tmp_path / name)}
    sentence = (
        r"benchmarks\.bin does not say on which template .* networks\.steering reads two_eye crops of 56 pixels "
        r"and networks\.sface arcface crops of 112: set benchmarks\.bin\.alignment\.template"
    )
    with pytest.raises(BrownidError, match=sentence):
        load_configuration(mixed)
    mixed["scoring"]["networks"] = ["steering"]
    with pytest.raises(BrownidError, match=r"training\.fr_moved arcface crops of 56"):
        load_configuration(mixed)
    mixed["training"].pop("fr_moved")
    config = load_configuration(mixed)
    if "file" in entry:
        assert paths.benchmark_file(config, "bin", "fr_genuine") == str(tmp_path / "lfw.bin")
        assert "bin" not in paths.prepared_benchmarks(config)
    else:
        assert stages.prepare_benchmark(config, "bin", "two_eye", "56")["alignment"] is None
