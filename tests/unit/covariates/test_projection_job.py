"""The projection job with a StyleGAN2: what it writes in W+ by VGG16, and how it goes on after interruptions."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_stylegan2 import DIM, SIDE
from vgg16_weights import convolutions, named

from brownid.covariates.features import TORCHVISION
from brownid.databases.index import DatabaseIndex, Sample
from brownid.generators.stylegan2.generator import StyleGAN2
from brownid.recognition.backbones import backbone
from brownid.recognition.loading import save_backbone
from brownid.samples.collection import SampleCollection
from project_database import project_database

NETWORK = {
    "family": "slim",
    "architecture": "slim_iresnet",
    "image_size": 32,
    "template": "two_eye",
    "precision": "float32",
}
PLAIN = {"iterations": 3, "pyramid_weight": 1.0, "embedding_weight": 0.1, "maximum_loss": None}
FULL = {"iterations": 3, "frame": "generator", "features": "vgg16", "noise_maps": True, "space": "w_plus"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five images of two persons with their index, and weights of a slim network and of VGG16."""
    folder = tmp_path_factory.mktemp("projection")
    levels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    samples = [Sample(f"k{i}", f"{i}.png", i // 3, {"subject": i // 3}) for i in range(5)]
    for sample, pixels in zip(samples, levels, strict=True):
        Image.fromarray(pixels).save(folder / sample.path)
    groups = {"train": [sample.key for sample in samples]}
    DatabaseIndex.create(folder / "index", samples, {name: groups for name in ("P_center_lit", "U", "E_lit")})
    torch.manual_seed(1)
    save_backbone(folder / "slim.safetensors", backbone("slim", "slim_iresnet", 32, 16))
    torch.save(named(convolutions(), TORCHVISION), folder / "vgg16.pth")
    return folder


def run(files, out, projection=PLAIN, **more):
    settings = {
        "seed": 3,
        "generator": {"factory": "tiny_stylegan2:make_tiny_stylegan2"},
        "generator_name": "tiny",
        "network": NETWORK,
        "network_name": "slim",
        "projection": projection,
        "root": str(files),
        "maximum_failed_share": 0.0,
    }
    outputs = {"samples": out / "samples.h5", "failures": out / "failures.csv"}
    shard = {"index": files / "index", "weights": files / "slim.safetensors", "shard": 1, "shards": 1}
    project_database(settings, **shard, **outputs, **{"warm_start": None, "batch_size": 2} | more)
    return SampleCollection.load(out / "samples.h5")


def test_in_w_plus_the_column_holds_what_was_found_and_latents_its_mean(files, tmp_path):
    found = run(files, tmp_path, FULL, vgg16=files / "vgg16.pth")
    assert found.latents.shape == (5, DIM) and found.labels == [f"k{i}" for i in range(5)]
    assert found.extra["w_plus_latent"].shape == (5, 6, DIM)
    np.testing.assert_allclose(found.extra["w_plus_latent"].mean(axis=1), found.latents, atol=1e-6)
    assert np.ptp(found.extra["w_plus_latent"], axis=1).max() > 0


def test_an_interrupted_job_goes_on_to_the_same_bits_and_clears_its_state(files, tmp_path, monkeypatch):
    calm = run(files, tmp_path / "calm")
    state = {"state": tmp_path / "state", "code": "a", "saving": {"iterations": 1}}
    whole, calls = StyleGAN2.render, []

    def breaking(self, latents, *arguments, **keywords):
        calls.append(len(latents))
        if len(calls) == 7:
            raise KeyError("the model broke")
        return whole(self, latents, *arguments, **keywords)

    with monkeypatch.context() as broken, pytest.raises(KeyError):
        broken.setattr(StyleGAN2, "render", breaking)
        run(files, tmp_path / "out", **state)
    assert not (tmp_path / "out" / "samples.h5").exists() and len(list((tmp_path / "state").iterdir())) == 1
    found = run(files, tmp_path / "out", **state)
    assert np.array_equal(found.latents, calm.latents)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("change", ["settings", "images"])
def test_a_state_of_another_job_is_not_used(files, tmp_path, monkeypatch, caplog, change):
    caplog.set_level("INFO", logger="brownid")
    state = {"state": tmp_path / "state", "code": "a", "saving": {"iterations": 1}}
    with monkeypatch.context() as broken, pytest.raises(KeyError):
        broken.setattr("project_database.write_failures", lambda *_: {}["the disk broke"])
        run(files, tmp_path / "out", **state)
    (left,) = (tmp_path / "state").iterdir()
    if change == "images":
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in files.iterdir():
            (copy / path.name).symlink_to(path)
        (copy / "0.png").unlink()
        Image.new("RGB", (SIDE, SIDE)).save(copy / "0.png")
        files = copy
    projection = PLAIN | {"learning_rate": 0.2} if change == "settings" else PLAIN
    run(files, tmp_path / "out", projection, **state)
    assert f"not going on from {left}" in caplog.text
