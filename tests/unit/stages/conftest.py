"""Tiny data for the job functions: a world at side 32, a slim network with random weights, references, covariates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from packed_jobs import invert, pack
from tiny_world import FACE_MODEL, IDENTITIES, LATENT_DIM, SIDE

from brownid.covariates.directions import CONTRASTS, Covariate, save_covariates
from brownid.covariates.within_class import fit_within_class, save_within_class
from brownid.recognition.backbones import backbone
from brownid.recognition.loading import save_backbone
from brownid.samples import png
from brownid.samples.collection import SampleCollection
from brownid.verification.bins import write_bin
from embed_faces import embed_faces
from sample_references import sample_references


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A slim network for crops of 32 pixels, with random weights."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("network") / "slim.safetensors"
    save_backbone(path, backbone("slim", "slim_iresnet", SIDE, 16))
    return path


@pytest.fixture(scope="session")
def sample(weights):
    """A function that runs `sample_references` in a folder and loads what it wrote."""

    def run(
        folder: Path,
        algorithm: str,
        settings: dict,
        start: Path | None = None,
        guarded: Path | None = None,
        within_class: Path | None = None,
        projection: dict | None = None,
        **more,
    ):
        entry = {"algorithm": algorithm, "identities": IDENTITIES, "settings": settings}
        entry |= {"nuisance_projection": projection} if projection else {}
        sample_references(
            {**FACE_MODEL, "references": entry | ({} if start else {"truncation": 0.7})},
            weights=weights,
            start=start,
            guarded=guarded,
            within_class=within_class,
            samples=folder / "samples.h5",
            statistics=folder / "stats.h5",
            command=folder / "command.yml",
            batch_size=4,
            **more,
        )
        return SampleCollection.load(folder / "samples.h5")

    return run


@pytest.fixture(scope="session")
def references(tmp_path_factory, sample) -> Path:
    """The collection of five random references."""
    folder = tmp_path_factory.mktemp("references")
    sample(folder, "random", {"ict": 1.4})
    return folder / "samples.h5"


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
    save_covariates(path, fitted, generator="world")
    return path


@pytest.fixture(scope="session")
def within_class(tmp_path_factory) -> Path:
    """A within-class covariance of rank eight."""
    path = tmp_path_factory.mktemp("within_class") / "within_class.h5"
    latents = np.random.default_rng(2).normal(size=(12, LATENT_DIM))
    save_within_class(path, {"w": fit_within_class(latents, np.repeat(range(4), 3))}, generator="world")
    return path


@pytest.fixture(scope="session")
def benchmark_file(tmp_path_factory) -> Path:
    """Twenty pairs of noise, half of them the same image twice."""
    images = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), np.uint8)
    images[0::4] = images[1::4]
    path = tmp_path_factory.mktemp("benchmark") / "lfw.bin"
    write_bin(path, [png.encode(image) for image in images], [pair % 2 == 0 for pair in range(20)])
    return path


@pytest.fixture(scope="session")
def faces(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("faces") / "faces.h5"
    settings = FACE_MODEL | {"faces": {"start": IDENTITIES, "gallery": 8}, "truncation": 0.7}
    embed_faces(settings, weights=weights, samples=path, batch_size=4)
    return path


@pytest.fixture(scope="session")
def targets(tmp_path_factory, faces):
    return pack(tmp_path_factory.mktemp("targets"), faces)


@pytest.fixture(scope="session")
def packed(tmp_path_factory, targets, faces, weights):
    folder = tmp_path_factory.mktemp("packed")
    invert(folder, targets, faces, weights)
    return folder / "samples.h5"
