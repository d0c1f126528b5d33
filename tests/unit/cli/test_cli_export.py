"""`brownid export` of a folder of people in every layout, and what it refuses."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from brownid.databases.recordio import read_records
from brownid.exports.layouts import LAYOUTS
from brownid.samples import png


@pytest.fixture
def people(tmp_path):
    """Two persons of two images each."""
    root = tmp_path / "people"
    for number, name in enumerate(("a/0", "a/1", "b/0", "b/1")):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png.encode(np.full((8, 8, 3), number, np.uint8)))
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_people_becomes_every_layout(run, people, tmp_path, layout):
    said = run("export", people, "--to", layout, "-o", tmp_path / "out" / "set").output
    assert said == f"wrote {tmp_path / 'out' / 'set'} (4 images of 2 identities as {layout})\n"
    assert any((tmp_path / "out" / "set").iterdir())


def test_parquet_files_become_another_layout(run, people, tmp_path):
    run("export", people, "--to", "parquet", "-o", tmp_path / "first")
    run("export", tmp_path / "first", "--to", "recordio", "-o", tmp_path / "second")
    assert read_records(tmp_path / "second" / "train.rec").labels.tolist() == [0, 0, 1, 1]


def test_the_size_of_shards_is_an_option(run, people, tmp_path):
    (people / "a" / "0.png").write_bytes((people / "a" / "0.png").read_bytes() + bytes(2_000_000))
    run("export", people, "--to", "parquet", "-o", tmp_path / "out", "--shard-size", 1, "--processes", 2)
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == [
        f"train-{number:05d}-of-{len(files):05d}.parquet" for number in range(len(files))
    ]
    assert len(files) > 1 and sum(pq.ParquetFile(file).metadata.num_rows for file in files) == 4


def test_wrong_words_are_refused_before_any_work(refusal, people, tmp_path):
    out = ("-o", tmp_path / "out")
    assert refusal("export", people, "--to", "recordo", *out).endswith("no such layout; did you mean 'recordio'?")
    assert "parquet, recordio, webdataset, lmdb" in refusal("export", people, "--to", "zip", *out)
    said = refusal("export", people, "--to", "lmdb", "--set", "varied", *out)
    assert said.endswith(f"--set varied chooses a training set of a release, but {people} has no metadata.json.")
    said = refusal("export", "nobody", "--to", "lmdb", *out)
    assert "nobody: there is no folder of this name, and no dataset or training set: known are" in said
    said = refusal("export", "world_n100_lang", "--to", "lmdb", "--directory", tmp_path, *out)
    assert "1-of-1.arrow: the images of world_n100_lang are not there: run the workflow first" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(refusal, people, tmp_path):
    said = refusal("export", people, "--to", "recordio", "-o", people)
    assert said == f"brownid: {people}: the folder exists already and is not empty; name another one, or remove it."
    assert sorted(path.name for path in people.rglob("*.png")) == ["0.png", "0.png", "1.png", "1.png"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fault_in_the_middle_leaves_nothing(refusal, people, tmp_path, layout):
    (people / "b" / "1.png").write_bytes(b"no image")
    said = refusal("export", people, "--to", layout, "-o", tmp_path / "out" / "set")
    assert said.startswith(f"brownid: {people / 'b' / '1.png'}: this is neither a PNG nor a JPEG image")
    assert not list((tmp_path / "out").iterdir())
