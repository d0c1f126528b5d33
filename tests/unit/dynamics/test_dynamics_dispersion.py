"""Dispersion, DisCo and within-class variations against the plain equations, and what must not change their result."""

import dataclasses
import math

import pytest
import torch
from slow_dynamics import IdentityModel, ToyFaceModel, random_latents, relative_difference, slow_dispersion

from brownid.dynamics.dispersion import STATISTICS, dispersion, dispersion_start
from brownid.dynamics.settings import DispersionSettings, WithinClassSettings
from brownid.embeddings.angles import angles_to
from brownid.embeddings.pairwise import angles_within
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal
from brownid.samples.statistics import merge_statistics

SETTINGS = DispersionSettings(
    iterations=3,
    variations=4,
    embedding_coefficient=3.0,
    latent_coefficient=1.3,
    latent_radius=3.0,
    latent_global_coefficient=0.7,
    random_force=0.4,
    viscous_coefficient=1.2,
    timestep=0.05,
    initial_noise=0.5,
)


def with_settings(**changes) -> DispersionSettings:
    return dataclasses.replace(SETTINGS, **changes)


def people(count: int = 5, dtype: torch.dtype = torch.float64):
    model = ToyFaceModel(dtype=dtype)
    references = random_latents(count, 6, dtype=dtype)
    return model, references, model.embed(references)


@pytest.mark.parametrize("timestep", [0.05, -0.2])
@pytest.mark.parametrize("clip", [None, 2.0])
@pytest.mark.parametrize("disco", [False, True])
@pytest.mark.parametrize("batch_size", [7, 64])
def test_it_follows_the_plain_equations(timestep, clip, disco, batch_size):
    model, references, targets = people()
    settings = with_settings(timestep=timestep, force_clip=clip)
    covariates = random_latents(3, 6, seed=4) if disco else None
    result = dispersion(model, references, targets, settings, seed=5, covariates=covariates, batch_size=batch_size)
    latents, histories = slow_dispersion(model, references, targets, settings, 5, covariates)
    assert relative_difference(result.latents - references[:, None], latents - references[:, None]) < 1e-6
    for t in range(3):
        energy, step = (sum(history[t][column] for history in histories) for column in (0, 1))
        assert result.statistics["energy"][t] == pytest.approx(energy, rel=1e-6)
        assert result.statistics["timestep"][t] == pytest.approx(step / 5, rel=1e-6)


def test_two_variations_move_as_computed_by_hand():
    settings = DispersionSettings(
        iterations=1, variations=2, embedding_coefficient=8, latent_coefficient=2, latent_radius=3,
        latent_global_coefficient=0.5, random_force=0, viscous_coefficient=4, timestep=0.1,
    )  # fmt: skip
    reference = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    initial = torch.tensor([[[0.0, 1.0], [0.0, -1.0]]], dtype=torch.float64)
    result = dispersion(IdentityModel(2), reference, reference, settings, seed=0, initial=initial)
    attraction = 8 / 2 * math.pi / 2 * 0.999999  # k_e/2 · d at a right angle, towards the reference
    apart = 2 * (3 - 2) - 0.5  # k_w (r_w − distance), against the pull to the centre
    moved = 0.1 / 4 * torch.tensor([[[attraction, apart], [attraction, -apart]]], dtype=torch.float64)
    torch.testing.assert_close(result.latents, initial + moved)


def test_noise_scales_with_the_timestep_and_not_with_its_root():
    model, references, targets = people()
    free = with_settings(iterations=1, embedding_coefficient=0, latent_coefficient=0, latent_global_coefficient=0)
    start = dispersion_start(references, free, seed=5)
    short, long = (
        dispersion(model, references, targets, dataclasses.replace(free, timestep=step), seed=5).latents - start
        for step in (0.1, 0.4)
    )
    torch.testing.assert_close(long, 4 * short)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_batch_size_does_not_change_the_result(dtype):
    model, references, targets = people(dtype=dtype)
    runs = [dispersion(model, references, targets, SETTINGS, seed=1, batch_size=size) for size in (1, 7, 64)]
    for run in runs[1:]:
        torch.testing.assert_close(run.latents, runs[0].latents)
        torch.testing.assert_close(run.embeddings, runs[0].embeddings)
    assert runs[0].latents.dtype == runs[0].embeddings.dtype == dtype
    assert runs[0].latents.shape == (5, 4, 6) and runs[0].embeddings.shape == (5, 4, 4)


def test_batches_cross_identities_and_each_image_is_embedded_once_an_iteration():
    model, references, targets = people()
    model.batches.clear()
    dispersion(model, references, targets, SETTINGS, seed=1, batch_size=8)
    assert model.batches == [8, 8, 4] * 4


