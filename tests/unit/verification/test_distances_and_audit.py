"""Angle distributions and the leak audit: equal to brute force, whatever the tile."""

import csv

import numpy as np
import pytest

from brownid.embeddings.distances import (
    BIN_EDGES,
    AngleDistribution,
    distance_distributions,
    genuine_and_impostor,
    leak_audit,
    nearest_angles,
    write_audit,
)
from brownid.runtime.errors import BrownidError


def unit(n, dimension=8, seed=0):
    rows = np.random.default_rng(seed).standard_normal((n, dimension))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def angles_between(first, second):
    return np.arccos(np.clip(first @ second.T, -1, 1))


@pytest.mark.parametrize("tile", [1, 7, 100])
def test_nearest_angles_equal_brute_force_for_every_tile(tile):
    queries, gallery = unit(30), unit(43, seed=1)
    index, angles = nearest_angles(queries, gallery, tile)
    expected = angles_between(queries, gallery)
    np.testing.assert_array_equal(index, expected.argmin(axis=1))
    np.testing.assert_allclose(angles, expected.min(axis=1), atol=1e-6)
    own_index, own = nearest_angles(queries, tile=tile)
    among = angles_between(queries, queries) + 9 * np.eye(30)
    np.testing.assert_array_equal(own_index, among.argmin(axis=1))
    np.testing.assert_allclose(own, among.min(axis=1), atol=1e-6)


def test_equal_embeddings_are_at_angle_zero_exactly():
    rows = unit(5, 512)
    assert nearest_angles(rows, rows)[1].max() == 0
    doubled = np.concatenate([rows, rows])
    index, angles = nearest_angles(doubled)
    assert angles.max() == 0 and index.tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("tile", [3, 100])
def test_genuine_and_impostor_pairs_are_counted_once_each(tile):
    rows, identities = unit(20), np.array([0, 1, 2, 3] * 5)
    genuine, impostor = genuine_and_impostor(rows, identities, tile=tile)
    angles = angles_between(rows, rows)
    upper = np.triu(np.ones((20, 20), bool), 1)
    same = identities[:, None] == identities
    assert (genuine.count, impostor.count) == (4 * 10, 150)
    for found, mask in ((genuine, upper & same), (impostor, upper & ~same)):
        assert found.mean == pytest.approx(angles[mask].mean(), abs=1e-6)
        assert found.std == pytest.approx(angles[mask].std(), abs=1e-6)
        assert found.minimum == pytest.approx(angles[mask].min(), abs=1e-5)
        np.testing.assert_array_equal(found.histogram, np.histogram(angles[mask], BIN_EDGES)[0])


def test_a_large_set_can_be_measured_on_some_of_its_rows():
    rows, identities = unit(300), np.arange(300) // 3
    genuine, impostor = genuine_and_impostor(rows, identities, maximum_rows=50, seed=4)
    again = genuine_and_impostor(rows, identities, maximum_rows=50, seed=4)[1]
    assert genuine.count == 300
    assert 0 < impostor.count <= 50 * 49 / 2
    assert impostor.mean == again.mean
    assert genuine_and_impostor(rows, identities)[1].mean == pytest.approx(impostor.mean, abs=0.1)


def test_a_distribution_does_not_depend_on_the_portions_it_was_given_in():
    angles = np.random.default_rng(0).random(1000) * np.pi
    whole, parts = AngleDistribution(), AngleDistribution()
    whole.add(angles)
    for part in np.array_split(angles, 13):
        parts.add(part)
    parts.add(np.empty(0))
    assert parts.mean == pytest.approx(whole.mean, abs=1e-12)
    assert parts.std == pytest.approx(angles.std(), abs=1e-9)
    assert (parts.minimum, parts.maximum) == (angles.min(), angles.max())
    np.testing.assert_array_equal(parts.histogram, whole.histogram)


def test_a_distribution_of_nothing_is_none_rather_than_nan_in_a_file():
    assert AngleDistribution().as_dict()["mean"] is None


def test_the_distributions_of_a_dataset_use_the_first_row_of_each_identity_as_its_reference():
    rows, training = unit(12), unit(30, seed=1)
    result = distance_distributions(rows, [5, 5, 5, 2, 2, 2, 9, 9, 9, 1, 1, 1], training)
    assert result["nearest"].count == result["to_training"].count == 4
    references = rows[[0, 3, 6, 9]]
    assert result["to_training"].minimum == pytest.approx(angles_between(references, training).min(), abs=1e-6)
    assert "to_training" not in distance_distributions(rows, [0] * 12)


@pytest.mark.parametrize("tile", [3, 5, 1000])
def test_the_audit_finds_a_planted_copy_and_lists_the_closest_pairs_in_order(tile):
    references, training = unit(40, 32), unit(70, 32, seed=1)
    training[33] = references[17]
    closest = leak_audit(references, training, pairs=6, tile=tile)
    angles = angles_between(references, training)
    order = np.argsort(angles, axis=None)[:6]
    assert [(pair.reference, pair.training) for pair in closest] == [
        tuple(map(int, np.unravel_index(place, angles.shape))) for place in order
    ]
    assert (closest[0].reference, closest[0].training, closest[0].angle) == (17, 33, 0)
    np.testing.assert_allclose([pair.angle for pair in closest[1:]], np.sort(angles, axis=None)[1:6], atol=1e-6)


def test_equal_cosines_at_the_worst_place_do_not_lose_a_pair():
    rows = np.eye(4)[[0, 1, 2, 3, 0, 1]]
    for tile in (1, 2, 4, 1000):
        assert [pair.angle for pair in leak_audit(rows, np.eye(4), pairs=8, tile=tile)] == pytest.approx(
            [0.0] * 6 + [np.pi / 2] * 2
        )


def test_fewer_pairs_than_asked_for_are_all_of_them():
    assert len(leak_audit(unit(2), unit(3, seed=1), pairs=20)) == 6


def test_the_audit_is_written_as_a_table(tmp_path):
    closest = leak_audit(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]]), pairs=2)
    write_audit(tmp_path / "audit.csv", closest, ["r0", "r1"], ["t0", "t1"])
    rows = list(csv.reader((tmp_path / "audit.csv").open()))
    assert rows[0] == ["rank", "reference", "training_image", "angle"]
    assert rows[1] == ["1", "r1", "t0", "0.000000"]
    assert rows[2] == ["2", "r0", "t0", "1.570796"]


def test_embeddings_without_a_direction_and_empty_questions_are_refused():
    with pytest.raises(BrownidError, match="Embedding 1 is zero"):
        nearest_angles(np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(BrownidError, match="someone to be near to"):
        nearest_angles(unit(1))
    with pytest.raises(BrownidError, match="at least 1"):
        leak_audit(unit(2), unit(2), pairs=0)
    with pytest.raises(BrownidError, match="identities"):
        genuine_and_impostor(unit(4), [0, 1])
