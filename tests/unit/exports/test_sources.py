"""Training sets from a folder of people and from the Parquet files of a release, and what is refused."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from list_training_set import SIDE, encoded

from brownid.exports import parquet
from brownid.exports.joining import JoinedTrainingSet
from brownid.exports.people import FolderTrainingSet
from brownid.exports.released import ParquetTrainingSet
from brownid.runtime.errors import BrownidError


@pytest.fixture
def people(tmp_path):
    """Two persons of three and two images."""
    root = tmp_path / "people"
    for number, name in enumerate(("b/2", "b/10", "b/reference", "a a/sub/x", "a a/y")):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    (root / "a a" / "z.jpg").write_bytes(encoded(9, form="JPEG"))
    return root


def columns(training_set, *span):
    """The rows of all blocks as lists."""
    blocks = list(training_set.blocks(*span))
    names = ("identities", "samples", "datasets", "images")
    found = {name: [value for block in blocks for value in getattr(block, name)] for name in names}
    return found | {"labels": [label for block in blocks for label in block.labels.tolist()]}


def test_each_folder_is_a_class_and_the_reference_comes_first(people):
    found = FolderTrainingSet(people)
    assert found.name == "people" and found.image_size == SIDE and found.classes == ["a a", "b"]
    rows = columns(found)
    assert rows["samples"] == ["sub/x", "y", "z", "reference", "2", "10"] and rows["labels"] == [0, 0, 0, 1, 1, 1]
    assert bytes(rows["images"][4]) == (people / "b" / "2.png").read_bytes()
    assert found.sizes(2, 4).tolist() == [len(image) for image in columns(found, 2, 4)["images"]]


def test_other_files_are_left_out_and_named(people, caplog):
    (people / "a a" / "notes.txt").touch()
    (people / "a a" / ".DS_Store").touch()
    assert len(FolderTrainingSet(people)) == 6
    assert "passed over 1 file: 1 .txt" in caplog.text


def write_image(people, name, content):
    path = people / "b" / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no image at all", "this is neither a PNG nor a JPEG image"),
        (encoded(1, form="BMP"), "this is neither a PNG nor a JPEG image"),
        (encoded(1)[:20], "the image is damaged"),
        (encoded(1, size=(4, 6)), "the image has 6 x 4 pixels, but those of a training set are square"),
        (encoded(1, size=(6, 6)), r"the image has 6 pixels a side, .*x\.png has 8: all images of a training set"),
    ],
)
def test_an_image_that_cannot_be_one_of_the_set_is_named(people, content, said):
    path = write_image(people, "odd.png", content)
    with pytest.raises(BrownidError, match=rf"{path}: {said}"):
        list(FolderTrainingSet(people).blocks())


def test_a_folder_that_is_no_folder_of_people_is_refused(people, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BrownidError, match="there is no image in or below this folder"):
        FolderTrainingSet(empty)
    with pytest.raises(BrownidError, match="all images are below people, which would be one person"):
        FolderTrainingSet(tmp_path)
    shutil.copy(people / "b" / "2.png", people)
    with pytest.raises(BrownidError, match=r"2\.png: this image is in no person's folder"):
        FolderTrainingSet(people)


@pytest.fixture
def joined(part):
    return JoinedTrainingSet("all", [part("first"), part("varied", layers=2), part("second")])


@pytest.fixture
def image_of():
    """Images, because their side is looked up."""
    return lambda dataset, identity, label: encoded(sum(f"{dataset} {identity} {label}".encode()))


@pytest.fixture
def released(joined, tmp_path, monkeypatch):
    """The folder of a set in several Parquet files of several row groups."""
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 4)
    folder = tmp_path / "release" / "data" / "all"
    folder.mkdir(parents=True)
    parquet.write(joined, folder, shard_bytes=1500, processes=1)
    assert len(list(folder.iterdir())) > 1
    return folder


@pytest.mark.parametrize("span", [(), (3, 9), (5, 6)])
def test_a_released_set_gives_back_its_rows(joined, released, span):
    found = ParquetTrainingSet(released)
    assert (found.name, len(found), list(found.classes)) == ("all", len(joined), list(joined.classes))
    assert (found.image_size, found.latent_dimension, found.w_plus_shape) == (SIDE, 4, (2, 4))
    assert found.datasets == joined.datasets
    assert columns(found, *span) == columns(joined, *span)
    assert found.sizes(*span).tolist() == joined.sizes(*span).tolist()
    for name in ("latents", "w_plus_latents", "embeddings"):
        there, here = (np.concatenate([getattr(block, name) for block in each.blocks()]) for each in (joined, found))
        np.testing.assert_array_equal(here, there)


def test_a_released_set_that_is_damaged_is_refused(released, tmp_path):
    with pytest.raises(BrownidError, match="no Parquet files in this folder"):
        ParquetTrainingSet(tmp_path)
    first = sorted(released.iterdir())[0]
    content = first.read_bytes()
    table = pq.read_table(first)
    pq.write_table(table.drop_columns("sample"), first)
    with pytest.raises(BrownidError, match=rf"{first}: .* column 'sample' is missing"):
        ParquetTrainingSet(released)
    pq.write_table(table.take(pa.array(range(len(table) - 1, -1, -1))), first)
    with pytest.raises(BrownidError, match=rf"{first}: the labels are not 0, 0, …, 1, 1"):
        ParquetTrainingSet(released)
    first.write_bytes(content[:-9])
    with pytest.raises(BrownidError, match=rf"{first}: this Parquet file is damaged"):
        ParquetTrainingSet(released)
