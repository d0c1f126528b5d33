"""The Parquet layout holds every row, and the same bytes however many processes write it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from brownid.exports import parquet
from brownid.exports.joining import JoinedTrainingSet


@pytest.fixture
def joined(part):
    return JoinedTrainingSet("all", [part("first"), part("varied", layers=2), part("second")])


def written(training_set, folder, **options):
    folder.mkdir()
    parquet.write(training_set, folder, **({"shard_bytes": 10**9, "processes": 1} | options))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_files_hold_the_rows_in_order_with_absent_latents_as_null(joined, tmp_path):
    assert list(written(joined, tmp_path / "out")) == ["train-00000-of-00001.parquet"]
    table = pq.read_table(tmp_path / "out" / "train-00000-of-00001.parquet")
    (block,) = joined.blocks()
    assert table["label"].to_pylist() == block.labels.tolist()
    assert table["identity"].to_pylist() == block.identities
    assert table["sample"].to_pylist() == block.samples and table["dataset"].to_pylist() == block.datasets
    assert [row["bytes"] for row in table["image"].to_pylist()] == list(map(bytes, block.images))
    np.testing.assert_array_equal(np.array(table["latent"].to_pylist(), np.float32), block.latents)
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), block.embeddings)
    layered = table["w_plus_latent"].to_pylist()
    assert [row for row, value in enumerate(layered) if value is None] == [0, 3, 6, 9, 10]
    np.testing.assert_array_equal(np.array(layered[4], np.float32), block.w_plus_latents[4])


def test_the_features_name_image_and_classes(joined, tmp_path, monkeypatch):
    features = json.loads(parquet.arrow_schema(joined).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": list(joined.classes), "_type": "ClassLabel"}
    monkeypatch.setattr(parquet, "MOST_CLASS_NAMES", 4)
    features = json.loads(parquet.arrow_schema(joined).metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"dtype": "int64", "_type": "Value"}


def test_the_number_of_processes_changes_no_byte(joined, tmp_path):
    alone = written(joined, tmp_path / "alone", shard_bytes=6000)
    assert len(alone) == 3
    assert written(joined, tmp_path / "shared", shard_bytes=6000, processes=2) == alone


def test_single_rows_are_read_by_row_groups(joined, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 4)
    written(joined, tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "train-00000-of-00001.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(3)] == [4, 4, 3]
    second = file.read_row_group(1)["sample"].to_pylist()
    assert second == ["augmentation_0", "augmentation_1", "reference", "augmentation_0"]
