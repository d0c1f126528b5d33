"""Scores of benchmark files, with a network that looks at one pixel."""

import json

import numpy as np
import pytest
import torch

from brownid.databases.reading import resize
from brownid.recognition.backbones import backbone
from brownid.recognition.embedding import embed_images
from brownid.runtime.errors import BrownidError
from brownid.samples import png
from brownid.verification import score
from brownid.verification.bins import write_bin
from brownid.verification.persons import write_persons
from brownid.verification.score import score_benchmark, score_network, score_pairs

SIDE = 8


def colour_embedding(images):
    """The mean colour of an image, without what all images share."""
    return images.reshape(len(images), -1, 3).mean(axis=1) - 100.0


@pytest.fixture
def benchmark(tmp_path):
    """40 pairs: genuine pairs share a colour up to noise, impostors have two."""
    random = np.random.default_rng(0)
    images, same = [], [bool(i % 2) for i in range(40)]
    for label in same:
        first, second = random.integers(0, 200, (2, 3))
        for colour in (first, first if label else second):
            noise = random.integers(0, 10, (SIDE, SIDE, 3))
            images.append(png.encode((colour + noise).astype(np.uint8)))
    write_bin(tmp_path / "test.bin", images, same)
    return tmp_path / "test.bin", images, same


def test_a_benchmark_is_scored_in_plain_numbers(benchmark):
    scores, _ = score_benchmark(colour_embedding, benchmark[0], image_size=SIDE)
    assert scores["accuracy"] > 0.8 and scores["auc"] > 0.9 and scores["eer"] < 0.2
    assert (scores["pairs"], scores["genuine"], scores["impostors"], scores["failures"]) == (40, 20, 20, [])
    assert len(scores["accuracies"]) == 10
    assert scores["tar_at_far"]["0.1"]["tar"] > 0.5
    assert scores["tar_at_far"]["0.01"] == {
        "tar": None, "fnmr": None, "threshold": None, "note": "needs 100 impostor pairs, there are 20",
    }  # fmt: skip
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_a_benchmark_sorted_by_label_says_so_with_its_path(benchmark, tmp_path, caplog):
    _, images, same = benchmark
    order = sorted(range(len(same)), key=lambda pair: same[pair])
    write_bin(tmp_path / "sorted.bin", [images[2 * pair + i] for pair in order for i in (0, 1)], sorted(same))
    scores, _ = score_benchmark(colour_embedding, tmp_path / "sorted.bin", image_size=SIDE)
    assert f"{tmp_path / 'sorted.bin'}: the share of genuine pairs" in caplog.text
    assert scores["fold_note"] in caplog.text and scores["stratified_accuracy"] > 0.8
    plain, _ = score_benchmark(colour_embedding, benchmark[0], image_size=SIDE)
    assert plain["fold_note"] is None and plain["stratified_accuracy"] == pytest.approx(plain["accuracy"], abs=0.1)


def test_a_network_is_scored_with_image_and_mirror_image(benchmark):
    torch.manual_seed(0)
    network = backbone("slim", "slim_iresnet", image_size=32)
    large = [png.encode(resize(png.decode(image), 32)) for image in benchmark[1]]
    path = benchmark[0].with_name("large.bin")
    write_bin(path, large, benchmark[2])
    scores, pairs = score_network(network, {"test": path}, image_size=32)

    def embed(images):
        return embed_images(network, images, mirror=True).numpy()

    expected, of_pairs = score_benchmark(embed, path, image_size=32)
    assert scores == {"test": expected}
    np.testing.assert_array_equal(pairs["test"].similarity, of_pairs.similarity)
    _, rounded = score_network(network, {"test": path}, image_size=32, precision="bfloat16")
    assert 0 < np.abs(rounded["test"].similarity - of_pairs.similarity).max() < 0.01


@pytest.mark.parametrize("image_size", [4, 16])
def test_crops_of_another_side_than_the_network_reads_are_never_scored(benchmark, image_size):
    read = f"{image_size} x {image_size}"
    sentence = rf"test\.bin failed.* it has 8 x 8 pixels, and the network reads {read}: set `alignment"
    with pytest.raises(BrownidError, match=sentence):
        score_benchmark(colour_embedding, benchmark[0], image_size=image_size, maximum_failed_share=0.05)


