"""Identity folders, portraits, and the ranges of persons."""

import pytest

from brownid.databases import DatabaseIndex
from brownid.databases.folders import index_identity_folders, index_portraits
from brownid.databases.people import PHOTOS_PER_PERSON, PeopleRange, check_disjoint, photo_items
from brownid.errors import BrownidError


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_a_folder_is_an_identity(tmp_path):
    touch(tmp_path / "root", "zoe/1.png", "ann/2.JPG", "ann/1.png", "ann/readme.txt")
    assert index_identity_folders(tmp_path / "root", tmp_path / "index") == 3
    with DatabaseIndex.open(tmp_path / "index") as index:
        found = [(sample.path, sample.identity, sample.meta["folder"]) for sample in index.samples("train")]
    assert found == [("ann/1.png", 0, "ann"), ("ann/2.JPG", 0, "ann"), ("zoe/1.png", 1, "zoe")]


def test_every_portrait_is_a_person_of_its_own(tmp_path):
    touch(tmp_path / "root", "00000/00001.png", "00000/00000.png", "01000/01000.png")
    index_portraits(tmp_path / "root", tmp_path / "index")
    with DatabaseIndex.open(tmp_path / "index") as index:
        assert [sample.identity for sample in index.samples()] == [0, 1, 2]


def test_a_folder_without_images_and_an_image_without_a_folder_are_refused(tmp_path):
    with pytest.raises(BrownidError, match="no image"):
        index_portraits(tmp_path, tmp_path / "index")
    touch(tmp_path, "loose.png")
    with pytest.raises(BrownidError, match=r"loose\.png is in no identity's folder"):
        index_identity_folders(tmp_path, tmp_path / "index")


def test_two_files_whose_names_make_one_key_are_refused(tmp_path):
    touch(tmp_path / "root", "ann/1.png", "ann/1.jpg")
    with pytest.raises(BrownidError, match="two samples with the key 'ann_1'"):
        index_identity_folders(tmp_path / "root", tmp_path / "index")


def test_databases_that_share_a_person_are_named():
    ranges = {"multipie": PeopleRange(0, 20), "ffhq": PeopleRange(30, 10), "lfw": PeopleRange(19, 5)}
    with pytest.raises(BrownidError, match=r"multipie .* and lfw .* share person 19; .* at least 20"):
        check_disjoint(ranges)
    check_disjoint(ranges | {"lfw": PeopleRange(20, 10)})


def test_no_two_photos_share_an_item():
    people = [person for person in (0, 1, 7) for _ in range(3)]
    items = photo_items(people, [0, 1, PHOTOS_PER_PERSON - 1] * 3)
    assert len(set(items)) == 9
    with pytest.raises(BrownidError, match="Photo"):
        photo_items([0], [PHOTOS_PER_PERSON])


@pytest.mark.parametrize(("first", "count"), [(-1, 5), (0, 0)])
def test_an_empty_or_negative_range_is_refused(first, count):
    with pytest.raises(BrownidError, match="no range of persons"):
        PeopleRange(first, count)


def test_hidden_files_and_folders_named_as_images_are_none(tmp_path):
    touch(tmp_path / "root", "ann/1.png", "ann/._1.png", ".thumbnails/1.png", "ann/.cache/2.png", "zoe.png/readme.txt")
    assert index_identity_folders(tmp_path / "root", tmp_path / "index") == 1
