"""Embedding a dataset: what fails is listed, and an interrupted job goes on where it stopped."""

import csv
import threading

import numpy as np
import pytest
from tiny_world import NETWORK, SIDE

import embed_dataset as job
from brownid.recognition.embedding import embed_images
from brownid.recognition.loading import load_network
from brownid.runtime.errors import BrownidError
from brownid.samples import png
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_encoded_shard

COUNT = 11
STEERING = {"precision": "float32", "mirror": False}
SETTINGS = {"dataset": "people", "name": "slim", "network": NETWORK | STEERING, "maximum_failed_share": 0.2}
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
LABELS = [f"k{row}" for row in range(COUNT)]


@pytest.fixture
def shards(tmp_path):
    """Eleven images in two shards; number 5 is damaged."""
    encoded = [png.encode(image) for image in PIXELS]
    encoded[5] = encoded[5][:60]
    paths = [tmp_path / "1-of-2.arrow", tmp_path / "2-of-2.arrow"]
    for path, rows in zip(paths, (slice(0, 6), slice(6, COUNT)), strict=True):
        numbers = list(range(COUNT))[rows]
        write_encoded_shard(path, "people", [n // 2 for n in numbers], LABELS[rows], encoded[rows], image_size=SIDE)
    return paths


@pytest.fixture
def embed(tmp_path, weights, shards, monkeypatch):
    """A function that runs the job in blocks of three images and returns the collection and the list of failures."""
    monkeypatch.setattr(job, "BLOCK", 3)

    def run(name="a", threads=1, **changes):
        outputs = {"samples": tmp_path / f"{name}.h5", "failures": tmp_path / f"{name}.csv"}
        state = {"state": tmp_path / "state", "code": "c", "saving": {"iterations": 1}}
        job.embed_dataset({**SETTINGS, **changes}, images=shards, weights=weights, threads=threads, **outputs, **state)
        return SampleCollection.load(outputs["samples"]), list(csv.reader(outputs["failures"].open()))[1:]

    return run


def test_all_readable_images_are_embedded_and_the_others_listed(embed, weights, tmp_path):
    collection, failures = embed()
    good = [row for row in range(COUNT) if row != 5]
    expected = embed_images(load_network(NETWORK, weights), PIXELS[good])
    np.testing.assert_allclose(collection.embeddings, expected, atol=1e-6)
    assert collection.labels == [LABELS[row] for row in good]
    assert collection.identities.tolist() == [row // 2 for row in good]
    assert [image for image, _ in failures] == ["00002/k5"] and "is not readable" in failures[0][1]
    assert not (tmp_path / "state").exists()


def test_the_number_of_threads_changes_no_byte(embed, monkeypatch, tmp_path):
    embed("one")
    monkeypatch.setattr(job, "DECODED_AT_ONCE", 2)
    embed("three", threads=3)
    for suffix in ("h5", "csv"):
        assert (tmp_path / f"three.{suffix}").read_bytes() == (tmp_path / f"one.{suffix}").read_bytes()


def test_a_block_is_decoded_while_the_one_before_it_is_embedded(embed, monkeypatch):
    decode, done, asked = png.decode, threading.Semaphore(0), []

    def counted(data, image_size):
        try:
            return decode(data, image_size)
        finally:
            done.release()

    def patient(network, pixels, **options):
        asked.append(len(pixels))
        for _ in range(6 if len(asked) == 1 else 0):  # those of this block and of the next one
            assert done.acquire(timeout=60)
        return embed_images(network, pixels, **options)

    monkeypatch.setattr(png, "decode", counted)
    monkeypatch.setattr(job, "embed_images", patient)
    assert len(embed()[0]) == COUNT - 1 and asked == [3, 2, 3, 2]


def test_mirror_fusion_is_a_setting(embed, weights):
    collection, _ = embed(network=NETWORK | STEERING | {"mirror": True})
    expected = embed_images(load_network(NETWORK, weights), PIXELS[:3], mirror=True)
    np.testing.assert_allclose(collection.embeddings[:3], expected, atol=1e-6)


def test_more_failures_than_the_share_stop_the_job_and_leave_no_output(embed, tmp_path):
    with pytest.raises(BrownidError, match=r"1 of 11 images of people failed.*the first is 00002/k5"):
        embed(maximum_failed_share=0.05)
    assert not (tmp_path / "a.h5").exists() and not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize("blocks_before", [0, 1, 3])
def test_an_interrupted_job_goes_on_to_the_same_file(embed, monkeypatch, blocks_before, tmp_path):
    embed("calm")
    calls = []

    def interrupted(network, pixels, **options):
        if len(calls) == blocks_before:
            raise KeyboardInterrupt
        calls.append(len(pixels))
        return embed_images(network, pixels, **options)

    monkeypatch.setattr(job, "embed_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed("killed")
    calls.append(-1)  # from here on it is not interrupted any more
    embed("killed")
    assert calls[blocks_before + 1 :] == [3, 2, 3, 2][blocks_before:]
    for suffix in ("h5", "csv"):
        assert (tmp_path / f"killed.{suffix}").read_bytes() == (tmp_path / f"calm.{suffix}").read_bytes()


def test_a_state_of_other_inputs_is_not_gone_on_from(embed, monkeypatch, shards):
    def interrupted(network, pixels, **options):
        if len(pixels) == 2:  # the second block, where an image is damaged
            raise KeyboardInterrupt
        return embed_images(network, pixels, **options)

    with monkeypatch.context() as patch:
        patch.setattr(job, "embed_images", interrupted)
        with pytest.raises(KeyboardInterrupt):
            embed()
    images = [png.encode(image) for image in PIXELS[::-1]]
    write_encoded_shard(shards[0], "people", [0] * 6, LABELS[:6], images[:6], image_size=SIDE)
    collection, failures = embed()
    assert len(collection) == COUNT and not failures
