"""The quality of a dataset equals what is counted by hand and by brute force, whatever the tile."""

import numpy as np
import pytest

from brownid.embeddings import quality
from brownid.embeddings.distances import AngleDistribution, wasserstein_distance
from brownid.embeddings.quality import measure_dataset
from brownid.runtime.errors import BrownidError

BIN = np.pi / 3600


def directions(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_two_identities_on_a_circle_are_measured_as_by_hand():
    # the references at 0 and 90 degrees; each has an image near to it, and one that is nearer to the other's
    embeddings = 3 * directions(0, 10, 60, 90, 80, 30)
    found = measure_dataset(
        embeddings, [7, 7, 7, 4, 4, 4], near_duplicate_angle=np.radians(11), training=directions(-20, 200)
    )
    figures = found.figures
    assert (figures["identities"], figures["images"], figures["identity_consistency"]) == (2, 6, 0.5)
    assert figures["genuine_mean"] == pytest.approx(np.radians(40))
    assert figures["diversity"] == pytest.approx(np.radians(10)), "of the pairs 0, 10 and 90, 80"
    assert figures["near_duplicates"] == pytest.approx(2 / 6)
    assert figures["nearest_impostor_mean"] == pytest.approx(np.radians(90))
    assert figures["leak_minimum"] == pytest.approx(np.radians(20))
    assert found.identities.tolist() == [4, 7] and found.images.tolist() == [3, 3]
    np.testing.assert_allclose(found.reference_angles, np.radians(35), atol=1e-6)
    np.testing.assert_allclose(found.consistency, 0.5)


@pytest.mark.parametrize("tile", [3, 1000])
def test_any_tile_gives_what_brute_force_gives(tile, monkeypatch):
    monkeypatch.setattr(quality, "TILE", tile)
    random = np.random.default_rng(0)
    numbers = np.array([3, 1, 1, 3, 2, 2, 1, 3, 9, 2, 3, 3])  # the first row of each is its reference; 9 is alone
    rows = random.standard_normal((len(numbers), 5)) + 0.7 * random.standard_normal((10, 5))[numbers]
    found = measure_dataset(rows, numbers, near_duplicate_angle=0.5)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    angles = np.arccos(np.clip(rows @ rows.T, -1, 1))
    references = {number: int(np.flatnonzero(numbers == number)[0]) for number in (1, 2, 3, 9)}
    nearest = {row: min(references, key=lambda n: angles[row, references[n]]) for row in range(len(numbers))}
    probes = [row for row in range(len(numbers)) if row not in references.values()]
    pairs = [(a, b) for a in range(len(numbers)) for b in range(a) if numbers[a] == numbers[b]]
    kept = [pair for pair in pairs if all(nearest[row] == numbers[row] for row in pair)]
    figures = found.figures
    assert figures["identity_consistency"] == pytest.approx(np.mean([nearest[row] == numbers[row] for row in probes]))
    assert 0 < figures["identity_consistency"] < 1
    assert found.genuine.count == len(pairs) and found.consistent.count == len(kept)
    assert figures["diversity"] == pytest.approx(np.mean([angles[pair] for pair in kept]), abs=1e-6)
    assert figures["near_duplicates"] == pytest.approx(np.mean([angles[pair] < 0.5 for pair in pairs]))
    own = [[angles[row, references[number]] for row in probes if numbers[row] == number] for number in (1, 2, 3)]
    np.testing.assert_allclose(found.reference_angles, [*map(np.mean, own), np.nan], atol=1e-6)
    among = angles[np.ix_(list(references.values()), list(references.values()))] + 9 * np.eye(4)
    np.testing.assert_allclose(found.impostor_angles, among.min(axis=1), atol=1e-6)


def test_references_alone_have_impostors_only_and_one_identity_has_none():
    figures = measure_dataset(directions(0, 40, 70), [0, 1, 2], near_duplicate_angle=0.1).figures
    assert figures["nearest_impostor_mean"] == pytest.approx(np.radians((40 + 30 + 30) / 3))
    unknown = ("identity_consistency", "genuine_mean", "genuine_q50", "diversity", "near_duplicates", "leak_minimum")
    assert [figures[name] for name in unknown] == [None] * len(unknown)
    alone = measure_dataset(directions(0, 40), [5, 5], near_duplicate_angle=0.1)
    assert alone.figures["identity_consistency"] is None and alone.figures["nearest_impostor_mean"] is None
    assert alone.figures["genuine_mean"] == pytest.approx(np.radians(40))
    with pytest.raises(BrownidError, match="2 embeddings came with 1 identities"):
        measure_dataset(directions(0, 40), [5], near_duplicate_angle=0.1)


def test_quantiles_are_those_of_the_angles_to_a_bin():
    angles = np.random.default_rng(0).normal(0.8, 0.1, 5000)
    distribution = AngleDistribution.of(angles)
    for share in (0.05, 0.5, 0.95):
        assert distribution.quantile(share) == pytest.approx(np.quantile(angles, share), abs=2 * BIN)
    assert distribution.quantile(1.0) == pytest.approx(angles.max())
    assert AngleDistribution.of(angles[:1]).quantile(0.05) == pytest.approx(angles[0])
    assert np.isnan(AngleDistribution().quantile(0.5))


def test_the_wasserstein_distance_is_how_far_a_distribution_was_moved():
    angles = np.random.default_rng(0).normal(0.8, 0.1, 500)
    counts = [AngleDistribution.of(values).counts for values in (angles, angles + 0.3, np.repeat(angles, 3))]
    assert wasserstein_distance(counts[0], counts[1]) == pytest.approx(0.3, abs=BIN)
    assert wasserstein_distance(counts[0], counts[2]) == pytest.approx(0, abs=1e-9)
    halves = [AngleDistribution.of(np.array(values)).counts for values in ([0.2, 0.4], [0.2, 1.0])]
    assert wasserstein_distance(*halves) == pytest.approx(0.3, abs=BIN)
    assert np.isnan(wasserstein_distance(counts[0], np.zeros(3600)))
