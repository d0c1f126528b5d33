"""Tar shards: webdataset and Hugging Face's loader read them; the order is shuffled and the same every time."""

import io
import json
import tarfile
from itertools import pairwise

import numpy as np
import pytest
import webdataset
from PIL import Image

from brownid.exports import webdataset as layout
from brownid.exports.rows import rows

SHARD = 12_000  # bytes, for four shards


def shards_of(folder):
    return sorted(map(str, folder.glob("train-*.tar")))


def read(folder):
    """The samples of all shards as the library webdataset yields them, without decoding."""
    return list(webdataset.WebDataset(shards_of(folder), shardshuffle=False))


@pytest.fixture
def folder(training_set, tmp_path):
    layout.write(training_set, tmp_path, shard_bytes=SHARD, processes=2)
    return tmp_path


def test_every_image_comes_with_its_class_and_names(training_set, folder):
    found = {int(sample["__key__"]): sample for sample in read(folder)}
    assert sorted(found) == list(range(len(training_set)))
    for number, row in enumerate(training_set.rows):
        assert found[number]["png"] == bytes(row["image"]) and int(found[number]["cls"]) == row["label"]
        about = {name: row[name] for name in ("label", "sample", "dataset")}
        assert json.loads(found[number]["json"]) == about | {"identity": training_set.classes[row["label"]]}


def test_images_and_classes_are_decoded_by_webdataset(training_set, folder):
    pipeline = (
        webdataset.WebDataset(shards_of(folder), shardshuffle=False).decode("rgb8").to_tuple("png", "cls", "__key__")
    )
    for pixels, label, key in pipeline:
        row = training_set.rows[int(key)]
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(row["image"]))))
        assert label == row["label"]


def test_identities_are_mixed_over_the_shards(training_set, folder):
    labels = [int(sample["cls"]) for sample in read(folder)]
    assert len(shards_of(folder)) == 4
    assert sum(first == second for first, second in pairwise(labels)) < 5  # in order it is 10


def test_the_index_counts_the_images_of_each_shard(folder):
    index = json.loads((folder / "index.json").read_text())
    assert [entry["url"] for entry in index["shardlist"]] == [path.rsplit("/", 1)[1] for path in shards_of(folder)]
    assert sorted(entry["nsamples"] for entry in index["shardlist"]) == [3, 4, 4, 4]
    assert sorted(path.name for path in folder.iterdir() if path.name[0] == ".") == []


@pytest.mark.parametrize("buckets", [1, 3, 200])
def test_the_bytes_do_not_depend_on_threads(training_set, tmp_path, monkeypatch, buckets):
    monkeypatch.setattr(layout, "MOST_BUCKETS", buckets)
    contents = []
    for processes in (1, 4):
        folder = tmp_path / str(processes)
        folder.mkdir()
        layout.write(training_set, folder, shard_bytes=SHARD, processes=processes)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1] and len(contents[0]) == 5
    assert len({sample["__key__"] for sample in read(tmp_path / "1")}) == len(training_set)


def test_a_member_is_what_tarfile_writes(training_set):
    row = next(rows(training_set, "reading"))
    info = tarfile.TarInfo("000000007.png")
    info.size = len(row.image)
    assert layout.members(row, "000000007").startswith(info.tobuf(tarfile.USTAR_FORMAT) + row.image)
