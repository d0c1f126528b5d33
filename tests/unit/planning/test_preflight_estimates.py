"""The estimates of memory and disk: formulas that agree with what was counted, and judgements that follow from them."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml

from brownid.configuration.loading import load_configuration
from brownid.generators.stylegan2.generator import random_stylegan2
from brownid.generators.stylegan2.settings import StyleGAN2Settings
from brownid.generators.stylegan3.settings import StyleGAN3Settings
from brownid.planning import resources, sizes
from brownid.planning.doctor import Machine, examine_machine, examine_packages
from brownid.planning.resources import amount, examine_memory, gpu_memory
from brownid.recognition.backbones import FAMILIES, backbone
from brownid.weights.catalogue import read_catalogue

PROJECT = Path(__file__).parents[3]
TINY = yaml.safe_load((PROJECT / "tests" / "tiny.yaml").read_text())


def kept_bytes(function, module):
    """Bytes that autograd keeps for the backward pass of `function()`, the module's own tensors left out."""
    own = {tensor.untyped_storage()._cdata for tensor in [*module.parameters(), *module.buffers()]}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(storage.nbytes() for storage in kept.values())


@pytest.fixture
def tiny():
    """The tiny configuration with its defaults, to change."""
    return deepcopy(load_configuration(TINY))


@pytest.mark.parametrize(("family", "architecture"), [("insightface", "iresnet18"), ("slim", "slim_iresnet")])
def test_the_numbers_of_an_fr_network_are_those_that_it_has(family, architecture):
    network = backbone(family, architecture).eval().requires_grad_(False)
    image = torch.zeros(1, 3, 112, 112, requires_grad=True)
    kept = kept_bytes(lambda: network(image), network)
    entry = {"family": family, "architecture": architecture, "image_size": 112}
    assert sizes.network_activations(entry) == pytest.approx(kept, rel=0.06)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert sizes.network_parameters(entry) == pytest.approx(count, rel=0.06)


def test_the_layers_of_w_plus_are_those_that_generators_have_and_take_room():
    for resolution in (64, 256):
        shape = StyleGAN2Settings(z_dim=8, w_dim=8, resolution=resolution, channel_base=256, channel_max=4)
        assert sizes.layers({"family": "stylegan2", "random": {"resolution": resolution}}) == shape.layers
    assert sizes.layers({"family": "stylegan3"}) == StyleGAN3Settings(img_resolution=256).num_ws
    assert sizes.layers({"family": "procedural"}) == 1
    paper = load_configuration(yaml.safe_load((PROJECT / "config" / "paper.yaml").read_text()), files=False)
    w, _ = resources.expected(paper, read_catalogue())
    entry = paper["variations"]["sg2_n10k_arc_r14_within_n64_rl12"]
    entry["settings"] = {**entry["settings"], "space": "w_plus"}
    w_plus, _ = resources.expected(paper, read_catalogue())
    assert w_plus["samples"] - w["samples"] == 2 * 10000 * 64 * 14 * 512 * 4


def test_every_architecture_is_estimated():
    known = {name: set(family.architectures) for name, family in FAMILIES.items()}
    for table in (sizes.FOR_BACKWARD_AT_112, sizes.PARAMETERS):
        assert {name: set(architectures) for name, architectures in table.items()} == known


def test_the_formula_of_stylegan2_is_what_autograd_keeps():
    generator = random_stylegan2(
        StyleGAN2Settings(resolution=64, channel_base=2048, channel_max=64, mapping_layers=1), seed=1
    )
    latents = torch.zeros(2, 512, requires_grad=True)
    spec = {"family": "stylegan2", "random": {"resolution": 64, "channel_base": 2048, "channel_max": 64}}
    kept = kept_bytes(lambda: generator.render(latents), generator) / 2
    assert sizes.generator_activations(spec) == pytest.approx(kept, rel=0.25)


def test_the_size_of_a_published_generator_is_read_from_its_file_s_name():
    assert sizes.resolution({"file": "models/stylegan3-t-ffhqu-1024x1024.pkl"}) == 1024
    assert sizes.resolution({"file": "mine.pkl"}) == 256
    assert sizes.resolution({"random": {"resolution": 64}}) == 64
    small = sizes.generator_activations({"family": "stylegan2", "file": "a-256x256.pkl"})
    large = sizes.generator_activations({"family": "stylegan2", "file": "a-1024x1024.pkl"})
    assert 45e6 < small < 75e6 and 4 < large / small < 16
    assert sizes.generator_activations({"factory": "mine:generator"}) is None


