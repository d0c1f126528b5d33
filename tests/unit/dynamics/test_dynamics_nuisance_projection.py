"""Nuisance projection: references begin and move outside the nuisance directions alone."""

import dataclasses

import pytest
import torch
from forked import in_processes
from slow_dynamics import IdentityModel, ToyFaceModel, random_latents
from test_dynamics_processes import assert_close

from brownid.dynamics.baselines import random_references, reject_references, repulse_references
from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import LangevinSettings, RejectSettings, RepulseSettings
from brownid.dynamics.steps import NuisanceProjection
from brownid.jobs.distributed import SINGLE
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal

MODEL, FIXED = ToyFaceModel(embedding_dim=5), random_latents(4, 5, seed=7)
SETTINGS = LangevinSettings(iterations=4, repulsion_coefficient=2.0, random_force=0.3, force_clip=2.0)
BASIS = torch.linalg.qr(random_latents(6, 6, seed=4))[0].T  # orthonormal rows
NUISANCE, COMPLEMENT = BASIS[:2], BASIS[2:]


class ComplementModel:
    """A face model in coordinates u of the complement of the nuisance directions: w = w̄ + u B."""

    latent_mean = torch.zeros(len(COMPLEMENT), dtype=torch.float64)

    def embed(self, coordinates):
        return MODEL.embed(MODEL.latent_mean + coordinates @ COMPLEMENT)


def coordinates(latents):
    return (latents - MODEL.latent_mean) @ COMPLEMENT.T


def components(latents):
    return (latents - MODEL.latent_mean) @ NUISANCE.T


def draw(numbers):
    return normal(3, "test/draw", numbers, (6,)).double()


def run(directions, settings=SETTINGS, model=MODEL, **more):
    return langevin(
        model, random_latents(9, 6), settings, seed=5, fixed_embeddings=FIXED, nuisance_directions=directions, **more
    )


@pytest.mark.parametrize("timestep", [0.04, -0.3])
def test_references_never_move_along_an_axis_that_is_nuisance(timestep):
    settings = dataclasses.replace(SETTINGS, timestep=timestep, latent_force=0.5)
    axis = torch.eye(5, dtype=torch.float64)[3:4]
    start = random_latents(8, 5)
    free = langevin(IdentityModel(5), start, settings, seed=1)
    held = langevin(IdentityModel(5), start, settings, seed=1, nuisance_directions=axis)
    assert (free.latents[:, 3] != start[:, 3]).all()
    assert (held.latents[:, 3] == 0).all()
    # with no noise, what is left is Langevin among the other four axes
    calm = dataclasses.replace(settings, random_force=0.0)
    others = [0, 1, 2, 4]
    held = langevin(IdentityModel(5), start, calm, seed=1, nuisance_directions=axis)
    without = langevin(IdentityModel(4), start[:, others], calm, seed=1)
    torch.testing.assert_close(held.latents[:, others], without.latents)
    for name, values in without.statistics.items():
        assert held.statistics[name].tolist() == pytest.approx(values.tolist(), rel=1e-9), name


@pytest.mark.parametrize("neighbours", ["current", "previous"])
def test_projected_langevin_is_langevin_in_coordinates_of_the_complement(neighbours):
    settings = dataclasses.replace(SETTINGS, random_force=0.0, neighbours=neighbours)
    held = run(NUISANCE, settings)
    inside = langevin(ComplementModel(), coordinates(random_latents(9, 6)), settings, seed=5, fixed_embeddings=FIXED)
    assert components(held.latents).abs().max() < 1e-12
    torch.testing.assert_close(coordinates(held.latents), inside.latents)
    torch.testing.assert_close(held.embeddings, inside.embeddings)
    for name, values in inside.statistics.items():
        assert held.statistics[name].tolist() == pytest.approx(values.tolist(), rel=1e-9, abs=1e-12), name


def test_the_noise_is_projected_and_its_statistics_with_it():
    settings = dataclasses.replace(SETTINGS, iterations=1)
    noise = settings.random_force * normal(5, "langevin/noise", range(9), (6,), 0).double()
    found = run(NUISANCE, settings).statistics
    assert found["rndf_max"][0] == pytest.approx(float((noise @ COMPLEMENT.T).norm(dim=1).max()))


def test_another_basis_of_the_same_subspace_gives_the_same_references():
    turn = torch.linalg.qr(random_latents(2, 2, seed=8))[0]
    torch.testing.assert_close(run(turn @ NUISANCE).latents, run(NUISANCE).latents)
    assert not torch.allclose(run(BASIS[1:3]).latents, run(NUISANCE).latents)


