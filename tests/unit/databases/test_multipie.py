"""MultiPIE: naming, classes, protocols and groups as published."""

import pytest

from brownid.databases.index import DatabaseIndex
from brownid.databases.multipie import Picture, index_multipie, split_subjects
from brownid.runtime.errors import BrownidError

FRONTAL = "session01/multiview/001/01/05_1/001_01_01_051_07.png"


def test_a_picture_has_the_published_path_and_is_read_back_from_it():
    picture = Picture(subject=41, session=3, recording=2, camera="19_0", flash=16)
    assert picture.path == "session03/multiview/041/02/19_0/041_03_02_190_16.png"
    assert Picture.from_path(picture.path) == picture
    assert picture.sample().key == "session03_multiview_041_02_19_0_041_03_02_190_16"


@pytest.mark.parametrize(
    "path",
    [
        FRONTAL.replace("001_01", "002_01"),
        FRONTAL.replace("051", "050"),
        FRONTAL.replace(".png", ".jpg"),
        f"deeper/{FRONTAL}",
    ],
)
def test_folders_and_name_that_disagree_are_no_picture(path):
    assert Picture.from_path(path) is None


def test_cameras_flashes_and_recordings_have_the_classes_of_the_paper():
    pose = {camera: Picture(1, 1, 1, camera, 7).pose for camera in
            ("11_0", "12_0", "09_0", "08_0", "13_0", "14_0", "05_1", "05_0", "04_1", "19_0", "20_0", "01_0", "24_0",
             "08_1")}  # fmt: skip
    assert list(pose.values()) == ["left"] * 6 + ["frontal"] + ["right"] * 6 + [None]
    light = {flash: Picture(1, 1, 1, "05_1", flash).illumination for flash in range(19)}
    classes = {name: [flash for flash, value in light.items() if value == name] for name in set(light.values())}
    assert {name: classes[name] for name in ("left", "right", "frontal", "none")} == {
        "left": [1, 2, 3],
        "right": [11, 12, 13],
        "frontal": [7, 16],
        "none": [0],
    }
    recordings = {
        "neutral": [(1, 1), (2, 1), (3, 1), (4, 1), (4, 2)],
        "smile": [(1, 2), (3, 2)],
        "surprise": [(2, 2)],
        "squint": [(2, 3)],
        "disgust": [(3, 3)],
        "scream": [(4, 3)],
    }
    for name, places in recordings.items():
        assert [Picture(1, *place, "05_1", 7).expression for place in places] == [name] * len(places)
    assert Picture(1, 1, 3, "05_1", 7).expression is None


@pytest.mark.parametrize(
    ("place", "camera", "flash", "protocols"),
    [
        ((1, 1), "05_1", 7, ["P_center_lit", "U", "E_lit"]),
        ((1, 1), "11_0", 7, ["P_center_lit"]),
        ((1, 1), "11_0", 1, []),
        ((2, 1), "05_1", 5, ["U"]),
        ((2, 2), "05_1", 7, ["E_lit"]),
        ((2, 2), "05_1", 1, []),
        ((1, 3), "05_1", 7, []),
    ],
)
def test_a_picture_belongs_to_the_protocols_whose_conditions_it_meets(place, camera, flash, protocols):
    assert Picture(1, *place, camera, flash).protocols == protocols


def test_the_tree_is_indexed_with_groups_by_subject(tmp_path):
    pictures = [Picture(s, 1, 1, camera, 7) for s in range(1, 11) for camera in ("05_1", "04_1")]
    pictures += [Picture(1, 1, 1, "05_1", 5), Picture(1, 1, 1, "04_1", 5)]
    strangers = ["session01/multiview/001/01/05_1/holiday.png", "session01/multiview/001/01/05_1/notes.txt"]
    for path in [picture.path for picture in pictures] + strangers:
        (tmp_path / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / path).touch()
    assert len(index_multipie(tmp_path / "root", tmp_path / "index", train_share=0.6, dev_share=0.2)) == 21
    with DatabaseIndex.open(tmp_path / "index") as index:
        assert {sample.identity for sample in index.samples("train", "P_center_lit")} == set(range(1, 7))
        assert {sample.identity for sample in index.samples("dev", "U")} == {7, 8}
        assert {sample.identity for sample in index.samples("eval", "E_lit")} == {9, 10}
        assert len(index.samples(pose="right")) == 10
        between = next(sample for sample in index.samples() if sample.meta["flash"] == 5)
        assert "illumination" not in between.meta
        assert between.meta["expression"] == "neutral"


def test_a_tree_without_pictures_is_refused_with_an_example(tmp_path):
    with pytest.raises(BrownidError, match=f"no MultiPIE picture .* such as {FRONTAL}"):
        index_multipie(tmp_path, tmp_path / "index")


@pytest.mark.parametrize("root", ["", "data", "data/pie/session01", "data/pie/session01/multiview"])
def test_a_root_above_or_below_the_right_one_is_named(tmp_path, root):
    path = tmp_path / "data" / "pie" / FRONTAL
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(BrownidError, match=f"which are below {tmp_path / 'data' / 'pie'}: set `root`"):
        index_multipie(tmp_path / root, tmp_path / "index")


@pytest.mark.parametrize("shares", [(0, 0.2), (0.9, 0.2), (0.5, -0.1)])
def test_impossible_group_shares_are_refused(shares):
    with pytest.raises(BrownidError, match="shares"):
        split_subjects(range(10), *shares)


def test_no_subject_is_in_two_groups_and_none_is_lost():
    groups = split_subjects(range(3, 40), 0.617, 0.19)
    assert sorted(subject for group in groups.values() for subject in group) == list(range(3, 40))


def test_copies_of_pictures_in_other_formats_are_indexed_with_keys_of_their_own(tmp_path):
    for suffix in ("png", "jpg"):
        path = tmp_path / "root" / FRONTAL.replace(".png", f".{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    path.with_name("001_01_01_051_01.JPG").touch()
    (tmp_path / "lists" / "U" / "norm").mkdir(parents=True)
    stem = FRONTAL.removesuffix(".png")
    (tmp_path / "lists" / "U" / "norm" / "train_world.lst").write_text(f"{stem} 001\n{stem[:-2]}01 001\n")
    index_multipie(tmp_path / "root", tmp_path / "index", lists=[tmp_path / "lists" / "U" / "norm" / "train_world.lst"])
    with DatabaseIndex.open(tmp_path / "index") as index:
        samples = index.samples("train", "U")
    assert sorted(sample.path.rpartition(".")[2] for sample in samples) == ["JPG", "jpg", "png"]
    assert len({sample.key for sample in samples}) == 3 and {sample.meta["flash"] for sample in samples} == {1, 7}
