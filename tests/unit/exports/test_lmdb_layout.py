"""The LMDB file: read as the data loaders of HSFace and VFace read theirs."""

import errno

import lmdb
import pytest
from pip._vendor import msgpack  # an independent reader that is there wherever pip is

from brownid.exports import lmdb as layout


def test_the_loader_of_hsface_reads_every_image_and_class(training_set, tmp_path):
    layout.write(training_set, tmp_path, shard_bytes=1, processes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["train.lmdb"]
    options = {"subdir": False, "readonly": True, "lock": False, "readahead": False, "meminit": False}
    with lmdb.open(str(tmp_path / "train.lmdb"), **options) as file, file.begin() as transaction:
        assert msgpack.loads(transaction.get(b"__len__")) == len(training_set)
        assert msgpack.loads(transaction.get(b"__classnum__")) == len(training_set.classes)
        keys = msgpack.loads(transaction.get(b"__keys__"))
        found = [msgpack.loads(transaction.get(key)) for key in keys]
    assert keys == [str(number).encode() for number in range(len(training_set))]
    assert found == [[bytes(row["image"]), row["label"]] for row in training_set.rows]


def test_the_same_set_gives_the_same_bytes(training_set, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "ROWS_PER_TRANSACTION", 4)
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        layout.write(training_set, tmp_path / name, shard_bytes=1, processes=1)
        contents.append((tmp_path / name / "train.lmdb").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "value", [0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, b"", b"x" * 255, b"x" * 70000]
)
def test_numbers_and_bytes_are_msgpack_of_the_shortest_form(value):
    assert layout.packed(value) == msgpack.dumps(value) and msgpack.loads(layout.packed(value)) == value


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError) as raised, layout._system_errors(lmdb, tmp_path / "train.lmdb"):
        raise lmdb.DiskError("mdb_txn_commit: No space left on device")
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "train.lmdb"))


@pytest.mark.parametrize("full", [True, False])
def test_a_write_that_a_full_disk_cut_short_is_no_fault_of_the_disk(tmp_path, monkeypatch, full):
    def write(path):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(layout, "_fill", write)
    error = lmdb.Error("mdb_txn_commit: Input/output error")
    error.code = errno.EIO
    with pytest.raises(OSError) as raised, layout._system_errors(lmdb, tmp_path / "train.lmdb"):
        raise error
    assert raised.value.errno == (errno.ENOSPC if full else errno.EIO)
