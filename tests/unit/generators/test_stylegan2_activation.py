"""What follows a convolution of StyleGAN2 equals its single steps, gradients too, and keeps one map for them."""

import pytest
import torch
from torch.nn import functional as F

from brownid.generators.stylegan2.activation import SLOPE, activated, per_channel

NAMES = ("x", "scales", "noise", "styles", "colours")
# with noise, clamped at, with styles, with colours
CASES = [
    (True, None, True, True),
    (True, 0.9, True, True),
    (False, None, True, False),
    (True, 0.9, True, False),
    (False, 0.9, False, True),
    (True, None, False, True),
]


def inputs(dtype, noise, styles, colours, batch=2, channels=3, side=4) -> dict:
    """Arguments by name, each with a gradient; styles of both signs."""
    torch.manual_seed(8)
    shapes = {
        "x": (batch, channels, side, side),
        "scales": (batch, channels),
        "noise": (1, 1, side, side) if noise else None,
        "styles": (batch, channels) if styles else None,
        "colours": (batch, 3, channels) if colours else None,
    }
    given = {name: None if shape is None else torch.randn(shape, dtype=dtype) for name, shape in shapes.items()}
    given["scales"] = given["scales"].abs() + 0.3
    return {name: None if value is None else value.requires_grad_() for name, value in given.items()}


def bias(dtype) -> torch.Tensor:
    return torch.tensor([0.3, -0.2, 0.1], dtype=dtype)


def fused(given: dict, clamp: float | None):
    x, scales, noise, styles, colours = (given[name] for name in NAMES)
    return activated(x, scales, bias(torch.float64), noise, clamp, styles, colours)


def stepwise(given: dict, clamp: float | None):
    """The definition, by autograd."""
    x, scales, noise, styles, colours = (given[name] for name in NAMES)
    y = x * per_channel(scales, x.dtype) + per_channel(bias(torch.float64), x.dtype)
    y = F.leaky_relu(y if noise is None else y + noise, SLOPE)
    y = y if clamp is None else y.clamp(-clamp, clamp)
    scaled = None if styles is None else y * per_channel(styles, x.dtype)
    return scaled, None if colours is None else torch.einsum("bkc,bchw->bkhw", colours, y)


def gradients(results, given: dict) -> dict:
    torch.manual_seed(9)
    total = sum((r * torch.randn(r.shape, dtype=r.dtype)).sum() for r in results if r is not None)
    there = [name for name in NAMES if given[name] is not None]
    return dict(zip(there, torch.autograd.grad(total, [given[name] for name in there]), strict=True))


@pytest.mark.parametrize(("noise", "clamp", "styles", "colours"), CASES)
def test_results_and_gradients_equal_those_of_the_single_steps(noise, clamp, styles, colours):
    for dtype, near in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        given = inputs(dtype, noise, styles, colours)
        found, expected = fused(given, clamp), stepwise(given, clamp)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours is theirs is None or torch.allclose(ours, theirs, atol=near)
        ours, theirs = gradients(found, given), gradients(expected, given)
        for name in theirs:
            assert torch.allclose(ours[name], theirs[name], atol=10 * near), name


@pytest.mark.parametrize(("noise", "clamp", "styles", "colours"), CASES)
def test_gradients_equal_finite_differences(noise, clamp, styles, colours):
    given = inputs(torch.float64, noise, styles, colours, channels=3, side=2)
    there = [name for name in NAMES if given[name] is not None]

    def of(*values):
        results = fused(dict.fromkeys(NAMES) | dict(zip(there, values, strict=True)), clamp)
        return tuple(r for r in results if r is not None)

    assert torch.autograd.gradcheck(of, [given[name] for name in there], eps=1e-6, atol=1e-7)


def test_one_of_two_results_alone_has_the_right_gradient():
    given = inputs(torch.float64, True, True, True)
    for number in (0, 1):
        only = [None, None]
        found = gradients([fused(given, 0.9)[number], *only], given | {("colours", "styles")[number]: None})
        expected = gradients([stepwise(given, 0.9)[number], *only], given | {("colours", "styles")[number]: None})
        assert all(torch.allclose(found[name], expected[name]) for name in expected)


def test_layouts_and_maps_per_image_give_the_same():
    given = inputs(torch.float64, True, True, True)
    other = dict(given)
    other["x"] = given["x"].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    other["noise"] = given["noise"].detach().expand(2, -1, -1, -1).clone().requires_grad_()
    first, second = gradients(fused(given, 0.9), given), gradients(fused(other, 0.9), other)
    assert torch.allclose(second["noise"].sum(0, keepdim=True), first["noise"])
    assert all(torch.allclose(first[name], second[name]) for name in NAMES if name != "noise")
    assert fused(other, 0.9)[0].is_contiguous(memory_format=torch.channels_last)


def test_gradients_in_bfloat16_are_near():
    given = inputs(torch.float32, True, True, True, batch=3, side=16)
    half = given | {"x": given["x"].detach().bfloat16().requires_grad_()}
    precise, near = gradients(fused(given, None), given), gradients(fused(half, None), half)
    for name in ("scales", "styles", "colours"):
        assert near[name].dtype == torch.float32
        assert (near[name] - precise[name]).norm() < 0.02 * precise[name].norm(), name


def test_one_map_is_kept_for_the_gradient():
    given = inputs(torch.float32, True, True, True, batch=4, side=8)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        fused(given, 0.9)
    assert sum(size >= given["x"].numel() for size in sizes) == 1
