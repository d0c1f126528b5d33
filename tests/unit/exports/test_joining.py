"""Datasets are joined to one training set without loss, mix-up or gaps in the class labels."""

import dataclasses
import pickle
from itertools import pairwise

import numpy as np
import pytest

from brownid.exports.joining import JoinedTrainingSet
from brownid.exports.training_set import BLOCK_ROWS, shard_starts
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_encoded_shard

ROWS = [
    ("first/00000", "reference", "first"),
    ("first/00000", "augmentation_0", "varied"),
    ("first/00000", "augmentation_1", "varied"),
    ("first/00001", "reference", "first"),
    ("first/00001", "augmentation_0", "varied"),
    ("first/00001", "augmentation_1", "varied"),
    ("first/00003", "reference", "first"),
    ("first/00003", "augmentation_0", "varied"),
    ("first/00003", "augmentation_1", "varied"),
    ("second/00000", "reference", "second"),
    ("second/00002", "reference", "second"),
]


@pytest.fixture
def joined(part):
    return JoinedTrainingSet("all", [part("varied"), part("first"), part("second")])


def rows_of(training_set, *span):
    return [
        row
        for block in training_set.blocks(*span)
        for row in zip(block.identities, block.samples, block.datasets, strict=True)
    ]


def test_rows_of_an_identity_stand_together_with_the_reference_first(joined):
    assert len(joined) == len(ROWS) and rows_of(joined) == ROWS
    assert rows_of(joined, 2, 7) == ROWS[2:7] and rows_of(joined, 3, 3) == []


def test_references_of_another_name_than_their_namespace_come_first_too(part):
    realigned = dataclasses.replace(part("first"), name="realigned")
    joined = JoinedTrainingSet("joined", [part("varied"), realigned])
    assert [sample for _, sample, _ in rows_of(joined)][:3] == ["reference", "augmentation_0", "augmentation_1"]


def test_a_number_never_means_two_persons_and_labels_have_no_gaps(joined):
    assert list(joined.classes) == ["first/00000", "first/00001", "first/00003", "second/00000", "second/00002"]
    assert joined.classes[-1] == "second/00002" and joined.classes[1:3] == ["first/00001", "first/00003"]
    (block,) = joined.blocks()
    assert block.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4]


def test_images_are_the_bytes_of_the_shards(joined, image_of):
    (block,) = joined.blocks()
    expected = [image_of(dataset, int(name[-5:]), sample) for name, sample, dataset in ROWS]
    assert [bytes(image) for image in block.images] == expected
    assert joined.sizes().tolist() == [len(image) for image in expected]
    assert joined.sizes(4, 6).tolist() == [len(image) for image in expected[4:6]]


def test_latents_and_embeddings_are_those_of_the_samples(joined, tmp_path):
    (block,) = joined.blocks()
    for row, (name, sample, dataset) in enumerate(ROWS):
        collection = SampleCollection.load(tmp_path / f"{dataset}.h5")
        keys = zip(collection.identities.tolist(), collection.labels, strict=True)
        place = list(keys).index((int(name[-5:]), sample))
        np.testing.assert_array_equal(block.latents[row], collection.latents[place])
        np.testing.assert_array_equal(block.embeddings[row], collection.embeddings[place])
    assert (joined.latent_dimension, joined.embedding_dimension, joined.w_plus_shape) == (4, 3, None)


def test_latents_of_w_plus_are_there_for_the_parts_that_have_some(part):
    joined = JoinedTrainingSet("layered", [part("first"), part("varied", layers=2)])
    (block,) = joined.blocks()
    assert joined.w_plus_shape == (2, 4)
    assert [row for row in range(9) if np.isnan(block.w_plus_latents[row]).all()] == [0, 3, 6]


def test_latents_of_different_generators_are_left_out(part):
    joined = JoinedTrainingSet("mixed", [part("first"), part("second", dimension=5)])
    assert joined.latent_dimension is None and joined.embedding_dimension == 3
    assert next(joined.blocks()).latents is None


def test_a_training_set_goes_to_another_process(joined):
    assert rows_of(pickle.loads(pickle.dumps(joined))) == ROWS


def test_a_long_set_comes_in_blocks(tmp_path, part):
    made = part("first")
    count = BLOCK_ROWS + 5
    write_encoded_shard(made.images[0], "first", range(count), ["reference"] * count, [b"x"] * count, image_size=1)
    joined = JoinedTrainingSet("long", [dataclasses.replace(made, images=made.images[:1], samples=None)])
    assert [len(block) for block in joined.blocks()] == [BLOCK_ROWS, 5]
    assert joined.latent_dimension is None


def test_shards_have_nearly_equal_sizes_and_no_row_is_lost(joined):
    for shard_bytes in (1, 1000, 3000, 10**9):
        starts = shard_starts(joined, shard_bytes)
        assert starts[0] == 0 and starts[-1] == len(joined) and starts == sorted(set(starts))
    sizes = joined.sizes()
    starts = shard_starts(joined, 5000)
    shards = [sizes[start:stop].sum() for start, stop in pairwise(starts)]
    assert len(shards) == -(-sizes.sum() // 5000) and max(shards) < 5000 + sizes.max()


def test_parts_that_do_not_fit_are_refused(part, tmp_path):
    first, varied = part("first"), part("varied")
    with pytest.raises(BrownidError, match=r"of 8 pixels \(first\) and of 16 \(second\)"):
        JoinedTrainingSet("sizes", [first, part("second", image_size=16)])
    with pytest.raises(BrownidError, match="needs one or more different datasets"):
        JoinedTrainingSet("twice", [first, first])
    with pytest.raises(BrownidError, match="needs one or more different datasets"):
        JoinedTrainingSet("none", [])
    with pytest.raises(BrownidError, match=r"varied\.h5: the samples are not those of the images"):
        JoinedTrainingSet("wrong", [dataclasses.replace(varied, images=varied.images[::-1])])
    with pytest.raises(BrownidError, match=r"varied\.h5: the samples are not those of the images"):
        JoinedTrainingSet("short", [dataclasses.replace(varied, images=varied.images[:1])])
    write_encoded_shard(tmp_path / "empty.arrow", "first", [], [], [], image_size=8)
    with pytest.raises(BrownidError, match="have 0 images"):
        JoinedTrainingSet("empty", [dataclasses.replace(first, images=(tmp_path / "empty.arrow",), samples=None)])
