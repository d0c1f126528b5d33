"""Classes and batches: addressed by seed and epoch, whatever loads them."""

import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.samples.images import write_image_shard
from brownid.training.data import EpochBatches, PrefetchedBatches, TrainingImages, batches_an_epoch

SIDE, CLASSES, IMAGES = 32, 10, 16


@pytest.fixture
def data(shards) -> TrainingImages:
    return TrainingImages(shards, SIDE)


def test_shards_of_the_same_namespace_share_their_classes(data):
    assert (len(data), data.classes) == (CLASSES * IMAGES, CLASSES)
    assert data.labels.bincount().tolist() == [IMAGES] * CLASSES
    assert data.labels[:CLASSES].tolist() == list(range(CLASSES))  # the references


def test_shards_of_another_namespace_have_classes_of_their_own(tmp_path, shards):
    images = np.zeros((3, SIDE, SIDE, 3), np.uint8)
    write_image_shard(tmp_path / "other.arrow", "strangers", [0, 1, 0], ["a", "b", "c"], images)
    data = TrainingImages([*shards, tmp_path / "other.arrow"], SIDE)
    assert data.classes == CLASSES + 2
    assert data.labels[-3:].tolist() == [CLASSES, CLASSES + 1, CLASSES]


def test_the_class_numbers_do_not_depend_on_the_order_of_the_files(shards):
    there, back = TrainingImages(shards, SIDE), TrainingImages(shards[::-1], SIDE)
    assert torch.equal(there.labels[:CLASSES], back.labels[-CLASSES:])


def test_an_epoch_holds_every_image_once_in_batches_of_nearly_equal_size(data):
    batches = EpochBatches(data, 48, seed=1, epoch=0)
    assert [len(part) for part in batches.parts] == [40, 40, 40, 40]
    assert sorted(np.concatenate(batches.parts)) == list(range(len(data)))


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [(5, 2, [3, 2]), (3, 2, [3]), (4, 2, [2, 2]), (2, 2, [2]), (7, 3, [3, 2, 2]), (4, 3, [2, 2]), (5, 64, [5])],
)
def test_no_batch_has_a_single_image_and_none_is_dropped(tmp_path, images, batch_size, sizes):
    pixels = np.zeros((images, SIDE, SIDE, 3), np.uint8)
    write_image_shard(tmp_path / "few.arrow", "x", range(images), [str(n) for n in range(images)], pixels)
    batches = EpochBatches(TrainingImages([tmp_path / "few.arrow"], SIDE), batch_size, seed=1, epoch=0)
    assert [len(part) for part in batches.parts] == sizes and len(batches) == batches_an_epoch(images, batch_size)
    assert sorted(np.concatenate(batches.parts)) == list(range(images))


def test_the_order_belongs_to_seed_and_epoch(data):
    def order(seed, epoch):
        return np.concatenate(EpochBatches(data, 48, seed=seed, epoch=epoch).parts).tolist()

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4) and order(1, 3) != order(2, 3)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_do_not_depend_on_the_cache_or_on_workers(shards, data, workers):
    lazy = TrainingImages(shards, SIDE, cache_bytes=0)
    assert data.cached is not None and lazy.cached is None
    expected = list(PrefetchedBatches(EpochBatches(data, 24, seed=1, epoch=2), workers=0))
    found = list(PrefetchedBatches(EpochBatches(lazy, 24, seed=1, epoch=2), workers=workers))
    assert len(found) == len(expected) == 7
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.numbers, other.numbers)
    assert expected[0].images.dtype == torch.uint8 and expected[0].images.shape[1:] == (SIDE, SIDE, 3)


def test_images_of_another_side_are_refused(shards):
    with pytest.raises(BrownidError, match=r"references\.arrow: .* side 32, the network reads 56"):
        TrainingImages(shards, 56)


def test_one_identity_is_not_enough(tmp_path):
    write_image_shard(tmp_path / "one.arrow", "x", [5, 5], ["a", "b"], np.zeros((2, SIDE, SIDE, 3), np.uint8))
    with pytest.raises(BrownidError, match="two identities"):
        TrainingImages([tmp_path / "one.arrow"], SIDE)
    with pytest.raises(BrownidError, match="at least one file"):
        TrainingImages([], SIDE)
