"""Projection into a StyleGAN2 at full size, but tiny: W and W+, noise maps, the generator's own noise, both frames."""

import pytest
import torch
from tiny_stylegan2 import DIM, SIDE, face_model
from torch import nn
from vgg16_weights import convolutions

from brownid.covariates.features import PerceptualFeatures, pixel_pyramid
from brownid.covariates.projection import LATENTS, LatentOptimization, project
from brownid.covariates.settings import ProjectionSettings
from brownid.facemodel.model import GeneratorFaceModel
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal

LAYERS = 6
TRUE = normal(1, "true", range(3), (LAYERS, DIM))


def targets_of(model, latents=TRUE):
    with torch.no_grad():
        return model.render(latents)


def run(model, targets, settings, features=None, items=None, **more):
    items = range(len(targets)) if items is None else items
    shared = {"features": features or pixel_pyramid(2), "seed": 1, "items": items, "latent_std": 1.0}
    return project(model, targets, model.latent_mean, settings, **shared, **more)


def test_w_plus_comes_closer_than_w_and_its_mean_stands_for_it(whole):
    targets = targets_of(whole)
    shared = {"iterations": 30, "latent_noise": 0.0}
    in_w = run(whole, targets, ProjectionSettings(**shared))
    in_w_plus = run(whole, targets, ProjectionSettings(**shared, space="w_plus"))
    assert in_w.latents.shape == (3, DIM) and in_w_plus.latents.shape == (3, LAYERS, DIM)
    assert (in_w_plus.losses < 0.7 * in_w.losses).all()
    columns = in_w_plus.columns([2, 0])
    torch.testing.assert_close(columns["latents"], columns["extra"]["w_plus_latent"].mean(dim=1))
    assert torch.equal(columns["extra"]["w_plus_latent"], in_w_plus.latents[[2, 0]])
    assert list(in_w.columns([0])) == ["latents"]


def test_optimised_noise_maps_take_up_what_the_latent_should_not_explain(whole):
    noisy = face_model("random").generator
    maps = {name: normal(9, name, range(3), tuple(map_.shape)) for name, map_ in noisy.noise_maps().items()}
    with torch.no_grad():
        targets = whole.render(TRUE[:, 0], noise=maps)
    without, free = (
        ProjectionSettings(iterations=30),
        ProjectionSettings(iterations=30, noise_maps=True, noise_weight=0.0),
    )
    assert (run(whole, targets, free).losses < run(whole, targets, without).losses).all()


def test_maps_stay_noise_under_their_penalty(whole):

    def correlation(weight):
        settings = ProjectionSettings(iterations=12, noise_maps=True, noise_weight=weight)
        shared = {"latent_std": 1.0, "seed": 1, "items": [0, 1, 2]}
        descent = LatentOptimization(whole, targets_of(whole), settings, pixel_pyramid(1), **shared)
        moving = descent.start(whole.latent_mean.expand(3, -1))
        for iteration in range(settings.iterations):
            moving, _ = descent.step(moving, iteration)
        map_ = moving["map/b16.conv1"]
        torch.testing.assert_close(map_.mean(dim=(1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(map_.square().mean(dim=(1, 2)), torch.ones(3))
        return (map_ * map_.roll(1, dims=2)).mean().abs()

    assert correlation(1e5) < correlation(0.0)


def test_an_image_depends_neither_on_its_batch_nor_on_its_noise_maps_batch(stylegan2):
    targets = targets_of(stylegan2)
    settings = ProjectionSettings(iterations=4, noise_maps=True, space="w_plus")
    together = run(stylegan2, targets, settings)
    split = run(stylegan2, targets, settings, batch_size=2)
    alone = run(stylegan2, targets[2:], settings, items=[2])
    torch.testing.assert_close(together.latents, split.latents, atol=1e-4, rtol=0)
    torch.testing.assert_close(together.latents[2:], alone.latents, atol=1e-4, rtol=0)


@pytest.mark.parametrize("noise", ["item", "random"])
def test_a_generator_with_noise_of_each_items_own_is_told_whose_picture_it_renders(noise):
    model = face_model(noise)
    targets = torch.zeros(2, 3, SIDE // 2, SIDE // 2)
    settings = ProjectionSettings(iterations=3)
    both = run(model, targets, settings).latents
    assert not torch.equal(both[0], both[1])
    torch.testing.assert_close(run(model, targets[1:], settings, items=[1]).latents, both[1:], atol=1e-5, rtol=0)


def test_the_frames_show_the_crop_or_the_whole_image(stylegan2, whole):
    images = targets_of(whole)
    assert images.shape[-1] == whole.image_size == SIDE and stylegan2.image_size == SIDE // 2
    torch.testing.assert_close(whole.crops_of(images), targets_of(stylegan2))
    torch.testing.assert_close(whole.embed_images(images), stylegan2.embed_images(targets_of(stylegan2)))
    torch.testing.assert_close(whole.embed(TRUE), stylegan2.embed(TRUE))


def test_vgg16_features_fit_into_the_descent(whole):
    features = PerceptualFeatures(convolutions((3, 4, 5, 6, 7)))
    targets = targets_of(whole)
    short, long = (run(whole, targets, ProjectionSettings(iterations=n), features).losses for n in (1, 15))
    assert (long < short).all()


def test_a_generator_without_layers_or_maps_is_named():
    class Plain:
        latent_mean = torch.zeros(4)

        def render(self, latents):
            return latents.view(-1, 1, 2, 2).expand(-1, 3, -1, -1)

    plain, targets = GeneratorFaceModel(Plain(), nn.Identity(), nn.Flatten()), torch.zeros(1, 3, 2, 2)
    with pytest.raises(BrownidError, match="space is w_plus, but the generator Plain"):
        run(plain, targets, ProjectionSettings(space="w_plus"), pixel_pyramid(1))
    with pytest.raises(BrownidError, match="noise_maps is true, but the generator Plain has none"):
        run(plain, targets, ProjectionSettings(noise_maps=True), pixel_pyramid(1))


def test_a_step_of_the_descent_is_torchs_adam(stylegan2):
    settings = ProjectionSettings(iterations=10, latent_noise=0.0, rampup=0.0, rampdown=0.0)
    descent = LatentOptimization(
        stylegan2, targets_of(stylegan2), settings, pixel_pyramid(2), latent_std=1.0, seed=1, items=range(3)
    )
    moving = descent.start(stylegan2.latent_mean.expand(3, -1))
    latents = moving[LATENTS].clone().requires_grad_(True)
    adam = torch.optim.Adam([latents], lr=settings.learning_rate)
    for iteration in range(4):
        moving, _ = descent.step(moving, iteration)
        (latents.grad,) = torch.autograd.grad(descent.losses(latents, {}, iteration)[0].sum(), latents)
        adam.step()
    torch.testing.assert_close(moving[LATENTS], latents.detach(), atol=1e-5, rtol=0)
