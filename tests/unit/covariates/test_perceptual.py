"""VGG16 features are LPIPS, by the paper's definition on a narrow network with random weights."""

import pytest
import torch
from torch.nn import functional as F
from vgg16_weights import convolutions, linear

from brownid.covariates.features import DEPTHS, PerceptualFeatures
from brownid.runtime.errors import BrownidError

WIDTHS = (4, 5, 6, 7, 8)
PAIRS, LINEAR = convolutions(WIDTHS), linear(WIDTHS)
FEATURES = PerceptualFeatures(PAIRS, LINEAR)
IMAGES = 2 * torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(5)) - 1


def distance(first, second, features=FEATURES):
    return (features(first) - features(second)).square().sum(dim=1)


def lpips(first, second):
    """The definition of Zhang et al., layer by layer, from images in [-1, 1]."""
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x = (torch.cat([first, second]) - shift) / scale
    total, layers = 0.0, iter(PAIRS)
    for block, depth in enumerate(DEPTHS):
        x = F.max_pool2d(x, 2) if block else x
        for _ in range(depth):
            weight, bias = next(layers)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
        unit = x / (x.norm(dim=1, keepdim=True) + 1e-10)
        difference = (unit[: len(first)] - unit[len(first) :]).square()
        total = total + (LINEAR[block].view(1, -1, 1, 1) * difference).sum(dim=1).mean(dim=(1, 2))
    return total


def test_the_squared_distance_of_features_is_lpips():
    torch.testing.assert_close(distance(IMAGES[:2], IMAGES[1:]), lpips(IMAGES[:2], IMAGES[1:]))


def test_both_conventions_of_input_normalise_to_the_same_numbers():
    """NVIDIA's 0 to 255, by ImageNet's mean and deviation, and the lpips package's [-1, 1], by shift and scale."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    levels = 127.5 * (IMAGES[0] + 1)
    theirs = (levels / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close((IMAGES[0] - FEATURES.mean[0]) / FEATURES.deviation[0], theirs, atol=1e-5, rtol=1e-5)


def test_the_distance_is_symmetric_and_zero_between_equal_images_only():
    assert distance(IMAGES[:1], IMAGES[:1]) == 0
    assert distance(IMAGES[:1], IMAGES[1:2]) == distance(IMAGES[1:2], IMAGES[:1]) > 0


def test_convolutions_in_bfloat16_give_nearly_the_same_distances_and_gradients():
    half = PerceptualFeatures(PAIRS, LINEAR, "bfloat16")
    first, second = IMAGES[:2], IMAGES[1:]
    assert half(first).dtype == torch.float32
    torch.testing.assert_close(distance(first, second, half), distance(first, second), rtol=0.05, atol=0)
    gradients = []
    for features in (FEATURES, half):
        leaf = first.clone().requires_grad_()
        gradients += torch.autograd.grad(distance(leaf, second, features).sum(), leaf)
    cosines = F.cosine_similarity(*(gradient.flatten(1) for gradient in gradients))
    assert ((cosines > 0.9) & (cosines < 1)).all()


def test_the_gradient_is_that_of_finite_differences():
    features = PerceptualFeatures(PAIRS).double()
    image, target = IMAGES[:2, :, :16, :16].double().split(1)
    direction = torch.randn(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    leaf = image.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(distance(leaf, target, features).sum(), leaf)
    step = 1e-6 * direction
    change = distance(image + step, target, features) - distance(image - step, target, features)
    torch.testing.assert_close((gradient * direction).sum(), change.sum() / 2e-6, rtol=1e-4, atol=0)


def test_the_gradient_is_zero_where_all_channels_are_silent():
    silent = PerceptualFeatures([(weight, torch.full_like(bias, -1e4)) for weight, bias in PAIRS])
    leaf = IMAGES[:1].clone().requires_grad_(True)
    assert torch.autograd.grad(silent(leaf).sum(), leaf)[0].eq(0).all()


def test_large_images_are_averaged_down_to_256_pixels():
    small = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(2))
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(FEATURES(large), FEATURES(small))


def test_images_that_vanish_on_the_way_are_refused():
    with pytest.raises(BrownidError, match="at least 16 pixels a side, and these have 12"):
        FEATURES(IMAGES[..., :12, :12])
