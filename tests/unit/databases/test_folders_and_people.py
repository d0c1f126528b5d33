"""Identity folders, portraits, and the ranges of persons."""

import pytest
from test_listing import touch

from brownid.databases.folders import doubt_about_root, index_identity_folders, index_portraits
from brownid.databases.index import DatabaseIndex
from brownid.runtime.errors import BrownidError
from brownid.world.people import PHOTOS_PER_PERSON, photo_items
from brownid.world.settings import PeopleRange, check_disjoint


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


def tree(*folders, images=2):
    return [f"{folder}/{number}.png" for folder in folders for number in range(images)]


IDS = [f"{number:05}" for number in range(40)]


@pytest.mark.parametrize(
    ("paths", "proposed"),
    [
        (tree("imgs/0", "imgs/1", "imgs/2"), ["imgs"]),
        (tree("train/a", "train/b", "val/c"), ["train", "val"]),
        (tree("data/train/a", "data/train/b", "data/test/c"), ["data/train", "data/test"]),
        (tree("casia/imgs/0", "casia/imgs/1"), ["casia/imgs"]),
        (tree("images_arcface_112x112/0", "images_arcface_112x112/1", "samples"), ["images_arcface_112x112"]),
        (tree("lfw/Ann_Lee", "lfw/Bo_Li"), ["lfw"]),
        (tree(*(f"{group}/{name}" for group in ("African", "Asian") for name in IDS)), ["African", "Asian"]),
        (tree("a/train/0", "a/train/1", "b/train/2", "c"), ["a/train", "b/train"]),
        (["readme.png", *tree("imgs/0", "imgs/1")], ["imgs"]),
        (tree("imgs/ann/video1", "imgs/ann/video2", "imgs/bob/video1"), ["imgs"]),
    ],
)
def test_a_root_that_is_too_high_is_refused_with_the_right_one(tmp_path, paths, proposed):
    touch(tmp_path / "root", *paths)
    with pytest.raises(BrownidError, match="too high") as refusal:
        index_identity_folders(tmp_path / "root", tmp_path / "index")
    proposals = " or ".join(str(tmp_path / "root" / place) for place in sorted(proposed))
    assert f"Set `root` to {proposals}" in str(refusal.value) and "`identity_subfolders: true`" in str(refusal.value)
    loose = sum("/" not in path for path in paths)
    if not loose:
        assert index_identity_folders(tmp_path / "root", tmp_path / "index", identity_subfolders=True) == len(paths)


@pytest.mark.parametrize(
    "paths",
    [
        tree("ann/video1", "ann/video2", "bob/video1"),
        tree("ann/images", "bob/images"),
        tree("ann/train", "ann/test", "bob/train"),
        tree("ann/session1/camera1", "bob/session1/camera1"),
        tree("train", "test"),  # persons may be called so
        tree("Tester_Ann/1", "Imager_Bo/1"),
        tree(*(f"{name}/{video}" for name in IDS for video in range(3)), images=1),
        tree("only_person"),
        tree("imgs/0", *IDS),
    ],
)
def test_videos_and_sessions_of_persons_are_no_reason_to_doubt_the_root(tmp_path, paths):
    assert doubt_about_root(tmp_path, paths) is None


def test_images_without_any_identity_folder_name_the_folder_above(tmp_path):
    touch(tmp_path / "0001", "1.png", "2.png")
    with pytest.raises(BrownidError, match=rf"set `root` to the folder above {tmp_path / '0001'} .*`kind: portraits`"):
        index_identity_folders(tmp_path / "0001", tmp_path / "index")


@pytest.mark.parametrize(
    "paths",
    [("ann/0001.png", "ann/0001.jpg"), ("John Doe/1.png", "John_Doe/1.png"), ("a/b_c/1.png", "a_b/c/1.png")],
)
def test_files_that_would_share_a_key_have_keys_of_their_own_which_the_log_lists(tmp_path, paths, caplog):
    touch(tmp_path / "root", *paths, "zoe/1.png")
    with caplog.at_level("INFO"):
        index_identity_folders(tmp_path / "root", tmp_path / "index")
    with DatabaseIndex.open(tmp_path / "index") as index:
        keys = {sample.path: sample.key for sample in index.samples("train")}
    assert len(set(keys.values())) == 3 and keys["zoe/1.png"] == "zoe_1"
    assert all(f"{path} has the key {keys[path]}" in caplog.text for path in paths)


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
