"""The job that exports a training set writes all of it with its record, or nothing."""

import errno
import json
from hashlib import sha256

import pytest

import export_training_set as job
from brownid.exports.inventory import read_record
from brownid.exports.layouts import LAYOUTS
from brownid.runtime.errors import BrownidError


@pytest.fixture
def settings(part):
    parts = [part("first"), part("varied")]
    files = [{"name": p.name, "images": list(map(str, p.images)), "samples": str(p.samples)} for p in parts]
    return {"training_set": "people", "layout": "parquet", "parts": files, "shard_size": 1}


def test_an_export_comes_with_the_record_of_its_rows_and_files(settings, tmp_path):
    record = tmp_path / "exports" / "parquet" / "people" / "export.json"
    job.export_training_set(settings, record=record)
    described, files = read_record(record)
    assert (described.name, described.rows, described.classes, described.image_size) == ("people", 9, 3, 8)
    assert described.datasets == {"first": 3, "varied": 6} and described.embedding_dimension == 3
    (file,) = files
    content = (record.parent / file.path).read_bytes()
    assert (file.path, file.size) == ("train-00000-of-00001.parquet", len(content))
    assert file.checksum == sha256(content).hexdigest()
    assert sorted(path.name for path in record.parent.iterdir()) == ["export.json", file.path]


def test_the_number_of_threads_changes_no_byte(settings, tmp_path):
    for threads in (1, 2):
        job.export_training_set(settings, record=tmp_path / str(threads) / "export.json", threads=threads)
    first, second = ((tmp_path / name / "export.json").read_text() for name in "12")
    assert first == second


def test_an_export_that_fails_leaves_the_one_before_and_nothing_half_written(settings, tmp_path, monkeypatch):
    record = tmp_path / "exports" / "people" / "export.json"
    job.export_training_set(settings, record=record)
    before = record.read_text()

    def fill_the_disk(training_set, folder, **_):
        (folder / "train-00000-of-00001.parquet").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(LAYOUTS, "parquet", fill_the_disk)
    with pytest.raises(BrownidError, match=r"people: No space left on device; make room there"):
        job.export_training_set(settings, record=record)
    assert record.read_text() == before and [path.name for path in record.parents[1].iterdir()] == ["people"]


def test_a_record_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "export.json").write_text(json.dumps({"files": []}))
    with pytest.raises(BrownidError, match=r"export\.json: this is no record of an exported training set"):
        read_record(tmp_path / "export.json")
