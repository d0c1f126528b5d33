"""Statistics over all pairs, tile by tile."""

import math

import pytest
import torch
from slow_dynamics import angle, random_latents

from brownid.embeddings import pairwise
from brownid.embeddings.angles import fixed_repulsion, tile_side
from brownid.embeddings.neighbours import nearest
from brownid.embeddings.pairwise import angle_statistics, angles_within, latent_statistics, pairwise_forces
from brownid.jobs.distributed import SINGLE


def test_three_embeddings_on_a_circle_have_the_angles_one_reads_off():
    radians = torch.tensor([0.0, 0.5, 1.5], dtype=torch.float64)
    statistics = angle_statistics(torch.stack([radians.cos(), radians.sin()], dim=1), 1.2)
    assert statistics.minimum == pytest.approx(0.5, abs=1e-5)
    assert statistics.mean == pytest.approx((0.5 + 1.0 + 1.5) / 3, abs=1e-5)
    assert statistics.maximum == pytest.approx(1.5, abs=1e-5)
    assert statistics.share_above == 1 / 3
    assert statistics.nearest.tolist() == pytest.approx([0.5, 0.5, 1.0], abs=1e-5)


def test_all_pairs_of_almost_orthogonal_embeddings_are_above_the_threshold():
    assert angle_statistics(random_latents(24, 512, dtype=torch.float32), 1.2).share_above == 1.0


def test_angles_within_groups_are_those_of_their_pairs_at_every_size_of_part(monkeypatch):
    groups = random_latents(5, 4, 6)
    expected = [[float(angle(group[i], group[j])) for i in range(4) for j in range(i + 1, 4)] for group in groups]
    for tile in (1, 5, 512):
        monkeypatch.setattr(pairwise, "tile_side", lambda device, tile=tile: tile)
        torch.testing.assert_close(angles_within(groups), torch.tensor(expected, dtype=torch.float64))
    assert angles_within(groups[:, :1]).shape == (5, 0)


@pytest.mark.parametrize("tile", [1, 2, 4, 5, 11, 64])
def test_every_pair_is_counted_once_at_every_tile_size(tile):
    embeddings = random_latents(11, 4)
    angles = torch.tensor([[float(angle(a, b)) for a in embeddings] for b in embeddings], dtype=torch.float64)
    upper = angles[*torch.triu_indices(11, 11, 1)]
    statistics = angle_statistics(embeddings, 1.4, tile=tile)
    assert statistics.minimum == pytest.approx(float(upper.min()))
    assert statistics.mean == pytest.approx(float(upper.mean()))
    assert statistics.maximum == pytest.approx(float(upper.max()))
    assert statistics.share_above == float((upper > 1.4).double().mean())
    torch.testing.assert_close(statistics.nearest, angles.fill_diagonal_(math.inf).amin(dim=1))


@pytest.mark.parametrize("tile", [1, 4, 5, 11, 64])
def test_latent_distances_agree_with_the_plain_ones_at_every_tile_size(tile):
    latents = random_latents(11, 4)
    distances = torch.pdist(latents)
    statistics = latent_statistics(latents, tile=tile)
    expected = (distances.min(), distances.mean(), distances.max())
    assert (statistics.minimum, statistics.mean, statistics.maximum) == pytest.approx([float(x) for x in expected])


def test_the_smallest_distance_is_exact_where_latents_almost_agree():
    latents = 20 * random_latents(40, 512, dtype=torch.float32)
    latents[31] = latents[5]
    latents[31, 0] += 0.001
    difference = float((latents[31] - latents[5]).norm())
    assert latent_statistics(latents, tile=16).minimum == difference
    latents[31] = latents[5]
    assert latent_statistics(latents, tile=16).minimum == 0


@pytest.mark.parametrize("suspects", [1, 3, 4096])
def test_the_closest_of_many_latents_that_almost_agree_is_found(monkeypatch, suspects):
    monkeypatch.setattr(pairwise, "_SUSPECTS", suspects)
    latents = 20 * random_latents(60, 128, dtype=torch.float32)
    latents[20:40] = latents[0] + 0.003 * random_latents(20, 128, seed=1, dtype=torch.float32)
    latents[37] = latents[24]
    latents[37, 0] += 0.002  # matrix products cannot tell this pair from the others of the twenty
    difference = float((latents[37] - latents[24]).norm())
    for tile in (7, 64):
        assert latent_statistics(latents, tile=tile).minimum == difference


def test_latents_that_are_all_equal_have_no_distances():
    statistics = latent_statistics((random_latents(1, 16) + 100).repeat(30, 1), tile=8)
    assert (statistics.minimum, statistics.mean, statistics.maximum) == pytest.approx((0, 0, 0), abs=1e-12)


def test_no_loop_over_tiles_reads_a_number_from_a_gpu(monkeypatch):
    monkeypatch.setattr(pairwise.AngleTally, "finish", lambda tally, group: tally)
    vectors = random_latents(30, 8).to("meta")  # where reading is an error
    forces = pairwise_forces(vectors, 1.0, 1.4, 1.4, tile=4)
    assert forces.gradients.is_meta and forces.angles._nearest.is_meta
    assert all(found.is_meta for found in pairwise._LatentTiles(vectors, 4, SINGLE).sweep())
    assert all(found.is_meta for found in fixed_repulsion(vectors, vectors, 1.0, 0.6, tile=4))
    assert all(found.is_meta for found in nearest(vectors, vectors, 3, tile=4))


def test_tiles_are_larger_on_a_gpu():
    assert (tile_side(torch.device("cpu")), tile_side(torch.device("cuda", 1))) == (512, 4096)


def test_a_lone_identity_has_no_pairs():
    statistics = angle_statistics(random_latents(1, 4), 1.4)
    assert math.isnan(statistics.minimum) and math.isnan(statistics.share_above)
    assert statistics.nearest.tolist() == [math.inf]
    assert math.isnan(latent_statistics(random_latents(1, 4)).minimum)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_latents_that_are_equal_and_central_have_the_distance_zero(count):
    assert latent_statistics(torch.ones(count, 8)).minimum == 0.0