def test_no_directions_give_the_published_dynamics_to_the_last_bit():
    for free, empty in (
        (run(None), run(NUISANCE[:0])),
        *(
            [random_references(MODEL, draw, 6, nuisance_directions=given) for given in (None, NUISANCE[:0])],
            [
                repulse_references(MODEL, draw, 6, RepulseSettings(ict=0.5), nuisance_directions=given)
                for given in (None, NUISANCE[:0])
            ],
        ),
    ):
        assert torch.equal(free.latents, empty.latents) and torch.equal(free.embeddings, empty.embeddings)
        assert all((free.statistics[name] == empty.statistics[name]).all() for name in free.statistics)


def test_random_and_rejected_references_are_projected_draws():
    projected = MODEL.latent_mean + (draw(range(200)) - MODEL.latent_mean) @ COMPLEMENT.T @ COMPLEMENT
    drawn = random_references(MODEL, draw, 6, batch_size=4, nuisance_directions=NUISANCE)
    torch.testing.assert_close(drawn.latents, projected[:6])
    torch.testing.assert_close(drawn.embeddings, MODEL.embed(projected[:6]))
    settings = RejectSettings(ict=0.7)
    rejected = reject_references(MODEL, draw, 6, settings, nuisance_directions=NUISANCE)
    expected = reject_references(MODEL, lambda numbers: projected[list(numbers)], 6, settings)
    assert rejected.candidates == expected.candidates != list(range(6))
    torch.testing.assert_close(rejected.latents, expected.latents)


def test_projected_repulsion_is_repulsion_in_coordinates_of_the_complement():
    settings = RepulseSettings(ict=0.9, repulsion_coefficient=0.4, repulsion_radius=1.1, fixed_distance=0.5)
    held = repulse_references(
        MODEL, draw, 6, settings, fixed_embeddings=FIXED, nuisance_directions=NUISANCE, batch_size=4
    )
    inside = repulse_references(
        ComplementModel(), lambda numbers: coordinates(draw(numbers)), 6, settings, fixed_embeddings=FIXED
    )
    assert held.candidates == inside.candidates and components(held.latents).abs().max() < 1e-12
    assert not torch.allclose(coordinates(held.latents), coordinates(draw(held.candidates)))  # some have moved
    torch.testing.assert_close(coordinates(held.latents), inside.latents)


def numbers(group, **more):
    result = run(NUISANCE, batch_size=3, group=group, **more)
    found = {"latents": result.latents, "embeddings": result.embeddings}
    return {name: tensor.tolist() for name, tensor in found.items()} | {
        name: values.tolist() for name, values in result.statistics.items()
    }


def test_several_processes_give_the_result_of_one():
    alone = numbers(SINGLE)
    for size in (2, 3):
        found = in_processes(size, numbers)
        assert_close(found[0], alone)
        assert all(other == found[0] for other in found)  # to the last bit


class StoppingModel(ToyFaceModel):
    """Ends the process in its eleventh pass."""

    def embed(self, latents):
        if len(self.batches) == 10:
            raise KeyboardInterrupt
        return super().embed(latents)


def interrupted(path):
    with pytest.raises(KeyboardInterrupt):
        run(NUISANCE, model=StoppingModel(embedding_dim=5), batch_size=3, state=StateFile(path, {}))
    return StateFile(path, {})


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path):
    assert numbers(SINGLE, state=interrupted(tmp_path / "state")) == numbers(SINGLE)


@pytest.mark.parametrize("directions", [None, BASIS[:1], BASIS[1:3]], ids=["none", "fewer", "others"])
def test_a_state_of_other_nuisance_directions_is_refused(tmp_path, directions):
    with pytest.raises(BrownidError, match=r"nuisance_directions is .* there and .* here"):
        run(directions, batch_size=3, state=interrupted(tmp_path / "state"))


def test_directions_that_span_no_projection_are_refused_in_a_sentence():
    mean = MODEL.latent_mean
    with pytest.raises(BrownidError, match=r"nuisance_directions has shape \[2, 5\], but must have shape \[any, 6\]"):
        NuisanceProjection(NUISANCE[:, :5], mean)
    with pytest.raises(BrownidError, match="must be orthonormal"):
        NuisanceProjection(2 * NUISANCE, mean)
    with pytest.raises(BrownidError, match="6 nuisance directions leave no other among the 6"):
        NuisanceProjection(BASIS, mean)
