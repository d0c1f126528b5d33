"""The captures: names and folders of the real databases, the asked-for conditions, nobody in two places."""

import numpy as np
import pytest
from fake_world import FakeWorld

from brownid.databases.decoding import load_rgb
from brownid.databases.folders import index_identity_folders
from brownid.databases.index import DatabaseIndex
from brownid.databases.multipie import index_multipie
from brownid.runtime.errors import BrownidError
from brownid.world.anatomy import NUISANCE, NUISANCE_NAMES
from brownid.world.databases import capture_multipie, capture_people, capture_portraits
from brownid.world.settings import MultipieCapture, PeopleCapture, PortraitCapture


def amounts(nuisance, name):
    setting = np.tanh(0.75 * float(nuisance[NUISANCE_NAMES.index(name)]))
    return NUISANCE[name].middle + NUISANCE[name].half * setting


def test_the_default_multipie_capture_has_18_pictures_a_subject_for_all_three_protocols(tmp_path):
    settings = MultipieCapture(first_person=5, subjects=10)
    assert capture_multipie(FakeWorld(), tmp_path / "root", settings) == 180
    index_multipie(tmp_path / "root", tmp_path / "index")
    with DatabaseIndex.open(tmp_path / "index") as index:
        sizes = {protocol: len(index.samples(protocol=protocol)) for protocol in index.protocols()}
        assert sizes == {"P_center_lit": 70, "U": 70, "E_lit": 60}
        assert len(index.samples("train", "P_center_lit", pose="left")) == 6 * 3
        assert len(index.samples("train", "U", illumination="right")) == 6 * 3
        assert len(index.samples("train", "E_lit", expression="scream")) == 6


def test_cameras_turn_the_head_and_flashes_move_the_light_to_the_named_side(tmp_path):
    world = FakeWorld()
    settings = MultipieCapture(first_person=0, subjects=2, nuisance_std=0)
    capture_multipie(world, tmp_path / "root", settings)
    for picture, (_, nuisance, _) in zip(settings.pictures(), world.shots, strict=True):
        assert np.sign(round(amounts(nuisance, "yaw"), 3)) == {"left": -1, "frontal": 0, "right": 1}[picture.pose]
        image_size = {"left": -1, "frontal": 0, "right": 1}[picture.illumination]
        assert np.sign(round(amounts(nuisance, "light_yaw"), 3)) == image_size
    yaws = [round(amounts(nuisance, "yaw"), 2) for _, nuisance, _ in world.shots[:7]]
    assert yaws == [-45, -30, -15, 0, 15, 30, 45]


def test_every_photograph_has_its_own_item_and_its_own_person(tmp_path):
    world = FakeWorld()
    settings = MultipieCapture(first_person=3, subjects=4)
    capture_multipie(world, tmp_path / "multipie", settings)
    items = [item for _, _, item in world.shots]
    assert len(set(items)) == len(items) == 72
    for picture, (identity, _, _) in zip(settings.pictures(), world.shots, strict=True):
        np.testing.assert_array_equal(identity, world.people([3 + picture.subject - 1])[0])


def test_portraits_lie_in_folders_of_a_thousand(tmp_path):
    assert capture_portraits(FakeWorld(), tmp_path / "root", PortraitCapture(first_person=9, people=1001)) == 1001
    assert (tmp_path / "root/00000/00999.png").is_file()
    assert (tmp_path / "root/01000/01000.png").is_file()


def test_people_are_the_same_whatever_is_photographed_with_them(tmp_path):
    capture_people(FakeWorld(), tmp_path / "few", PeopleCapture(first_person=7, people=2, photos=3))
    capture_people(FakeWorld(), tmp_path / "many", PeopleCapture(first_person=7, people=40, photos=3))
    for name in ("00000/000.png", "00001/002.png"):
        np.testing.assert_array_equal(load_rgb(tmp_path / "few" / name), load_rgb(tmp_path / "many" / name))
    assert index_identity_folders(tmp_path / "many", tmp_path / "index") == 120


def test_an_interrupted_capture_leaves_nothing(tmp_path):
    class Breaking(FakeWorld):
        def photograph(self, identity, nuisance, items):
            if self.shots:
                raise OSError("no space left on device")
            return super().photograph(identity, nuisance, items)

    with pytest.raises(OSError, match="no space"):
        capture_portraits(Breaking(), tmp_path / "root", PortraitCapture(first_person=0, people=100))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameras": ("05_1", "11_0")}, r"cameras is \('05_1', '11_0'\), .* one of 08_0"),
        ({"cameras": ("04_1",)}, "cameras lacks '05_1'"),
        ({"flashes": (7, 99)}, r"flashes is \(7, 99\)"),
        ({"expressions": ("neutral", "grin")}, "expressions is .*'grin'"),
        ({"subjects": 1000}, "subjects is 1000"),
        ({"subjects": 0}, "subjects is 0"),
        ({"nuisance_std": -1}, "nuisance_std is -1"),
    ],
)
def test_what_cannot_be_captured_is_refused_by_name(change, message):
    with pytest.raises(BrownidError, match=message):
        MultipieCapture(**({"first_person": 0} | change))


@pytest.mark.parametrize("photos", [0, -1])
def test_people_need_a_photo(photos):
    with pytest.raises(BrownidError, match="photos is"):
        PeopleCapture(first_person=0, people=2, photos=photos)
