"""Energies, forces and angles from one sweep over half of the pairs, alone and shared by processes."""

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from slow_dynamics import pairwise_energy, random_latents, relative_difference

from brownid.embeddings import pairwise
from brownid.embeddings.angles import COSINE_SCALE
from brownid.embeddings.pairwise import (
    angle_statistics,
    latent_statistics,
    pairwise_energies,
    pairwise_forces,
    upper_tiles,
)

COUNT = 23


def on_circle(*degrees: float) -> torch.Tensor:
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def plain_forces(embeddings, coefficient, radius):
    """U_i and ∂U_i/∂e_i by autograd, identity by identity."""
    energies, gradients = [], []
    for i in range(len(embeddings)):
        leaf = embeddings[i].clone().requires_grad_(True)
        energy = pairwise_energy(leaf, [*embeddings[:i], *embeddings[i + 1 :]], coefficient, radius)
        energies.append(energy.detach())
        gradients.append(torch.autograd.grad(energy, leaf)[0])
    return torch.stack(energies), torch.stack(gradients)


@pytest.fixture(scope="module")
def embeddings():
    return random_latents(COUNT, 4) * torch.linspace(0.5, 2, COUNT, dtype=torch.float64)[:, None]  # not of unit norm


@pytest.fixture(scope="module")
def true_forces(embeddings):
    return plain_forces(embeddings, 1.7, 1.6)


class ThreadShare:
    """One of several threads that play the processes."""

    def __init__(self, rank: int, slots: list, barrier: Barrier):
        self.rank, self.size, self._slots, self._barrier = rank, len(slots), slots, barrier

    def _together(self, tensor, reduction):
        self._slots[self.rank] = tensor.clone()
        self._barrier.wait()
        result = reduction(torch.stack(self._slots), 0)
        self._barrier.wait()
        return result

    def sum(self, tensor):
        return self._together(tensor, torch.sum)

    def minimum(self, tensor):
        return self._together(tensor, torch.amin)

    def maximum(self, tensor):
        return self._together(tensor, torch.amax)


def shared(size, work):
    """`work(group)` of each of `size` processes."""
    slots, barrier = [None] * size, Barrier(size, timeout=20)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: work(ThreadShare(rank, slots, barrier)), range(size)))


def test_two_embeddings_at_a_right_angle_push_each_other_along_the_circle():
    found = pairwise_forces(on_circle(0, 90), 3.0, math.pi / 2 + 0.5, 1.0)
    assert found.energies.tolist() == pytest.approx([3 / 2 * 0.5**2] * 2)
    pull = 3 * 0.5 * COSINE_SCALE  # k (d0 − d) s
    torch.testing.assert_close(found.gradients, torch.tensor([[0, pull], [pull, 0]], dtype=torch.float64))
    assert found.angles.mean == pytest.approx(math.pi / 2)


def test_the_middle_one_of_three_feels_no_force():
    gradients = pairwise_forces(on_circle(-40, 0, 40), 1.0, 1.0, 1.0).gradients
    torch.testing.assert_close(gradients[1], torch.zeros(2, dtype=torch.float64))
    assert gradients[0, 1] > 0 > gradients[2, 1]


@pytest.mark.parametrize("radius", [0.0, 1.5])
def test_embeddings_beyond_the_radius_do_not_interact(radius):
    found = pairwise_forces(on_circle(0, 90, 180, 270), 1.0, radius, 1.6, tile=2)
    assert found.energies.abs().max() == 0 and found.gradients.abs().max() == 0
    assert found.angles.share_above == 2 / 6


@pytest.mark.parametrize("tile", [1, 7, 11, 22, COUNT, 64])
def test_forces_and_angles_are_right_at_every_tile_size(embeddings, true_forces, tile):
    found = pairwise_forces(embeddings, 1.7, 1.6, 1.4, tile=tile)
    energies, angles = pairwise_energies(embeddings, 1.7, 1.6, 1.4, tile=tile)
    assert torch.equal(energies, found.energies) and angles.mean == found.angles.mean
    assert relative_difference(found.energies, true_forces[0]) < 1e-10
    assert relative_difference(found.gradients, true_forces[1]) < 1e-10
    angles = angle_statistics(embeddings, 1.4)
    torch.testing.assert_close(found.angles.nearest, angles.nearest)
    assert (found.angles.minimum, found.angles.mean) == pytest.approx((angles.minimum, angles.mean))
    assert (found.angles.maximum, found.angles.share_above) == pytest.approx((angles.maximum, angles.share_above))


def test_every_pair_pushes_where_the_radius_is_pi(embeddings):
    found = pairwise_forces(embeddings, 0.6, math.pi, 1.4, tile=5)
    true = plain_forces(embeddings, 0.6, math.pi)
    assert relative_difference(found.energies, true[0]) < 1e-10
    assert relative_difference(found.gradients, true[1]) < 1e-10


