"""Langevin against the plain equations, and what must not change its result."""

import dataclasses
import math

import pytest
import torch
from slow_dynamics import IdentityModel, ToyFaceModel, random_latents, relative_difference, slow_langevin

from brownid.dynamics.langevin import STATISTICS, langevin
from brownid.dynamics.settings import LangevinSettings
from brownid.dynamics.steps import pairwise_statistics
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal

SETTINGS = LangevinSettings(
    iterations=3,
    repulsion_coefficient=1.7,
    repulsion_radius=1.5,
    timestep=0.04,
    viscous_coefficient=1.3,
    random_force=0.2,
    latent_force=0.15,
    fixed_distance=0.9,
    ict=1.2,
)


def with_settings(**changes) -> LangevinSettings:
    return dataclasses.replace(SETTINGS, **changes)


@pytest.mark.parametrize("timestep", [0.04, -0.3])
@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("clip", [None, 1.5])
@pytest.mark.parametrize("batch_size", [5, 64])
@pytest.mark.parametrize("neighbours", ["current", "previous"])
def test_it_follows_the_plain_equations(timestep, guarded, clip, batch_size, neighbours):
    model, settings = ToyFaceModel(), with_settings(timestep=timestep, force_clip=clip, neighbours=neighbours)
    fixed = random_latents(5, 4, seed=2) if guarded else None
    start = random_latents(7, 6)
    result = langevin(model, start, settings, seed=5, fixed_embeddings=fixed, batch_size=batch_size)
    latents, history = slow_langevin(model, start, settings, 5, () if fixed is None else fixed)
    assert relative_difference(result.latents - start, latents - start) < 1e-6
    assert result.statistics["energy"].tolist() == pytest.approx([energy for energy, _, _ in history], rel=1e-6)
    assert result.statistics["timestep"].tolist() == pytest.approx([step for _, step, _ in history], rel=1e-6)
    largest = [float(norms.max()) for _, _, norms in history]
    assert result.statistics["totf_max"].tolist() == pytest.approx(largest, rel=1e-6)


def test_two_particles_on_a_circle_move_as_computed_by_hand():
    settings = LangevinSettings(
        iterations=1, repulsion_coefficient=2, repulsion_radius=math.pi / 2 + 0.25, timestep=0.1,
        viscous_coefficient=4, random_force=0, latent_force=0.5,
    )  # fmt: skip
    start = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    result = langevin(IdentityModel(2), start, settings, seed=0)
    push, pull = 0.1 / 4 * 2 * 0.25 * 0.999999, 0.1 / 4 * 0.5
    torch.testing.assert_close(
        result.latents, torch.tensor([[1 - pull, -push], [-push, 1 - pull]], dtype=torch.float64)
    )


