"""Pair energies and their closed-form gradients."""

import math

import pytest
import torch
from slow_dynamics import angle, pairwise_energy, random_latents, relative_difference

from brownid.embeddings import angles
from brownid.embeddings.angles import (
    COSINE_SCALE,
    angles_to,
    attraction_gradient,
    fixed_repulsion,
    latent_repulsion,
    neighbour_repulsion,
)
from brownid.embeddings.pairwise import pairwise_forces
from brownid.runtime.errors import BrownidError


def on_circle(*degrees: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1).to(dtype)


def autograd_repulsion(embeddings, others_of, coefficient, radius):
    energies, gradients = [], []
    for i in range(len(embeddings)):
        e = embeddings[i].clone().requires_grad_(True)
        energy = pairwise_energy(e, others_of(i), coefficient, radius)
        energies.append(energy.detach())
        gradients.append(torch.autograd.grad(energy, e)[0] if energy.requires_grad else torch.zeros_like(e))
    return torch.stack(energies), torch.stack(gradients)


def test_repulsion_from_fixed_embeddings_agrees_with_autograd():
    embeddings, fixed = random_latents(7, 4), random_latents(9, 4, seed=1)
    energies, gradients = fixed_repulsion(embeddings, fixed, 0.8, 1.3, tile=4)
    true = autograd_repulsion(embeddings, lambda i: list(fixed), 0.8, 1.3)
    assert relative_difference(energies, true[0]) < 1e-10
    assert relative_difference(gradients, true[1]) < 1e-10


@pytest.mark.parametrize("tile", [1, 3, 4, 64])
def test_the_repulsion_of_some_from_their_neighbours_agrees_with_autograd_at_every_tile_size(tile):
    embeddings, older = random_latents(5, 4), random_latents(11, 4, seed=1)
    energies, gradients = neighbour_repulsion(embeddings, older, 4, 1.7, 1.6, tile=tile)
    true = autograd_repulsion(embeddings, lambda i: [older[j] for j in range(11) if j != 4 + i], 1.7, 1.6)
    assert relative_difference(energies, true[0]) < 1e-10
    assert relative_difference(gradients, true[1]) < 1e-10


def test_an_identity_feels_nothing_from_its_own_older_embedding():
    older = on_circle(0, 90, 180, 270)
    energies, gradients = neighbour_repulsion(older[2:] + 0.01, older, 2, 1.0, 1.5)
    assert energies.abs().max() == 0 and gradients.abs().max() == 0


@pytest.mark.parametrize("tile", [2, 5, 64])
def test_batches_of_identities_have_the_forces_of_all_together(tile):
    embeddings = random_latents(11, 4)
    whole = pairwise_forces(embeddings, 1.7, 1.6, 1.0)
    for first in range(0, 11, 3):
        batch = slice(first, first + 3)
        energies, gradients = neighbour_repulsion(embeddings[batch], embeddings, first, 1.7, 1.6, tile=tile)
        torch.testing.assert_close(energies, whole.energies[batch])
        torch.testing.assert_close(gradients, whole.gradients[batch])