@pytest.mark.parametrize("timestep", [0.05, -0.2])
@pytest.mark.parametrize("shards", [[[0, 1, 2], [3, 4]], [[3], [1, 4, 0], [2]]])
def test_shards_in_any_split_and_order_give_the_whole(timestep, shards):
    model, references, targets = people()
    covariates, settings = random_latents(2, 6, seed=4), with_settings(timestep=timestep)
    whole = dispersion(model, references, targets, settings, seed=1, covariates=covariates)
    parts = [
        dispersion(model, references[part], targets[part], settings, seed=1, items=part, covariates=covariates)
        for part in shards
    ]
    for part, result in zip(shards, parts, strict=True):
        torch.testing.assert_close(result.latents, whole.latents[part])
        torch.testing.assert_close(result.embeddings, whole.embeddings[part])
    merged = merge_statistics([part.statistics for part in parts])
    assert list(merged) == list(whole.statistics)
    for name, values in whole.statistics.items():
        assert merged[name].tolist() == pytest.approx(values.tolist()), name


def test_more_variations_leave_the_start_of_the_first_ones_alone():
    references = random_latents(2, 6)
    few = dispersion_start(references, with_settings(variations=3), seed=1)
    many = dispersion_start(references, with_settings(variations=8), seed=1)
    assert torch.equal(few, many[:, :3])


def test_disco_starts_along_the_covariates_by_at_most_half_of_each():
    references = torch.zeros(200, 4, dtype=torch.float64)
    covariates = torch.tensor([[2.0, 0, 0, 0], [0, 6.0, 0, 0]], dtype=torch.float64)
    start = dispersion_start(references, with_settings(initial_noise=0.0), seed=1, covariates=covariates)
    amplitudes = start[..., :2] / torch.tensor([2.0, 6.0], dtype=torch.float64)
    assert amplitudes.min() >= -0.5 and amplitudes.max() < 0.5
    assert float(amplitudes.mean()) == pytest.approx(0, abs=0.03)
    assert float(amplitudes.std()) == pytest.approx(12**-0.5, abs=0.01)
    assert start[..., 2:].abs().max() == 0


WITHIN = WithinClassSettings(**dataclasses.asdict(SETTINGS) | {"initial_noise": 0.0, "within_class_scale": 1.5})


def test_within_class_variations_start_with_the_covariance_that_they_are_given():
    """Sample moments of 80 000 draws of s C^{1/2} ζ, C of rank two; nothing leaves the span of its directions."""
    references = random_latents(400, 4, seed=3)
    root = torch.tensor([[2.0, 0, 0, 0], [0, 0.6, 0.8, 0]], dtype=torch.float64)
    settings = dataclasses.replace(WITHIN, variations=200)
    deviations = dispersion_start(references, settings, seed=1, within_class=root) - references[:, None]
    drawn = deviations.flatten(0, 1)
    torch.testing.assert_close(drawn.T @ drawn / len(drawn), 1.5**2 * root.T @ root, atol=0.2, rtol=0)
    assert float(drawn.mean(dim=0).abs().max()) < 0.03
    assert drawn[:, 3].abs().max() == 0 and (0.8 * drawn[:, 1] - 0.6 * drawn[:, 2]).abs().max() < 1e-12


def test_one_within_class_direction_is_followed_exactly():
    references, root = random_latents(3, 6), random_latents(1, 6, seed=4)
    start = dispersion_start(references, WITHIN, seed=1, items=[7, 2, 4], within_class=root)
    amplitudes = normal(1, "dispersion/within_class", [7, 2, 4], (WITHIN.variations, 1)).double()
    torch.testing.assert_close(start, references[:, None] + 1.5 * amplitudes * root)


def test_a_within_class_scale_of_zero_starts_at_the_reference_and_isotropic_noise_adds_to_any():
    references, root = random_latents(3, 6), random_latents(2, 6, seed=4)
    still, noisy = (dataclasses.replace(WITHIN, within_class_scale=0.0, initial_noise=noise) for noise in (0.0, 0.5))
    start = dispersion_start(references, still, seed=1, within_class=root)
    assert torch.equal(start, references[:, None].expand_as(start))
    isotropic = dispersion_start(references, noisy, seed=1, within_class=root)
    torch.testing.assert_close(isotropic, dispersion_start(references, SETTINGS, seed=1))
    both = dispersion_start(references, dataclasses.replace(WITHIN, initial_noise=0.5), seed=1, within_class=root)
    alone = dispersion_start(references, WITHIN, seed=1, within_class=root)
    torch.testing.assert_close(both - isotropic, alone - references[:, None])