def test_disk_grows_with_what_is_made(tiny):
    before, uncounted = resources.expected(tiny, {})
    assert uncounted == []
    # 6 rejected, 6 moved, 6 packed of 6 + 8 faces, 6 × 2 varied twice, in two ways, at 4 (128 + 512) + 20 bytes;
    # 12 guards at 2048, and 6 targets twice; the judge's embeddings of all these, of the guards and 36 genuine images
    judged = 3 * 6 + 2 * 12 + 12 + 36
    assert before["samples"] == (6 + 6 + 6 + 6 + 8 + 2 * 2 * 12) * (4 * 640 + 20) + (12 + 2 * 6 + judged) * 2048
    tiny["variations"]["varied"]["settings"]["variations"] = 4
    after, _ = resources.expected(tiny, {})
    assert after["samples"] - before["samples"] == 12 * (2 * (4 * 640 + 20) + 2048)
    assert after["release"] > before["release"] and after["networks"] == before["networks"]
    tiny["training"]["fr_varied"]["seeds"] = [1, 2, 3]
    more, _ = resources.expected(tiny, {})
    added = more["networks"] - after["networks"]
    assert 0 < added == more["release"] - after["release"]


def test_the_gallery_takes_room_for_each_thumbnail_and_no_more_than_configured(tiny):
    tiny["gallery"] |= {"datasets": ["varied", "moved"], "thumbnail_size": 16, "most_images": 10}
    shown = [sizes.thumbnails(tiny, name) for name in ("moved", "varied")]
    assert shown == [6, 10], "6 references; 12 variations with 6 references are more than 10"
    room, _ = resources.expected(tiny, {})
    assert room["gallery"] == 16 * round(0.15 * 3 * 16**2)
    tiny["gallery"]["datasets"] = []
    assert resources.expected(tiny, {})[0]["gallery"] == 0


def test_a_release_takes_what_its_layouts_take(tiny):
    def released(*layouts):
        tiny["release"]["layouts"] = list(layouts)
        return resources.expected(tiny, {})[0]["release"]

    parts = {layout: released(layout) for layout in ("parquet", "published", "recordio", "webdataset", "lmdb")}
    networks = released()
    assert released(*parts) - networks == sum(size - networks for size in parts.values())
    assert networks < parts["recordio"] == min(parts.values()) and max(parts.values()) == parts["published"]


def test_a_database_that_nobody_counted_is_named(tiny):
    tiny["databases"]["portraits"] |= {"capture": None, "root": "data/faces"}
    findings = resources.examine_disk(tiny, {}, free=1e12)
    assert [finding.level for finding in findings] == ["fine", "note"] and "portraits" in findings[1].what


def test_processes_share_the_batch_and_a_large_head(tiny):
    def need():
        return next(need for need in gpu_memory(tiny, {}) if need.job == "training fr_varied")

    entry, alone = tiny["training"]["fr_varied"], need()
    entry["processes"] = 4
    assert need().batch == -(-alone.batch // 4) and need().fixed == alone.fixed and need().each == alone.each
    entry["shard_head_from"] = 2
    assert need().fixed < alone.fixed and need().each == alone.each
    entry["settings"]["class_sample_rate"] = 0.5
    assert need().each < alone.each


def test_steering_goes_on_with_smaller_batches_and_training_does_not(tiny):
    levels = {f.what.split(":")[0]: f.level for f in examine_memory(tiny, {}, gpu_bytes=10e6)}
    assert levels["references.moved"] == "note" and levels["training fr_varied"] == "fine"
    levels = {f.what.split(":")[0]: f.level for f in examine_memory(tiny, {}, gpu_bytes=2e6)}
    assert set(levels.values()) == {"blocks"}


def test_an_unknown_generator_or_gpu_is_said_to_be_unknown(tiny):
    tiny["generators"]["world"] = {"factory": "mine:generator"}
    findings = list(examine_memory(tiny, {}, gpu_bytes=None))
    assert {finding.level for finding in findings} == {"note"}
    assert "references.moved: not estimated: the memory of its generator or network is unknown" in findings[1].what


def test_missing_packages_are_named_where_they_are_needed(tiny):
    assert [f.level for f in examine_packages(tiny, is_there=lambda module: True)] == ["fine"]
    missing = [f.what for f in examine_packages(tiny, is_there=lambda module: module not in ("onnx", "sklearn"))]
    assert missing == ["the package sklearn is missing, which covariates need"]
    tiny["networks"]["steering"]["family"] = "onnx"
    missing = [f.remedy for f in examine_packages(tiny, is_there=lambda module: module != "onnxruntime")]
    assert missing[0].startswith(f"{sys.executable} -m pip install onnxruntime (")


@pytest.mark.parametrize(
    ("machine", "level", "words"),
    [
        (Machine("H100", 80 * 10**9, "2.13", True, True), "fine", "GPU H100 with 80 GB"),
        (Machine(None, None, "2.13+cpu", False, True), "note", "built for CPUs only"),
        (Machine(None, None, "2.13", True, True), "note", "sees no GPU"),
        (Machine(None, None, "2.13", False, False), "note", "no GPU here"),
    ],
)
def test_what_is_said_about_a_gpu(machine, level, words):
    (finding,) = examine_machine(machine)
    assert finding.level == level and words in finding.what


def test_the_room_that_the_documentation_states_for_the_published_datasets_is_the_estimate():
    for name in ("paper", "hyperface"):
        raw = yaml.safe_load((PROJECT / "config" / f"{name}.yaml").read_text())
        room, _ = resources.expected(load_configuration(raw, files=False), read_catalogue())
        assert f"GPUs and {amount(sum(room.values()))} |" in (PROJECT / "config" / "README.md").read_text()
