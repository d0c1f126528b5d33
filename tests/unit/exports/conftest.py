"""Training sets: one in memory; and two namespaces with references and variations, in shards, to be joined."""

import numpy as np
import pytest
from list_training_set import tiny_set

from brownid.exports.joining import Part
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_encoded_shard

# dataset -> namespace, identities of its shards, labels
DATASETS = {
    "first": ("first", [[0, 1], [3]], ["reference"]),
    "varied": ("first", [[0], [1, 3]], ["augmentation_0", "augmentation_1"]),
    "second": ("second", [[0, 2]], ["reference"]),
}


@pytest.fixture(scope="session")
def training_set():
    """Five identities of three images each."""
    return tiny_set()


@pytest.fixture
def image_of():
    """What stands for the encoded image of a dataset, identity and label: nothing here decodes one."""
    return lambda dataset, identity, label: f"{dataset} {identity} {label} ".encode() * 60


@pytest.fixture
def part(tmp_path, image_of):
    """A function that writes a dataset and returns it as a part of a training set."""

    def make(name, image_size=8, dimension=4, layers=None):
        namespace, shards, labels = DATASETS[name]
        files, numbers = [], np.random.default_rng(len(name))
        for number, identities in enumerate(shards):
            files.append(tmp_path / f"{name}.{number}.arrow")
            rows = [(identity, label) for identity in identities for label in labels]
            write_encoded_shard(
                files[-1],
                namespace,
                [identity for identity, _ in rows],
                [label for _, label in rows],
                [image_of(name, *row) for row in rows],
                image_size=image_size,
            )
        identities = np.repeat(np.concatenate(shards), len(labels))
        count = len(identities)
        SampleCollection(
            latents=numbers.normal(size=(count, dimension)).astype(np.float32),
            embeddings=numbers.normal(size=(count, 3)).astype(np.float32),
            identities=identities,
            labels=labels * (count // len(labels)),
            generator="world",
            recognition="slim",
            extra={"w_plus_latent": numbers.normal(size=(count, layers, dimension))} if layers else None,
        ).save(tmp_path / f"{name}.h5")
        return Part(name, tuple(files), tmp_path / f"{name}.h5")

    return make