def test_within_class_variations_are_dispersion_from_their_start_in_any_shards_and_batches():
    model, references, targets = people()
    root = random_latents(2, 6, seed=4)
    start = dispersion_start(references, WITHIN, seed=1, within_class=root)
    moved = dispersion(model, references, targets, SETTINGS, seed=1, initial=start)
    whole = dispersion(model, references, targets, WITHIN, seed=1, within_class=root, batch_size=7)
    torch.testing.assert_close(whole.latents, moved.latents)
    part = [3, 1]
    shard = dispersion(model, references[part], targets[part], WITHIN, seed=1, items=part, within_class=root)
    torch.testing.assert_close(shard.latents, whole.latents[part])
    torch.testing.assert_close(shard.embeddings, whole.embeddings[part])


@pytest.mark.parametrize(
    ("settings", "given", "sentence"),
    [
        (SETTINGS, {"within_class": torch.ones(2, 6)}, "belong together: give both or neither"),
        (WITHIN, {}, "belong together: give both or neither"),
        (WITHIN, {"within_class": torch.ones(2, 6), "covariates": torch.ones(2, 6)}, "give one of the two"),
        (WITHIN, {"within_class": torch.ones(2, 5)}, r"within_class has shape \[2, 5\], but must have shape"),
        (
            WITHIN,
            {"within_class": torch.ones(2, 6), "initial": torch.ones(5, 4, 6)},
            "which `initial` replaces",
        ),
    ],
)
def test_a_within_class_start_that_does_not_fit_is_refused(settings, given, sentence):
    model, references, targets = people()
    with pytest.raises(BrownidError, match=sentence):
        dispersion(model, references, targets, settings, seed=1, **given)


CHANGES = {
    "iterations": 2,
    "variations": 5,
    "embedding_coefficient": 1.0,
    "latent_coefficient": 0.2,
    "latent_radius": 2.0,
    "latent_global_coefficient": 0.0,
    "random_force": 0.1,
    "viscous_coefficient": 2.0,
    "timestep": 0.02,
    "initial_noise": 0.1,
    "force_clip": 0.1,
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(DispersionSettings)])
def test_every_setting_changes_the_result(name):
    model, references, targets = people()
    base, changed = (
        dispersion(model, references, targets, settings, seed=1).latents
        for settings in (SETTINGS, with_settings(**{name: CHANGES[name]}))
    )
    assert base.shape != changed.shape or not torch.allclose(base, changed)


def test_variations_stay_nearer_to_the_reference_than_noise_of_equal_radius():
    model, references, targets = people()
    settings = with_settings(iterations=20, embedding_coefficient=20.0, timestep=0.02)
    result = dispersion(model, references, targets, settings, seed=1)
    offsets = result.latents - references[:, None]
    directions = torch.nn.functional.normalize(random_latents(5, 4, 6, seed=9), dim=2)
    noise = references[:, None] + offsets.norm(dim=2, keepdim=True) * directions

    def mean_angle(embeddings):
        return float(torch.acos((embeddings.view(5, 4, 4) * targets[:, None]).sum(dim=2).clamp(-1, 1)).mean())

    assert mean_angle(result.embeddings) < 0.6 * mean_angle(model.embed(noise.flatten(0, 1)))


def test_latents_and_embeddings_of_the_result_belong_together():
    model, references, targets = people()
    initial = random_latents(5, 4, 6, seed=6)
    untouched = initial.clone()
    result = dispersion(model, references, targets, SETTINGS, seed=1, initial=initial)
    torch.testing.assert_close(result.embeddings.flatten(0, 1), model.embed(result.latents.flatten(0, 1)))
    assert torch.equal(initial, untouched) and not result.latents.requires_grad
    assert tuple(result.statistics) == STATISTICS
    assert result.statistics["w2wd_min"][0] == pytest.approx(min(float(torch.pdist(group).min()) for group in initial))


@pytest.mark.parametrize("timestep", [0.05, -0.2])
def test_equal_latents_stay_finite(timestep):
    model, references, targets = people()
    initial = references[:, None].repeat(1, 4, 1)
    result = dispersion(model, references, targets, with_settings(timestep=timestep), seed=1, initial=initial)
    assert result.latents.isfinite().all() and result.embeddings.isfinite().all()


def test_one_variation_has_no_neighbour_and_still_moves():
    model, references, targets = people()
    result = dispersion(model, references, targets, with_settings(variations=1), seed=1)
    assert result.latents.isfinite().all() and math.isnan(result.statistics["w2wd_avg"][0])