def test_the_automatic_timestep_moves_the_most_pushed_latent_by_its_share_of_the_smallest_distance():
    settings = with_settings(iterations=1, timestep=-0.25, random_force=0.0)
    start = random_latents(7, 6)
    moved = (langevin(ToyFaceModel(), start, settings, seed=0).latents - start).norm(dim=1)
    assert float(moved.max()) == pytest.approx(0.25 * float(torch.pdist(start).min()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_batch_size_does_not_change_the_result(dtype):
    model, start = ToyFaceModel(dtype=dtype), random_latents(9, 6, dtype=dtype)
    runs = [langevin(model, start, SETTINGS, seed=1, batch_size=size) for size in (1, 7, 64)]
    for run in runs[1:]:
        torch.testing.assert_close(run.latents, runs[0].latents)
        torch.testing.assert_close(run.embeddings, runs[0].embeddings)
    assert runs[0].latents.dtype == runs[0].embeddings.dtype == dtype


def test_one_batch_is_embedded_once_an_iteration_and_no_batch_is_too_large():
    model = ToyFaceModel()
    langevin(model, random_latents(9, 6), SETTINGS, seed=1, batch_size=9)
    assert model.batches == [9] * 4
    model = ToyFaceModel()
    langevin(model, random_latents(9, 6), SETTINGS, seed=1, batch_size=4)
    # The last full batch keeps its graph: it is embedded once, the others twice; then the end is embedded.
    assert model.batches == [4, 1, 4, 4, 1] * 3 + [4, 4, 1]


def test_the_order_of_identities_does_not_change_their_paths():
    model, start, order = ToyFaceModel(), random_latents(9, 6), [4, 0, 8, 2, 1, 7, 3, 6, 5]
    straight = langevin(model, start, SETTINGS, seed=1)
    shuffled = langevin(model, start[order], SETTINGS, seed=1, items=order)
    torch.testing.assert_close(shuffled.latents, straight.latents[order])


def test_the_seed_and_the_identity_numbers_change_the_noise():
    model, start = ToyFaceModel(), random_latents(5, 6)
    first = langevin(model, start, SETTINGS, seed=1).latents
    assert not torch.allclose(first, langevin(model, start, SETTINGS, seed=2).latents)
    assert not torch.allclose(first, langevin(model, start, SETTINGS, seed=1, items=range(5, 10)).latents)


CHANGES = {
    "iterations": 2,
    "repulsion_coefficient": 0.5,
    "repulsion_radius": 1.0,
    "timestep": 0.01,
    "viscous_coefficient": 2.0,
    "random_force": 0.1,
    "latent_force": 0.0,
    "fixed_distance": 0.4,
    "ict": 0.8,
    "force_clip": 0.1,
    "neighbours": "previous",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(LangevinSettings)])
def test_every_setting_changes_the_result(name):
    model, start, fixed = ToyFaceModel(), random_latents(7, 6), random_latents(5, 4, seed=2)
    base, changed = (
        langevin(model, start, settings, seed=1, fixed_embeddings=fixed)
        for settings in (SETTINGS, with_settings(**{name: CHANGES[name]}))
    )
    if name == "ict":
        assert (base.statistics["prop_ict"] != changed.statistics["prop_ict"]).any()
        assert torch.equal(base.latents, changed.latents)
    else:
        assert not torch.allclose(base.latents, changed.latents)


def test_it_pushes_identities_apart_and_away_from_fixed_embeddings():
    model, start, fixed = ToyFaceModel(embedding_dim=8), random_latents(12, 6), random_latents(5, 8, seed=2)
    settings = LangevinSettings(iterations=30, repulsion_coefficient=30, fixed_distance=1.2)
    energy = langevin(model, start, settings, seed=1, fixed_embeddings=fixed).statistics["energy"]
    assert energy[-1] < 0.3 * energy[0]


def test_latents_and_embeddings_of_the_result_belong_together():
    model, start = ToyFaceModel(), random_latents(5, 6)
    untouched = start.clone()
    result = langevin(model, start, SETTINGS, seed=1)
    torch.testing.assert_close(result.embeddings, model.embed(result.latents))
    assert torch.equal(start, untouched) and not result.latents.requires_grad


def test_statistics_describe_the_state_before_each_update():
    model, start = ToyFaceModel(), random_latents(5, 6)
    result = langevin(model, start, SETTINGS, seed=1)
    assert tuple(result.statistics) == STATISTICS
    assert all(values.shape == (3,) and values.dtype == "float64" for values in result.statistics.values())
    for iteration in range(3):
        state = langevin(model, start, with_settings(iterations=iteration), seed=1).latents
        for name, value in pairwise_statistics(state, model.embed(state), model.latent_mean, 1.2).items():
            assert result.statistics[name][iteration] == pytest.approx(value), name
    assert result.statistics["latf_max"][0] == pytest.approx(
        0.15 * float((start - model.latent_mean).norm(dim=1).max())
    )


@pytest.mark.parametrize("timestep", [0.05, -0.3])
def test_equal_latents_stay_finite(timestep):
    start = random_latents(4, 6)
    start[2] = start[0]
    result = langevin(ToyFaceModel(), start, with_settings(timestep=timestep), seed=1)
    assert result.latents.isfinite().all() and result.embeddings.isfinite().all()


def test_identities_that_feel_no_force_stay_where_they_are():
    start = torch.eye(3, dtype=torch.float64)
    settings = LangevinSettings(iterations=2, repulsion_radius=1.0, latent_force=0.0)
    assert torch.equal(langevin(IdentityModel(3), start, settings, seed=1).latents, start)


def test_a_force_that_is_not_finite_stops_the_run_with_iteration_identity_and_norm():
    class Infinite(ToyFaceModel):
        def embed(self, latents):
            embeddings = super().embed(latents)
            if embeddings.requires_grad:
                wrong = (latents[:, :1] > 50).detach()
                embeddings.register_hook(lambda gradient: torch.where(wrong, torch.inf, gradient))
            return embeddings

    start = random_latents(4, 6)
    start[2, 0] = 60.0
    with pytest.raises(BrownidError, match=r"force on identity 12 is not finite in iteration 0: its norm is (inf|nan)"):
        langevin(Infinite(), start, SETTINGS, seed=1, items=[10, 11, 12, 13])


def test_an_embedding_that_is_not_finite_names_its_own_identity():
    class NotANumber(ToyFaceModel):
        def embed(self, latents):
            return torch.where(latents[:, :1] > 50, torch.nan, super().embed(latents))

    start = random_latents(4, 6)
    start[3, 0] = 60.0
    with pytest.raises(BrownidError, match="embedding on identity 3 is not finite in iteration 0"):
        langevin(NotANumber(), start, SETTINGS, seed=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", -1), ("iterations", 2.5), ("repulsion_coefficient", -1.0), ("repulsion_radius", 4.0),
        ("timestep", 0), ("timestep", "1e-4"), ("viscous_coefficient", 0.0), ("random_force", math.nan),
        ("latent_force", True), ("fixed_distance", -0.1), ("ict", 3.5), ("force_clip", 0.0),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_value(field, value):
    with pytest.raises(BrownidError, match=rf"LangevinSettings\.{field} is {value!r}"):
        with_settings(**{field: value})


def test_wrong_input_is_refused_in_a_sentence():
    model = ToyFaceModel()
    with pytest.raises(BrownidError, match=r"latents has shape \[4, 5\], but must have shape \[any, 6\]"):
        langevin(model, random_latents(4, 5), SETTINGS, seed=1)
    with pytest.raises(BrownidError, match="not finite, first in row 2"):
        langevin(model, random_latents(4, 6).index_fill(0, torch.tensor([2]), torch.nan), SETTINGS, seed=1)
    with pytest.raises(BrownidError, match="3 identity numbers for 4"):
        langevin(model, random_latents(4, 6), SETTINGS, seed=1, items=[0, 1, 2])
    with pytest.raises(BrownidError, match="differ from each other"):
        langevin(model, random_latents(4, 6), SETTINGS, seed=1, items=[0, 1, 2, 2])
    with pytest.raises(BrownidError, match="at least two identities"):
        langevin(model, random_latents(1, 6), with_settings(timestep=-0.3), seed=1)
    with pytest.raises(BrownidError, match="batch_size is 0"):
        langevin(model, random_latents(4, 6), SETTINGS, seed=1, batch_size=0)
    with pytest.raises(BrownidError, match="cannot be compared"):
        langevin(model, random_latents(4, 6), SETTINGS, seed=1, fixed_embeddings=random_latents(3, 9))
    with pytest.raises(BrownidError, match="latents is empty"):
        langevin(model, random_latents(0, 6), SETTINGS, seed=1)


def test_one_identity_alone_only_feels_the_centre_and_the_guard():
    result = langevin(ToyFaceModel(), random_latents(1, 6), SETTINGS, seed=1)
    assert result.latents.isfinite().all() and math.isnan(result.statistics["dist_min"][0])


def test_statistics_of_forces_are_norms_over_the_latent_dimension():
    start, settings = random_latents(5, 6), with_settings(iterations=2, latent_force=0.0)
    statistics = langevin(ToyFaceModel(), start, settings, seed=1).statistics
    _, history = slow_langevin(ToyFaceModel(), start, settings, 1)
    noise = settings.random_force * torch.stack(
        [normal(1, "langevin/noise", range(5), (6,), iteration) for iteration in range(2)]
    )
    for name, norms in (("intf", torch.stack([norms for _, _, norms in history])), ("rndf", noise.norm(dim=2))):
        assert statistics[f"{name}_min"].tolist() == pytest.approx(norms.amin(dim=1).tolist(), rel=1e-6)
        assert statistics[f"{name}_avg"].tolist() == pytest.approx(norms.mean(dim=1).tolist(), rel=1e-6)
        assert statistics[f"{name}_max"].tolist() == pytest.approx(norms.amax(dim=1).tolist(), rel=1e-6)
