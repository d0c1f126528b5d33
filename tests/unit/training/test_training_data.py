"""Classes and batches: addressed by seed and epoch, whatever loads them."""

import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.samples.images import write_image_shard
from brownid.training import data as training_data
from brownid.training import order
from brownid.training.data import EpochBatches, PrefetchedBatches, TrainingImages, batches_an_epoch
from brownid.training.order import ImageOrder

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
def test_batches_depend_neither_on_where_pixels_are_kept_nor_on_workers(shards, data, workers):
    lazy = TrainingImages(shards, SIDE, keep="none")
    assert data.kept is not None and lazy.kept is None
    expected = list(PrefetchedBatches(EpochBatches(data, 24, seed=1, epoch=2), workers=0))
    found = list(PrefetchedBatches(EpochBatches(lazy, 24, seed=1, epoch=2), workers=workers))
    assert len(found) == len(expected) == 7
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.numbers, other.numbers)
    assert expected[0].images.dtype == torch.uint8 and expected[0].images.shape[1:] == (SIDE, SIDE, 3)


def test_pixels_are_kept_on_a_gpu_or_in_memory_where_they_fit(shards, monkeypatch):
    size = CLASSES * IMAGES * SIDE * SIDE * 3
    monkeypatch.setattr(training_data, "WITHOUT_RULE", 9 * size)
    for free, memory, asked, processes, place in [
        *((4 * size, 0, None, 1, "device"), (4 * size - 1, 4 * size, None, 1, "memory"), (0, None, None, 1, "memory")),
        *((0, 4 * size - 1, None, 1, "none"), (0, 12 * size, None, 3, "memory"), (0, 12 * size - 1, None, 3, "none")),
        *((0, 99 * size, 2 * size, 1, "memory"), (0, 99 * size, 2 * size - 1, 1, "none")),
        *((0, None, None, 9, "memory"), (0, 99 * size, None, 10, "none"), (0, 99 * size, 20 * size, 10, "memory")),
    ]:
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda device, free=free: (free, 10 * free))
        monkeypatch.setattr(training_data, "available_memory", lambda memory=memory: memory)
        monkeypatch.setattr(training_data, "granted_memory", lambda asked=asked: asked)
        assert training_data._place(size, torch.device("cuda"), processes) == place
    assert TrainingImages(shards, SIDE).kept_in == "memory" and TrainingImages(shards, SIDE, keep="none").kept is None
    with pytest.raises(BrownidError, match="keep is 'disk', but must be one of auto, memory, device, none"):
        TrainingImages(shards, SIDE, keep="disk")


def test_batches_of_pixels_on_a_device_are_those_of_pixels_in_memory(shards, data):
    there = EpochBatches(TrainingImages(shards, SIDE, keep="device"), 48, seed=1, epoch=0)
    assert there[1].images.dtype == torch.int64
    for number, batch in enumerate(PrefetchedBatches(there, workers=1)):
        assert torch.equal(batch.to("cpu").images, EpochBatches(data, 48, seed=1, epoch=0)[number].images)


def test_a_few_results_are_computed_ahead_and_none_behind_the_last_one_that_is_taken():
    begun = []
    results = training_data._ahead(lambda number: begun.append(number) or -number, range(100), 2)
    assert [next(results), next(results)] == [0, -1]
    results.close()
    assert len(begun) <= 6


def test_decoding_by_several_threads_keeps_the_order(shards, data, monkeypatch):
    monkeypatch.setattr(training_data, "DECODED_AT_ONCE", 7)
    assert torch.equal(TrainingImages(shards, SIDE, keep="memory", workers=3).kept, data.kept)


@pytest.mark.parametrize("threads, cores, gpus, workers", [(1, 16, 2, 8), (1, 8, 4, 2), (1, 1, 1, 1), (12, 4, 1, 11)])
def test_a_gpu_has_its_share_of_the_cores_for_decoding(monkeypatch, threads, cores, gpus, workers):
    monkeypatch.setattr("brownid.jobs.workers.available_processors", lambda: cores)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert training_data.decoders(torch.device("cuda"), threads) == workers
    assert training_data.decoders(torch.device("cpu"), threads) == max(1, threads - 1)


def test_an_order_by_blocks_holds_every_image_once_near_its_block(monkeypatch):
    monkeypatch.setattr(order, "BLOCK", 10)
    monkeypatch.setattr(order, "WINDOW", 3)
    first, again, other = (ImageOrder(95, "blocks", seed=1, epoch=epoch) for epoch in (2, 2, 3))
    assert sorted(first.indices) == list(range(95)) and (first.indices == again.indices).all()
    assert (first.indices != other.indices).any()
    ends = np.cumsum([sum(min(10, 95 - start) for start in window) for window in first.windows])
    assert [len(window) for window in first.windows] == [3, 3, 3, 1]
    for window, part in zip(first.windows, np.split(first.indices, ends[:-1]), strict=True):
        assert sorted({10 * (index // 10) for index in part}) == sorted(window)
        assert (np.diff(part) != 1).any()
    begins = [0, *ends[:-1]]
    assert [list(w) for w in first.windows_between(0, 95)] == [list(w) for w in first.windows]
    assert [list(w) for w in first.windows_between(begins[1], begins[2])] == [list(first.windows[1])]


def test_windows_are_read_from_the_files_before_their_batches(shards, monkeypatch):
    monkeypatch.setattr(order, "BLOCK", 10)
    monkeypatch.setattr(training_data, "BLOCK", 10)
    monkeypatch.setattr(order, "WINDOW", 3)
    lazy, read = TrainingImages(shards, SIDE, keep="none"), []
    ahead = lazy.shards.read_ahead
    lazy.shards.read_ahead = lambda start, stop: read.append((start, stop)) or ahead(start, stop)
    options = {"seed": 1, "epoch": 0, "shuffle": "blocks"}
    batches = list(PrefetchedBatches(EpochBatches(lazy, 16, **options), workers=2))
    assert sorted(read) == [(start, start + 10) for start in range(0, 160, 10)]
    kept = EpochBatches(TrainingImages(shards, SIDE), 16, **options)
    assert all(torch.equal(batch.images, kept[number].images) for number, batch in enumerate(batches))


def test_images_of_another_side_are_refused(shards):
    with pytest.raises(BrownidError, match=r"references\.arrow: .* side 32, the network reads 56"):
        TrainingImages(shards, 56)


def test_one_identity_is_not_enough(tmp_path):
    write_image_shard(tmp_path / "one.arrow", "x", [5, 5], ["a", "b"], np.zeros((2, SIDE, SIDE, 3), np.uint8))
    with pytest.raises(BrownidError, match="two identities"):
        TrainingImages([tmp_path / "one.arrow"], SIDE)
    with pytest.raises(BrownidError, match="at least one file"):
        TrainingImages([], SIDE)