@pytest.mark.parametrize("first", [-1, 3])
def test_identities_that_are_not_among_the_others_are_refused(first):
    with pytest.raises(BrownidError, match="are not all among the 4 others"):
        neighbour_repulsion(random_latents(2, 4), random_latents(4, 4), first, 1.0, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_and_opposite_embeddings_give_finite_forces(dtype):
    embeddings = random_latents(1, 512, dtype=dtype).repeat(6, 1)
    embeddings[4:] *= -1
    energies, gradients = neighbour_repulsion(embeddings, embeddings, 0, 1.0, math.pi)
    assert energies.isfinite().all() and gradients.isfinite().all()
    assert gradients.abs().max() < 1e-2  # no direction is preferred
    assert attraction_gradient(embeddings, embeddings, 20.0).isfinite().all()
    assert attraction_gradient(embeddings, -embeddings, 20.0).isfinite().all()
    assert float(angles_to(embeddings, embeddings).max()) == pytest.approx(math.acos(COSINE_SCALE), rel=0.1)


def test_no_array_is_larger_than_a_tile(monkeypatch):
    sizes = []
    acos = torch.acos
    monkeypatch.setattr(angles.torch, "acos", lambda values: sizes.append(values.numel()) or acos(values))
    fixed_repulsion(random_latents(30, 4), random_latents(50, 4, seed=1), 1.0, 2.0, tile=8)
    assert max(sizes) == 64


def test_others_of_unit_norm_need_not_be_normalised_again():
    embeddings, others = random_latents(30, 4), random_latents(50, 4, seed=1)
    unit = angles.unit_and_norms(others)[0]
    found, again = (
        fixed_repulsion(embeddings, o, 1.0, 2.0, tile=8, unit=u) for o, u in ((others, False), (unit, True))
    )
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


def test_tiles_of_a_small_batch_are_wide_on_a_gpu(monkeypatch):
    shapes = []
    acos = torch.acos
    monkeypatch.setattr(angles.torch, "acos", lambda values: shapes.append(tuple(values.shape)) or acos(values))
    others = random_latents(50, 4, seed=1)
    for rows, expected in ((2, [(2, 32), (2, 18)]), (8, [(8, 8)] * 6 + [(8, 2)])):
        shapes.clear()
        fixed_repulsion(random_latents(rows, 4).to("meta"), others.to("meta"), 1.0, 2.0, tile=8, unit=True)
        assert shapes == expected


def test_the_pull_towards_the_reference_agrees_with_autograd():
    embeddings, references = random_latents(6, 4), random_latents(6, 4, seed=1)
    leaf = embeddings.clone().requires_grad_(True)
    energy = sum(7.0 / 4 * angle(e, r) ** 2 for e, r in zip(leaf, references, strict=True))
    (true,) = torch.autograd.grad(energy, leaf)
    assert relative_difference(attraction_gradient(embeddings, references, 7.0), true) < 1e-10


def test_two_latents_closer_than_the_radius_push_each_other_apart_in_a_line():
    latents = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)
    energies, gradients, distances = latent_repulsion(latents, 2.0, 3.0)
    assert energies.tolist() == [2 / 2 * (3 - 1) ** 2]
    assert gradients[0].tolist() == [[4.0, 0.0], [-4.0, 0.0]]
    assert distances.tolist() == [[1.0]]


def test_latent_repulsion_agrees_with_autograd_in_groups_of_any_size(monkeypatch):
    latents = random_latents(5, 4, 3)
    leaf = latents.clone().requires_grad_(True)
    distances = torch.stack([(leaf[:, a] - leaf[:, b]).norm(dim=1) for a in range(4) for b in range(a + 1, 4)], dim=1)
    energies = 1.3 / 2 * torch.relu(2.0 - distances).square().sum(dim=1)
    (true,) = torch.autograd.grad(energies.sum(), leaf)
    for pairs in (1, 40, 2**22):
        monkeypatch.setattr(angles, "_LATENT_PAIRS", pairs)
        found = latent_repulsion(latents, 1.3, 2.0)
        torch.testing.assert_close(found, (energies.detach(), true, distances.detach()), rtol=1e-9, atol=1e-12)


def test_equal_latents_give_finite_forces():
    latents = torch.zeros(2, 3, 4) + 100.3
    latents[1, 2, 0] += 1.0
    _, gradients, distances = latent_repulsion(latents, 1.0, 12.0)
    assert gradients.isfinite().all() and distances.min() == 0
    assert gradients[0].abs().max() == 0


def test_embeddings_of_another_length_are_refused():
    with pytest.raises(BrownidError, match="4 numbers cannot be compared with embeddings of 5"):
        fixed_repulsion(random_latents(3, 4), random_latents(3, 5), 1.0, 1.0)
