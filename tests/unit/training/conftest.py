"""A tiny dataset: noisy pictures of ten templates, in shards of two files."""

from pathlib import Path

import numpy as np
import pytest

from brownid.samples.images import write_image_shard
from brownid.training.data import TrainingImages

SIDE = 32
CLASSES = 10
IMAGES = 16  # of each class


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> list[Path]:
    """Two files of one namespace: the first image of each identity, and the others."""
    random = np.random.default_rng(0)
    templates = random.integers(40, 216, (CLASSES, 4, 4, 3)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
    identities = np.arange(CLASSES).repeat(IMAGES)
    images = (templates[identities] + random.normal(0, 25, (len(identities), SIDE, SIDE, 3))).clip(0, 255)
    labels = np.tile([f"image_{i}" for i in range(IMAGES)], CLASSES)
    folder = tmp_path_factory.mktemp("shards")
    paths = []
    for name, chosen in (("references", labels == "image_0"), ("variations", labels != "image_0")):
        paths.append(folder / f"{name}.arrow")
        write_image_shard(
            paths[-1], "people", identities[chosen], list(labels[chosen]), images[chosen].astype(np.uint8)
        )
    return paths


@pytest.fixture(scope="session")
def compiler():
    """What DistributedDataParallel imports, once before the processes are forked."""
    import torch._dynamo  # noqa: F401


@pytest.fixture(scope="session")
def few(shards) -> TrainingImages:
    """One image of each class."""
    return TrainingImages(shards[:1], SIDE)