def test_a_force_that_is_not_finite_names_identity_and_variation():
    class Infinite(ToyFaceModel):
        def embed(self, latents):
            embeddings = super().embed(latents)
            if embeddings.requires_grad:
                wrong = (latents[:, :1] > 50).detach()
                embeddings.register_hook(lambda gradient: torch.where(wrong, torch.nan, gradient))
            return embeddings

    _, references, targets = people()
    initial = references[:, None].repeat(1, 4, 1)
    initial[3, 2, 0] = 60.0
    with pytest.raises(BrownidError, match="force on identity 13, variation 2 is not finite in iteration 0"):
        dispersion(Infinite(), references, targets, SETTINGS, seed=1, initial=initial, items=range(10, 15))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("iterations", 1.5), ("variations", 0), ("embedding_coefficient", -1.0), ("latent_coefficient", math.inf),
        ("latent_radius", -1.0), ("latent_global_coefficient", None), ("random_force", "0.1"),
        ("viscous_coefficient", 0), ("timestep", 0), ("initial_noise", -0.2), ("force_clip", -1),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_value(field, value):
    with pytest.raises(BrownidError, match=rf"DispersionSettings\.{field} is {value!r}"):
        with_settings(**{field: value})


def test_wrong_input_is_refused_in_a_sentence():
    model, references, targets = people()
    with pytest.raises(BrownidError, match=r"initial has shape \[5, 3, 6\], but must have shape \[5, 4, 6\]"):
        dispersion(model, references, targets, SETTINGS, seed=1, initial=random_latents(5, 3, 6))
    with pytest.raises(BrownidError, match="reference_embeddings has shape"):
        dispersion(model, references, targets[:3], SETTINGS, seed=1)
    with pytest.raises(BrownidError, match="give one of the two"):
        dispersion(model, references, targets, SETTINGS, seed=1, initial=random_latents(5, 4, 6), covariates=references)
    with pytest.raises(BrownidError, match=r"covariates has shape \[2, 5\]"):
        dispersion(model, references, targets, SETTINGS, seed=1, covariates=random_latents(2, 5))
    with pytest.raises(BrownidError, match="at least 2 variations"):
        with_settings(variations=1, timestep=-0.3)


def test_forces_and_angles_are_grouped_as_in_the_published_files():
    """The pull to the reference alone, all forces in latent space, and all together with the noise."""
    model, references, targets = people(3)
    settings = with_settings(iterations=1, latent_global_coefficient=0.5)
    start = dispersion_start(references, settings, seed=1)
    result = dispersion(model, references, targets, settings, seed=1)

    def moved(**changed):
        alone = with_settings(iterations=1, **changed)
        end = dispersion(model, references, targets, alone, seed=1, initial=start).latents
        return ((end - start) * alone.viscous_coefficient / alone.timestep).norm(dim=2)

    still = {"random_force": 0.0}
    parts = {
        "intf": moved(latent_coefficient=0.0, latent_global_coefficient=0.0, **still),
        "latf": moved(embedding_coefficient=0.0, latent_global_coefficient=0.5, **still),
        "totf": moved(latent_global_coefficient=0.5),
    }
    embeddings = model.embed(start.flatten(0, 1)).unflatten(0, (3, -1))
    parts["dist"] = angles_within(embeddings)
    parts["refd"] = angles_to(embeddings.flatten(0, 1), targets.repeat_interleave(settings.variations, dim=0))
    for name, sizes in parts.items():
        found = [float(result.statistics[f"{name}_{kind}"][0]) for kind in ("min", "avg", "max")]
        assert found == pytest.approx([float(sizes.min()), float(sizes.mean()), float(sizes.max())], rel=1e-6), name


def test_statistics_of_forces_are_norms_over_the_latent_dimension():
    model, references, targets = people(3)
    settings = with_settings(iterations=1, latent_global_coefficient=0.0, embedding_coefficient=0.0)
    start = dispersion_start(references, settings, seed=1)
    statistics = dispersion(model, references, targets, settings, seed=1).statistics
    moved = dispersion(model, references, targets, dataclasses.replace(settings, random_force=0.0), seed=1).latents
    forces = (moved - start) * settings.viscous_coefficient / settings.timestep
    noise = settings.random_force * normal(1, "dispersion/noise", range(3), (settings.variations, 6))
    for name, norms in (("latf", forces.norm(dim=2)), ("rndf", noise.norm(dim=2)), ("intf", torch.zeros(3, 4))):
        found = [float(statistics[f"{name}_{kind}"][0]) for kind in ("min", "avg", "max")]
        assert found == pytest.approx([float(norms.min()), float(norms.mean()), float(norms.max())], rel=1e-6)
