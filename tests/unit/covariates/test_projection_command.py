"""`brownid project` with what only a StyleGAN2 has: W+, noise maps, whole pictures; and the video."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_stylegan2 import DIM, SIDE
from typer.testing import CliRunner

from brownid.cli import app
from brownid.recognition.backbones import backbone
from brownid.recognition.loading import save_backbone
from brownid.samples.collection import SampleCollection


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The command for two images of noise, with a slim network and one iteration."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "images").mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    torch.manual_seed(1)
    save_backbone(folder / "slim.safetensors", backbone("slim", "slim_iresnet", 32, 16))
    factory = ["--generator", "tiny_stylegan2:make_tiny_stylegan2"]
    factory += ["--set", "network.template=two_eye", "--set", "iterations=1"]
    return ["project", str(folder / "images"), "-w", str(folder / "slim.safetensors"), *factory]


def test_everything_of_a_full_size_projection_is_an_option(words, tmp_path):
    out, video = tmp_path / "latents.h5", tmp_path / "search.gif"
    chosen = ("frame=generator", "space=w_plus", "noise_maps=true")
    more = [*(word for each in chosen for word in ("--set", each)), "-o", str(out), "--video", str(video)]
    result = CliRunner().invoke(
        app, [*words, *more, "--picture", str(tmp_path / "picture.png")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    found = SampleCollection.load(out)
    assert found.latents.shape == (2, DIM) and found.extra["w_plus_latent"].shape == (2, 6, DIM)
    assert found.settings["projection"]["space"] == "w_plus" and found.settings["projection"]["frame"] == "generator"
    with Image.open(video) as image:
        assert image.size == (2 * SIDE, 2 * SIDE)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--video", "search.avi"], "search.avi: a video is written as .mp4"),
        (["-o", "a.h5", "--vgg16-linear", "lin.pth"], "--vgg16-linear means nothing without --vgg16"),
        (["-o", "a.h5", "--set", "space=z"], "space is 'z', but must be one of w, w_plus"),
        (["-o", "a.h5", "--set", "frame=face"], "frame is 'face'"),
    ],
)
def test_bad_requests_are_refused_before_the_descent(words, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [*words, *options])
    assert result.exit_code == 1 and sentence in result.stderr and "Traceback" not in result.output
    assert not list(tmp_path.iterdir())
