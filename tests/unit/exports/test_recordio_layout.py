"""Record files: as insightface's readers expect them, and read back by our own reader to the last byte."""

import struct

import pytest

from brownid.databases.index import DatabaseIndex
from brownid.databases.kinds import index_images
from brownid.databases.recordio import MAGIC, read_image, read_records, scan
from brownid.exports import recordio
from brownid.runtime.errors import BrownidError


@pytest.fixture
def folder(training_set, tmp_path):
    recordio.write(training_set, tmp_path, shard_bytes=1, processes=1)
    return tmp_path


def offsets(folder):
    """Byte of each record by its number."""
    lines = (folder / "train.idx").read_text().splitlines()
    return {int(number): int(byte) for number, byte in (line.split("\t") for line in lines)}


def labels_of(folder, byte):
    """The two labels of a record without an image."""
    content = (folder / "train.rec").read_bytes()[byte:]
    magic, word, flag, label, *_ = struct.unpack_from("<IIIfQQ", content)
    assert (magic, word, flag, label) == (MAGIC, 32, 2, 0)
    return struct.unpack_from("<2f", content, 32)


def test_our_reader_finds_every_image_with_its_class(training_set, folder):
    records = read_records(folder / "train.rec")
    assert records.labels.tolist() == [row["label"] for row in training_set.rows]
    assert records.numbers.tolist() == list(range(1, len(training_set) + 1))
    assert records.promised == len(training_set)
    found = [read_image(folder / "train.rec", byte) for byte in records.bytes]
    assert found == [bytes(row["image"]) for row in training_set.rows]


def test_a_database_of_kind_recordio_indexes_it(training_set, folder, tmp_path, caplog):
    index_images({"kind": "recordio", "root": str(folder)}, {}, tmp_path / "index")
    with DatabaseIndex.open(tmp_path / "index") as index:
        assert [sample.identity for sample in index.samples("train")] == [row["label"] for row in training_set.rows]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_the_first_record_says_where_images_and_identities_end(training_set, folder):
    found = offsets(folder)
    images, classes = len(training_set), len(training_set.classes)
    assert list(found) == list(range(1 + images + classes))
    assert labels_of(folder, found[0]) == (images + 1, images + 1 + classes)
    assert [labels_of(folder, found[images + 1 + label]) for label in range(classes)] == [
        (1 + 3 * label, 4 + 3 * label) for label in range(classes)
    ]
    assert (folder / "property").read_text() == "5,8,8\n"


def test_a_table_names_identity_and_sample_of_each_record(folder):
    lines = [line.split("\t") for line in (folder / "train.tsv").read_text().splitlines()]
    assert lines[4] == ["5", "lang/00001/augmentation_0.png", "1"] and len(lines) == 15


def test_a_record_is_cut_where_the_image_has_the_magic_number(folder):
    parts = [(folder / "train.rec").read_bytes().count(struct.pack("<II", MAGIC, 1 << 29 | 0)[:4])]
    assert parts[0] > len(offsets(folder))  # more magic numbers than records
    assert len(list(scan(folder / "train.rec"))) == len(offsets(folder))


def test_more_records_than_whole_float32_numbers_have_no_header(training_set, tmp_path, monkeypatch):
    monkeypatch.setattr(recordio, "LARGEST_LABEL", len(training_set) + len(training_set.classes))
    recordio.write(training_set, tmp_path, shard_bytes=1, processes=1)
    assert list(offsets(tmp_path)) == list(range(len(training_set)))
    assert read_records(tmp_path / "train.rec").labels.tolist() == [row["label"] for row in training_set.rows]
    monkeypatch.setattr(recordio, "LARGEST_LABEL", 4)
    with pytest.raises(BrownidError, match=r"training set tiny has 5 classes; a record file holds at most 4"):
        recordio.write(training_set, tmp_path, shard_bytes=1, processes=1)
