"""Curved ellipses as degree-4 polynomials in two coordinates: every bump of the head and every patch of colour is one.

An ellipse has slots (centre, sizes, slope, curve, level), each a base value plus a linear effect of the settings of
named parameters. With p = a − a₀ along it and r = b − b₀ − slope·p − curve·p² across it, it is

    q(a, b) = (p / width)² + (r / height)²,

which is a linear function of the nine monomials 1, a, a², a³, a⁴, b, ab, a²b, b²: so the values of all ellipses of an
image at all its pixels are one matrix product. A `pair` is two mirror images in one polynomial: p = (a² − a₀²) / 2a₀.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

SLOTS = ("a", "b", "width", "height", "slope", "curve", "level", "shift")
MONOMIALS = 9
_SIZES = ("width", "height")  # stored as logarithms: an effect of 0.1 makes the ellipse 10 % larger
_MIRRORED = ("a", "slope")  # change sign in the left one of a mirrored ellipse; `shift` moves both the same way

Effects = Mapping[str, Mapping[str, float]]  # parameter -> slot -> change at setting 1


@dataclass(frozen=True)
class Ellipse:
    """One curved ellipse; see the module for its equation."""

    name: str
    a: float
    b: float
    width: float
    height: float
    slope: float = 0.0
    curve: float = 0.0
    level: float = 0.0
    shift: float = 0.0
    pair: bool = False
    mirrored: bool = False
    effects: Effects = field(default_factory=dict)
    # for layers of colour only: logit = sharpness·(1 − q) + level, or its negative part outside; see `layers`
    sharpness: float = 1.0
    outside: bool = False
    inside: str | None = None
    tone: str = ""
    gloss: float = 0.0


def expand(ellipses: Sequence[Ellipse]) -> list[Ellipse]:
    """Every mirrored ellipse becomes two, `name/right` and `name/left` (of the image)."""
    result = []
    for ellipse in ellipses:
        if not ellipse.mirrored:
            result.append(ellipse)
            continue
        inside = ellipse.inside
        for side, sign in (("right", 1.0), ("left", -1.0)):
            effects = {
                parameter: {slot: change * (sign if slot in _MIRRORED else 1.0) for slot, change in slots.items()}
                for parameter, slots in ellipse.effects.items()
            }
            result.append(
                replace(
                    ellipse,
                    name=f"{ellipse.name}/{side}",
                    a=sign * ellipse.a,
                    slope=sign * ellipse.slope,
                    inside=f"{inside}/{side}" if inside else None,
                    effects=effects,
                    mirrored=False,
                )
            )
    return result


def merge(*effects: Effects) -> dict[str, dict[str, float]]:
    """The sum of several tables of effects."""
    result: dict[str, dict[str, float]] = {}
    for table in effects:
        for parameter, slots in table.items():
            target = result.setdefault(parameter, {})
            for slot, change in slots.items():
                target[slot] = target.get(slot, 0.0) + change
    return result


class EllipseTable(torch.nn.Module):
    """The slots of many ellipses as one affine function of the settings `[B, S]`."""

    def __init__(self, ellipses: Sequence[Ellipse], setting_names: Sequence[str]) -> None:
        super().__init__()
        self.names = [ellipse.name for ellipse in ellipses]
        column = {name: index for index, name in enumerate(setting_names)}
        base = torch.zeros(len(ellipses), len(SLOTS), dtype=torch.float64)
        effect = torch.zeros(len(setting_names), len(ellipses), len(SLOTS), dtype=torch.float64)
        for row, ellipse in enumerate(ellipses):
            for slot, name in enumerate(SLOTS):
                value = getattr(ellipse, name, 0.0)
                base[row, slot] = torch.tensor(value).log() if name in _SIZES else value
            for parameter, slots in ellipse.effects.items():
                for slot, change in slots.items():
                    effect[column[parameter], row, SLOTS.index(slot)] += change
        self.register_buffer("base", base.float(), persistent=False)
        self.register_buffer("effect", effect.flatten(1).float(), persistent=False)
        is_pair = torch.tensor([[float(ellipse.pair)] for ellipse in ellipses])
        self.register_buffer("is_pair", is_pair[:, 0], persistent=False)

    def slots(self, settings: Tensor) -> Tensor:
        """The slots `[B, K, 8]`."""
        return self.base + (settings @ self.effect).view(len(settings), *self.base.shape)

    def polynomials(self, slots: Tensor) -> Tensor:
        """The coefficients `[B, K, 9]` of q."""
        a, b, log_width, log_height, slope, curve, _, shift = slots.unbind(-1)
        centre = a + shift
        pair = self.is_pair > 0
        safe = torch.where(pair, centre, 1.0)
        d0 = torch.where(pair, -0.5 * safe, -centre)
        d1 = 1.0 - self.is_pair
        d2 = torch.where(pair, 0.5 / safe, 0.0)
        # along: p = d0 + d1 a + d2 a²; across: r = b − (e0 + e1 a + e2 a²); a pair has no curve
        curve = curve * d1
        e0 = b + slope * d0 + curve * d0 * d0
        e1 = slope * d1 + 2.0 * curve * d0
        e2 = slope * d2 + curve
        w, h = torch.exp(-2.0 * log_width), torch.exp(-2.0 * log_height)
        return torch.stack(
            [
                w * d0 * d0 + h * e0 * e0,
                2.0 * (w * d0 * d1 + h * e0 * e1),
                w * (d1 * d1 + 2.0 * d0 * d2) + h * (e1 * e1 + 2.0 * e0 * e2),
                2.0 * (w * d1 * d2 + h * e1 * e2),
                w * d2 * d2 + h * e2 * e2,
                -2.0 * h * e0,
                -2.0 * h * e1,
                -2.0 * h * e2,
                h,
            ],
            dim=-1,
        )


class _Monomials(torch.autograd.Function):
    """The nine monomials of (a, b); the derivative is written by hand to read the gradient only once."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        result = a.new_empty(a.shape[0], MONOMIALS, a.shape[1])
        result[:, 0] = 1.0
        result[:, 1] = a
        square = torch.mul(a, a, out=result[:, 2])
        torch.mul(square, a, out=result[:, 3])
        torch.mul(square, square, out=result[:, 4])
        result[:, 5] = b
        torch.mul(a, b, out=result[:, 6])
        torch.mul(square, b, out=result[:, 7])
        torch.mul(b, b, out=result[:, 8])
        return result

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        a, b = ctx.saved_tensors
        g = gradient.unbind(1)
        # d/da = g₁ + b g₆ + a (2 (g₂ + b g₇) + a (3 g₃ + 4 a g₄)),  d/db = g₅ + 2 b g₈ + a (g₆ + a g₇)
        cubic = torch.mul(g[4], a).mul_(4.0).add_(g[3], alpha=3.0).mul_(a)
        cubic.add_(torch.addcmul(g[2], b, g[7]), alpha=2.0)
        in_a = cubic.mul_(a).addcmul_(b, g[6]).add_(g[1])
        in_b = torch.addcmul(g[6], a, g[7]).mul_(a).addcmul_(b, g[8], value=2.0).add_(g[5])
        return in_a, in_b


def monomials(a: Tensor, b: Tensor) -> Tensor:
    """The monomials `[B, 9, P]` of coordinates `[B, P]`, in the order of the module's docstring."""
    return _Monomials.apply(a, b)
