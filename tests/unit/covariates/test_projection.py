"""Projection finds the latents of a linear generator, follows the published schedule, and keeps images apart."""

import math

import pytest
import torch

from brownid.covariates.features import pixel_pyramid, weighted_features
from brownid.covariates.projection import ProjectionSettings, project
from brownid.facemodel.loading import latent_std
from brownid.runtime.errors import BrownidError

DIM, SIDE = 12, 8


class LinearFaces:
    """Images that are a fixed linear map of the latent."""

    def __init__(self):
        self.basis = torch.randn(DIM, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(0)) / DIM**0.5
        self.latent_mean = torch.ones(DIM)

    def render(self, latents):
        return (latents @ self.basis).view(-1, 3, SIDE, SIDE)


FACES = LinearFaces()
TRUE = FACES.latent_mean + torch.randn(5, DIM, generator=torch.Generator().manual_seed(1))
QUICK = ProjectionSettings(iterations=150, pixel_weight=1.0)


def run(targets, settings=QUICK, items=None, start=FACES.latent_mean, **others):
    items = range(len(targets)) if items is None else items
    others = {"latent_std": 1.0} | others
    return project(FACES, targets, start, settings, features=pixel_pyramid(3), seed=1, items=items, **others)


def test_the_latents_of_a_linear_generator_are_recovered():
    result = run(FACES.render(TRUE))
    torch.testing.assert_close(result.latents, TRUE, atol=0.02, rtol=0)
    assert result.losses.max() < 1e-3
    assert not result.failed.any()


def test_an_image_does_not_depend_on_the_batch_it_is_in():
    targets = FACES.render(TRUE)
    settings = ProjectionSettings(iterations=20)
    together = run(targets, settings).latents
    split = run(targets, settings, batch_size=2).latents
    alone = run(targets[3:4], settings, items=[3]).latents
    torch.testing.assert_close(together, split, atol=1e-5, rtol=0)
    torch.testing.assert_close(together[3:4], alone, atol=1e-5, rtol=0)


def test_the_noise_belongs_to_the_item():
    target, settings = FACES.render(TRUE[:1]), ProjectionSettings(iterations=10)
    assert not torch.equal(run(target, settings, items=[0]).latents, run(target, settings, items=[1]).latents)


def test_the_latent_weight_keeps_what_the_image_does_not_show_near_the_mean():
    class HalfBlind(LinearFaces):
        def render(self, latents):
            return super().render(latents * (torch.arange(DIM) < 6))

    model = HalfBlind()
    start = TRUE + 1.0
    settings = ProjectionSettings(iterations=200, latent_weight=1e-3)
    found = project(
        model, model.render(TRUE), start, settings, features=pixel_pyramid(3), seed=1, items=range(5), latent_std=3.0
    )
    torch.testing.assert_close(found.latents[:, :6], TRUE[:, :6], atol=0.05, rtol=0)
    torch.testing.assert_close(found.latents[:, 6:], torch.ones(5, 6), atol=0.05, rtol=0)


def test_failed_images_are_listed_and_do_not_touch_the_others():
    targets = FACES.render(TRUE).clone()
    targets[1] = float("nan")
    targets[2] = 50.0
    result = run(targets, ProjectionSettings(iterations=150, maximum_loss=1.0))
    assert result.failed.tolist() == [False, True, True, False, False]
    torch.testing.assert_close(result.latents[3:], TRUE[3:], atol=0.02, rtol=0)
    without_limit = run(targets, ProjectionSettings(iterations=2, maximum_loss=None))
    assert without_limit.failed.tolist() == [False, True, False, False, False]


def test_the_learning_rate_follows_the_published_schedule():
    settings = ProjectionSettings(iterations=1000)
    assert settings.rate_at(0) == 0
    assert settings.rate_at(25) == pytest.approx(0.05)
    assert settings.rate_at(400) == pytest.approx(0.1)
    assert settings.rate_at(875) == pytest.approx(0.05)
    assert settings.rate_at(999) == pytest.approx(0.1 * (0.5 - 0.5 * math.cos(math.pi * 0.004)))


def test_the_latent_noise_fades_out_quadratically():
    settings = ProjectionSettings(iterations=1000)
    assert settings.noise_at(0, 10.0) == pytest.approx(0.5)
    assert settings.noise_at(375, 10.0) == pytest.approx(0.125)
    assert settings.noise_at(750, 10.0) == settings.noise_at(900, 10.0) == 0


def test_the_std_of_latents_is_their_root_mean_square_distance_from_the_mean():
    assert latent_std(torch.tensor([[3.0, 4.0], [-3.0, -4.0]])) == pytest.approx(5.0)


def test_every_latent_of_w_plus_is_fitted():
    class Layered:
        latent_mean = FACES.latent_mean

        def render(self, latents):  # [B, 2, DIM]: each half of the image from a latent of its own
            return torch.cat([FACES.render(latents[:, 0])[..., :4, :], FACES.render(latents[:, 1])[..., 4:, :]], dim=2)

    true = torch.stack([TRUE[:2], TRUE[2:4]], dim=1)
    start = torch.ones(2, 2, DIM)
    model, features = Layered(), pixel_pyramid(1)
    settings = ProjectionSettings(iterations=300)
    targets = model.render(true)
    found = project(model, targets, start, settings, features=features, seed=1, items=[0, 1], latent_std=1.0)
    torch.testing.assert_close(found.latents, true, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"iterations": 0}, "iterations is 0"),
        ({"rampdown": 1.5}, "rampdown is 1.5"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"maximum_loss": float("nan")}, "maximum_loss is nan"),
        ({"maximum_loss": 0.0}, "maximum_loss is 0.0"),
        ({"latent_noise": -1.0}, "latent_noise is -1.0"),
        ({"feature_weight": 0.0}, "nothing to fit"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(wrong, words):
    with pytest.raises(BrownidError, match=words):
        ProjectionSettings(**wrong)


def test_numbers_of_images_items_and_starts_must_agree():
    targets = FACES.render(TRUE)
    with pytest.raises(BrownidError, match="5 images cannot be projected under 2"):
        run(targets, items=[0, 1])
    with pytest.raises(BrownidError, match="5 images cannot start at 2 latents"):
        run(targets, start=TRUE[:2])
    with pytest.raises(BrownidError, match="latent_std is 0"):
        run(targets, latent_std=0.0)


def test_the_pyramid_distance_is_the_mean_over_its_levels():
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).expand(1, 3, 2, 2)
    difference = pixel_pyramid(2)(board) - pixel_pyramid(2)(torch.zeros(1, 3, 2, 2))
    assert difference.square().sum() == pytest.approx(0.5)  # 1 at full size, 0 once averaged


def test_weighted_features_add_their_weighted_distances():
    first, second = torch.rand(2, 1, 3, SIDE, SIDE)

    def flat(images):
        return images.flatten(1)

    features = weighted_features([(0.0, pixel_pyramid(9)), (2.0, flat), (0.5, pixel_pyramid(1))])
    expected = 2 * (flat(first) - flat(second)).square().sum() + 0.5 * (first - second).square().mean()
    torch.testing.assert_close((features(first) - features(second)).square().sum(), expected)
    with pytest.raises(BrownidError, match="All feature weights"):
        weighted_features([(0.0, flat)])
    with pytest.raises(BrownidError, match="-1"):
        weighted_features([(-1.0, flat)])
    with pytest.raises(BrownidError, match="0 levels"):
        pixel_pyramid(0)
