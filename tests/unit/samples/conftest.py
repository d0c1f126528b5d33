"""Small collections that the tests of this room share."""

import numpy as np
import pytest

from brownid.samples.collection import SampleCollection


@pytest.fixture
def make_collection():
    """A function making a collection of 3 identities with 2 labels each, in canonical order."""

    def make(**changes) -> SampleCollection:
        numbers = np.random.default_rng(5)
        embeddings = numbers.standard_normal((6, 4)).astype(np.float32)
        fields = {
            "latents": numbers.standard_normal((6, 8)).astype(np.float32),
            "embeddings": embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
            "identities": np.array([0, 0, 1, 1, 7, 7]),
            "labels": ["reference", "augmentation_0"] * 3,
            "generator": "procedural",
            "recognition": "slim",
        }
        return SampleCollection(**(fields | changes))

    return make


@pytest.fixture
def collection(make_collection) -> SampleCollection:
    return make_collection()


@pytest.fixture
def assert_same():
    """A function asserting that two collections hold the same rows in the same order."""

    def check(first: SampleCollection, second: SampleCollection) -> None:
        assert first.columns().keys() == second.columns().keys()
        for name, values in first.columns().items():
            assert values.dtype == second.columns()[name].dtype
            np.testing.assert_array_equal(values, second.columns()[name])
        np.testing.assert_array_equal(first.identities, second.identities)
        assert first.labels == second.labels
        assert (first.generator, first.recognition) == (second.generator, second.recognition)

    return check
