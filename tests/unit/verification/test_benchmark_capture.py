"""The five benchmarks: who meets whom, in which order, under which conditions."""

import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal
from brownid.verification.bins import read_bin
from brownid.world.anatomy import IDENTITY_NAMES, NUISANCE, NUISANCE_NAMES
from brownid.world.benchmarks import AGEING_NAMES, GROUP_NAMES, KINDS, capture_benchmark
from brownid.world.settings import BenchmarkCapture


class RecordingWorld:
    """Photographs are black; what was photographed is kept in `shots` as (identity, nuisance, item)."""

    def __init__(self):
        self.shots = []

    def people(self, items):
        return normal(1, "people", items, (len(IDENTITY_NAMES),))

    def nuisance(self, items, nuisance_std, purpose):
        return nuisance_std * normal(1, purpose, items, (len(NUISANCE_NAMES),))

    def photograph(self, identity, nuisance, items):
        self.shots += list(zip(identity.numpy(), nuisance.numpy(), items, strict=True))
        return np.zeros((len(items), 4, 4, 3), np.uint8)


def captured(tmp_path, kind, **settings):
    world = RecordingWorld()
    options = {"first_person": 100, "pairs": 80, "people": 40} | settings
    settings = BenchmarkCapture(kind, **options)
    world.persons = capture_benchmark(world, tmp_path / f"{kind}.bin", settings, seed=5)
    images, same = read_bin(tmp_path / f"{kind}.bin")
    assert len(images) == len(world.shots) == options["pairs"] * 2
    return world, same


def person_of(shot, world, people=range(100, 140)):
    bones = [i for i, name in enumerate(IDENTITY_NAMES) if name not in AGEING_NAMES]
    raw = world.people(people).numpy()
    return int(np.abs(raw[:, bones] - shot[0][bones]).sum(axis=1).argmin()) + people[0]


def yaw(shot):
    amount = NUISANCE["yaw"]
    return amount.half * np.tanh(0.75 * shot[1][NUISANCE_NAMES.index("yaw")])


@pytest.mark.parametrize("kind", KINDS)
def test_labels_tell_who_is_on_the_pairs_and_every_fold_is_balanced_and_has_its_own_people(tmp_path, kind):
    world, same = captured(tmp_path, kind)
    shown = np.array([person_of(shot, world) for shot in world.shots]).reshape(-1, 2)
    np.testing.assert_array_equal(shown[:, 0] == shown[:, 1], same)
    np.testing.assert_array_equal(shown, world.persons)
    folds = [set(fold.ravel()) for fold in np.split(shown, 10)]
    assert all(first.isdisjoint(second) for i, first in enumerate(folds) for second in folds[:i])
    assert [labels.tolist() for labels in np.split(same, 10)] == [[True] * 4 + [False] * 4] * 10
    assert len({item for _, _, item in world.shots}) == len(world.shots)


def test_cross_pose_pairs_are_turned_to_opposite_sides(tmp_path):
    world, _ = captured(tmp_path, "cplfw")
    yaws = np.array([yaw(shot) for shot in world.shots]).reshape(-1, 2)
    assert (np.sign(yaws[:, 0]) == -np.sign(yaws[:, 1])).all()
    assert (np.abs(yaws) >= 19.99).all() and (np.abs(yaws) <= 45.01).all()
    assert 20 < (yaws[:, 0] < 0).sum() < 60


def test_frontal_profile_pairs_have_one_of_each(tmp_path):
    world, _ = captured(tmp_path, "cfp_fp")
    yaws = np.array([yaw(shot) for shot in world.shots]).reshape(-1, 2)
    assert (np.abs(yaws[:, 0]) <= 5.01).all() and (np.abs(yaws[:, 1]) >= 41.99).all()
    assert 20 < (yaws[:, 1] < 0).sum() < 60


def test_ageing_changes_hair_and_skin_of_the_second_photograph_and_no_bones(tmp_path):
    drifts = {}
    ageing = np.isin(IDENTITY_NAMES, AGEING_NAMES)
    for kind in ("lfw", "calfw", "agedb_30"):
        world, same = captured(tmp_path, kind)
        shots = np.array([shot[0] for shot in world.shots]).reshape(-1, 2, len(IDENTITY_NAMES))[same]
        change = shots[:, 1] - shots[:, 0]
        assert (change[:, ~ageing] == 0).all()
        drifts[kind] = change[:, ageing].std()
        raw = world.people(range(100, 140)).numpy()
        assert all((first == raw[person_of((first,), world) - 100]).all() for first in shots[:, 0])
    assert drifts["lfw"] == 0
    assert drifts["calfw"] == pytest.approx(0.4, rel=0.1) and drifts["agedb_30"] == pytest.approx(0.7, rel=0.1)


def test_impostors_of_one_group_are_more_alike_in_complexion_and_build(tmp_path):
    columns = [IDENTITY_NAMES.index(name) for name in GROUP_NAMES]
    distance = {}
    for kind in ("lfw", "calfw"):
        world, same = captured(tmp_path, kind, people=120, pairs=200)
        shots = np.array([shot[0][columns] for shot in world.shots]).reshape(-1, 2, len(columns))[~same]
        distance[kind] = np.linalg.norm(shots[:, 0] - shots[:, 1], axis=1).mean()
    assert distance["calfw"] < 0.75 * distance["lfw"]


def test_the_same_settings_make_the_same_file_and_another_seed_another(tmp_path):
    shots = []
    for seed in (1, 1, 2):
        world = RecordingWorld()
        settings = BenchmarkCapture("agedb_30", first_person=0, pairs=20, people=20)
        capture_benchmark(world, tmp_path / "a.bin", settings, seed=seed)
        shots.append(torch.tensor(np.array([shot[0] for shot in world.shots])))
    assert torch.equal(shots[0], shots[1]) and not torch.equal(shots[0], shots[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "lwf"}, "kind is 'lwf', .* lfw, cplfw"),
        ({"pairs": 30}, "pairs is 30, .* a multiple of 20"),
        ({"pairs": 0}, "pairs is 0"),
        ({"people": 19}, "people is 19, .* at least 20"),
        ({"first_person": -1}, "first_person is -1"),
    ],
)
def test_impossible_settings_are_refused_by_name(change, message):
    with pytest.raises(BrownidError, match=message):
        BenchmarkCapture(**({"kind": "lfw", "first_person": 0} | change))