def test_the_gradient_agrees_with_finite_differences_of_the_total_energy():
    embeddings, step = random_latents(5, 3), 1e-6
    gradients = pairwise_forces(embeddings, 1.0, 2.0, 1.0).gradients
    for row, column in [(0, 0), (2, 1), (4, 2)]:
        shift = torch.zeros_like(embeddings)
        shift[row, column] = step
        up, down = (pairwise_forces(embeddings + sign * shift, 1.0, 2.0, 1.0).energies.sum() / 2 for sign in (1, -1))
        assert float(up - down) / (2 * step) == pytest.approx(float(gradients[row, column]), rel=1e-6)


def test_float32_agrees_with_float64():
    embeddings = random_latents(60, 128)
    single, double = (pairwise_forces(e, 1.0, 1.6, 1.5, tile=16) for e in (embeddings.float(), embeddings))
    assert relative_difference(single.energies, double.energies) < 1e-5
    assert relative_difference(single.gradients.double(), double.gradients) < 1e-5


def test_the_order_of_the_identities_does_not_matter(embeddings):
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(5))
    found, other = (pairwise_forces(e, 1.0, 1.6, 1.4, tile=7) for e in (embeddings, embeddings[order]))
    torch.testing.assert_close(other.energies, found.energies[order], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(other.gradients, found.gradients[order], rtol=1e-12, atol=1e-13)
    assert other.angles.mean == pytest.approx(found.angles.mean, rel=1e-12)
    assert other.angles.share_above == found.angles.share_above


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile", [1, 4, 64])
def test_equal_and_opposite_embeddings_give_finite_forces(dtype, tile):
    embeddings = random_latents(1, 512, dtype=dtype).repeat(6, 1)
    embeddings[4:] *= -1
    found = pairwise_forces(embeddings, 1.0, math.pi, 1.0, tile=tile)
    assert found.energies.isfinite().all() and found.gradients.isfinite().all()
    assert found.gradients.abs().max() < 1e-2  # no direction is preferred
    assert found.angles.share_above == 8 / 15


@pytest.mark.parametrize("count", [0, 1])
def test_without_pairs_nothing_acts(count):
    found = pairwise_forces(random_latents(count, 4), 1.0, math.pi, 1.0)
    assert found.energies.tolist() == [0.0] * count and found.gradients.abs().sum() == 0
    assert math.isnan(found.angles.mean) and found.angles.nearest.tolist() == [math.inf] * count


def test_no_array_is_larger_than_a_tile(monkeypatch):
    sizes = []
    acos = torch.acos
    monkeypatch.setattr(pairwise.torch, "acos", lambda values: sizes.append(values.numel()) or acos(values))
    pairwise_forces(random_latents(50, 4), 1.0, 2.0, 1.0, tile=8)
    assert max(sizes) == 64 and sum(sizes) < 50 * 50 * 0.65  # and half of the pairs are enough


@pytest.mark.parametrize("size", [1, 2, 3])
def test_processes_share_the_forces_and_all_get_the_same(embeddings, true_forces, size):
    alone = pairwise_forces(embeddings, 1.7, 1.6, 1.4, tile=5)
    results = shared(size, lambda group: pairwise_forces(embeddings, 1.7, 1.6, 1.4, tile=5, group=group))
    for found in results:
        assert relative_difference(found.energies, true_forces[0]) < 1e-10
        assert relative_difference(found.gradients, true_forces[1]) < 1e-10
        assert torch.equal(found.gradients, results[0].gradients)
        assert torch.equal(found.angles.nearest, alone.angles.nearest)
        assert found.angles.mean == pytest.approx(alone.angles.mean, rel=1e-12)
        assert found.angles.maximum == alone.angles.maximum and found.angles.share_above == alone.angles.share_above


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_the_statistics_and_all_get_the_same(embeddings, size):
    angles, distances = angle_statistics(embeddings, 1.4), latent_statistics(embeddings)
    for tile in (5, 64):  # with the second, some have nothing to do
        for found in shared(size, lambda group, tile=tile: angle_statistics(embeddings, 1.4, tile=tile, group=group)):
            torch.testing.assert_close(found.nearest, angles.nearest)
            assert found.mean == pytest.approx(angles.mean, rel=1e-12) and found.share_above == angles.share_above
        for found in shared(size, lambda group, tile=tile: latent_statistics(embeddings, tile=tile, group=group)):
            assert found.minimum == distances.minimum
            assert (found.mean, found.maximum) == pytest.approx((distances.mean, distances.maximum))


def test_each_process_takes_as_many_tiles_as_the_others_and_together_they_take_all():
    def corners(group=None):
        tiles = upper_tiles(23, 4, torch.device("cpu"), **({} if group is None else {"group": group}))
        return [(tile.rows.start, tile.columns.start) for tile in tiles]

    taken = shared(4, corners)
    assert sorted(corner for tiles in taken for corner in tiles) == corners()
    assert max(map(len, taken)) - min(map(len, taken)) <= 1