def test_a_pair_with_a_damaged_image_is_left_out_and_listed(benchmark, tmp_path):
    _, images, same = benchmark
    images = [*images[:6], images[6][:60], *images[7:]]
    write_bin(tmp_path / "damaged.bin", images, same)
    write_persons(tmp_path / "damaged.persons.csv", np.arange(80).reshape(40, 2))
    scores, pairs = score_benchmark(
        colour_embedding,
        tmp_path / "damaged.bin",
        image_size=SIDE,
        persons=tmp_path / "damaged.persons.csv",
        maximum_failed_share=0.02,
    )
    left = [pair for pair in range(40) if pair != 3]
    assert pairs.persons.tolist() == [[2 * pair, 2 * pair + 1] for pair in left]
    assert pairs.same.tolist() == [same[pair] for pair in left] and len(pairs.similarity) == 39
    assert scores["pairs"] == 39 and scores["genuine"] == 19
    assert [failure["image"] for failure in scores["failures"]] == [6]
    with pytest.raises(BrownidError, match=r"1 of 80 images of the benchmark .*damaged\.bin .* image 6"):
        score_benchmark(colour_embedding, tmp_path / "damaged.bin", image_size=SIDE)


def test_an_image_of_several_pairs_is_embedded_once(benchmark, tmp_path):
    _, images, same = benchmark
    write_bin(tmp_path / "twice.bin", [*images, *images], [*same, *same])

    def embed(distinct):
        assert len(distinct) == len(images)
        return colour_embedding(distinct)

    scores, _ = score_benchmark(embed, tmp_path / "twice.bin", image_size=SIDE)
    assert scores["pairs"] == 80 and scores["roc"] == score_benchmark(embed, benchmark[0], image_size=SIDE)[0]["roc"]


def test_a_damaged_image_is_listed_for_every_pair_that_it_is_in(benchmark, tmp_path, monkeypatch):
    _, images, same = benchmark
    images = [*images[:6], images[6][:60], images[7], images[6][:60], *images[9:]]
    write_bin(tmp_path / "damaged.bin", images, same)
    given = {"image_size": SIDE, "maximum_failed_share": 0.03}
    scores, pairs = score_benchmark(colour_embedding, tmp_path / "damaged.bin", **given)
    monkeypatch.setattr(score, "DECODED_AT_ONCE", 7)
    again, same_pairs = score_benchmark(colour_embedding, tmp_path / "damaged.bin", threads=3, **given)
    assert again == scores and np.array_equal(same_pairs.similarity, pairs.similarity)
    assert [failure["image"] for failure in scores["failures"]] == [6, 8] and scores["pairs"] == 38


def test_perfect_embeddings_score_one_everywhere():
    same = np.arange(40) % 2 == 0
    first = np.eye(40)
    second = np.where(same[:, None], first, np.roll(first, 1, axis=0))
    scores = score_pairs(first, second, same, rates=[0.05])
    assert (scores["accuracy"], scores["std"], scores["auc"], scores["eer"]) == (1, 0, 1, 0)
    assert (scores["fmr"], scores["fnmr"], scores["d_prime"]) == (0, 0, None)  # no score varies
    assert scores["tar_at_far"]["0.05"] == {"tar": 1, "fnmr": 0, "threshold": pytest.approx(1)}
    assert scores["roc"] == {"false_accept": [0, 0, 1], "true_accept": [0, 1, 1]}


def test_a_network_that_accepts_impostors_first_has_no_finite_threshold():
    same = np.arange(40) % 2 == 0
    first = np.eye(40)
    second = np.where(same[:, None], np.roll(first, 1, axis=0), first)
    scores = score_pairs(first, second, same, rates=[0.05])
    assert scores["tar_at_far"]["0.05"] == {"tar": 0, "fnmr": 1, "threshold": None}
