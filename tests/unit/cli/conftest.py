"""Tiny data for the command line: a world at side 32, a slim network with random weights, two collections."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from brownid.cli import app
from brownid.covariates.directions import CONTRASTS, Covariate, save_covariates
from brownid.covariates.within_class import fit_within_class, save_within_class
from brownid.recognition.backbones import backbone
from brownid.recognition.loading import save_backbone
from brownid.samples.collection import SampleCollection

LATENT_DIM = 128
WORLD = ["--set", "generator.image_size=32", "--set", f"generator.latent_dim={LATENT_DIM}"]

Run = Callable[..., Result]


def _invoke(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def run() -> Run:
    """Run a command that must succeed."""

    def invoke(*words: object) -> Result:
        result = _invoke(*words)
        assert result.exit_code == 0, result.output
        return result

    return invoke


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Run a command that must end with one sentence on stderr, and return that sentence."""

    def invoke(*words: object) -> str:
        result = _invoke(*words)
        assert result.exit_code == 1
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("brownid: ") and "Traceback" not in result.output
        return last

    return invoke


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A slim network for crops of 32 pixels, with random weights."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("network") / "slim.safetensors"
    save_backbone(path, backbone("slim", "slim_iresnet", 32, 16))
    return path


@pytest.fixture(scope="session")
def faces(tmp_path_factory) -> Path:
    """A folder with `samples.h5` (three random latents that say which generator they are of) and `images/`."""
    folder = tmp_path_factory.mktemp("faces")
    words = ["generate", "--count", 3, *WORLD, "-o", folder / "images", "--save-samples", folder / "samples.h5"]
    assert _invoke(*words).exit_code == 0
    return folder


@pytest.fixture(scope="session")
def covariates(tmp_path_factory) -> Path:
    """Seven covariates in random directions."""
    path = tmp_path_factory.mktemp("covariates") / "covariates.h5"
    normals = np.linalg.qr(np.random.default_rng(1).normal(size=(LATENT_DIM, len(CONTRASTS))))[0].T
    fitted = {
        name: Covariate(
            normal, offset=0.5, negative_mean=-1.0, positive_mean=1.0, accuracy=1.0, negative_count=9, positive_count=9
        )
        for name, normal in zip(CONTRASTS, normals, strict=True)
    }
    save_covariates(path, fitted, generator="procedural")
    return path


@pytest.fixture(scope="session")
def within_class(tmp_path_factory) -> Path:
    """The within-class covariance of random latents."""
    path = tmp_path_factory.mktemp("within_class") / "within_class.h5"
    latents = np.random.default_rng(2).normal(size=(8, LATENT_DIM))
    save_within_class(path, {"w": fit_within_class(latents, [0, 0, 0, 0, 1, 1, 1, 1])}, generator="procedural")
    return path


@pytest.fixture(scope="session")
def embedded(tmp_path_factory) -> Path:
    """A collection of four samples of two identities, with embeddings."""
    path = tmp_path_factory.mktemp("embedded") / "embedded.h5"
    rows = np.random.default_rng(2).normal(size=(4, 8))
    SampleCollection(
        latents=rows,
        embeddings=rows / np.linalg.norm(rows, axis=1, keepdims=True),
        identities=[0, 0, 1, 1],
        labels=["reference", "smile"] * 2,
        generator="world",
        recognition="slim",
    ).save(path)
    return path
