"""Ellipses and bumps: the soft shapes from which faces are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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

    base: Tensor  # [K, 8]
    effect: Tensor  # [S, K · 8]
    is_pair: Tensor  # [K], 1 or 0

    def __init__(self, ellipses: Sequence[Ellipse], setting_names: Sequence[str]) -> None:
        super().__init__()
        self.names = [ellipse.name for ellipse in ellipses]
        column = {name: index for index, name in enumerate(setting_names)}
        base = torch.zeros(len(ellipses), len(SLOTS), dtype=torch.float64)
        effect = torch.zeros(len(setting_names), len(ellipses), len(SLOTS), dtype=torch.float64)
        for row, ellipse in enumerate(ellipses):
            for place, name in enumerate(SLOTS):
                value = getattr(ellipse, name, 0.0)
                base[row, place] = torch.tensor(value).log() if name in _SIZES else value
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
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
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


# fmt: off
EYES = {"eye_spacing": {"a": 0.04}, "eye_height": {"b": 0.035}}
BROWS = {
    "brow_height": {"b": 0.035}, "eye_height": {"b": 0.02}, "surprise": {"b": 0.10}, "disgust": {"b": -0.05},
    "squint": {"b": -0.03}, "frown": {"b": -0.06, "a": -0.03}, "scream": {"b": 0.03},
}
NOSE = {"nose_length": {"b": -0.055}}
MOUTH = {"mouth_height": {"b": 0.05}, "smile": {"b": 0.02}}

BUMPS: tuple[Ellipse, ...] = (
    # the skull, with its hair
    Ellipse("crown", 0, 2.3, 1.7, 1.0, level=0.05, effects={"crown": {"level": 0.05}, "hair_top": {"level": 0.05}}),
    Ellipse("upper_sides", 1.15, 1.15, 0.45, 0.6, level=0.07, pair=True,
            effects={"hair_sides": {"level": 0.03}, "hair_top": {"level": 0.03}, "temples": {"level": 0.015}}),
    Ellipse("forehead", 0, 0.62, 0.75, 0.42, level=0.01, effects={"forehead": {"level": 0.04}}),
    Ellipse("temples", 1.15, 0.35, 0.35, 0.55, level=-0.02, pair=True,
            effects={"temples": {"level": 0.04}, "hair_sides": {"level": 0.01}}),
    Ellipse("hair_sides", 1.95, 0.6, 0.5, 0.9, level=0.03, pair=True, effects={"hair_sides": {"level": 0.05}}),
    # the face's outline
    Ellipse("cheekbones", 0.85, -0.28, 0.32, 0.22, slope=0.25, level=0.025, pair=True,
            effects={"cheekbones": {"level": 0.045}, "cheekbone_height": {"b": 0.09}, "cheeks": {"level": 0.01},
                     "smile": {"level": 0.035, "b": 0.05}, "disgust": {"level": 0.02}, "squint": {"level": 0.02}}),
    Ellipse("cheeks", 0.78, -0.78, 0.38, 0.36, level=-0.015, pair=True,
            effects={"cheeks": {"level": 0.065}, "smile": {"level": 0.02}, "scream": {"level": -0.05, "b": -0.1}}),
    Ellipse("jaw", 1.25, -1.15, 0.50, 0.42, level=-0.02, pair=True,
            effects={"jaw_width": {"level": 0.085}, "jaw_height": {"b": 0.15}, "scream": {"level": -0.03}}),
    Ellipse("chin_sides", 0.75, -1.65, 0.42, 0.40, level=-0.06, pair=True, effects={"chin_width": {"level": 0.07}}),
    Ellipse("chin", 0, -1.45, 0.34, 0.26, level=0.055,
            effects={"chin_forward": {"level": 0.045}, "chin_width": {"width": 0.3}, "chin_length": {"b": -0.08},
                     "scream": {"b": -0.22}, "surprise": {"b": -0.08}}),
    Ellipse("chin_end", 0, -2.0, 0.75, 0.5, level=-0.02,
            effects={"chin_length": {"level": 0.06}, "scream": {"level": 0.07}}),
    Ellipse("chin_cleft", 0, -1.30, 0.06, 0.10, level=-0.004, effects={"chin_cleft": {"level": -0.014}}),
    # brows and eyes
    Ellipse("brow_ridge", 0.42, 0.17, 0.28, 0.09, slope=-0.05, level=0.022, pair=True,
            effects=merge(BROWS, EYES, {"brow_ridge": {"level": 0.03}, "frown": {"level": 0.015}})),
    Ellipse("sockets", 0.445, 0.0, 0.22, 0.13, level=-0.055, pair=True,
            effects=merge(EYES, {"eye_depth": {"level": -0.035}})),
    Ellipse("eyeballs", 0.45, -0.01, 0.13, 0.075, level=0.04, pair=True, effects=EYES),
    Ellipse("eye_bags", 0.43, -0.14, 0.13, 0.035, level=0.002, pair=True,
            effects=merge(EYES, {"eye_bags": {"level": 0.010}, "squint": {"level": 0.012, "b": 0.02},
                                 "smile": {"level": 0.008}})),
    # nose
    Ellipse("bridge", 0, -0.05, 0.095, 0.26, level=0.085,
            effects={"bridge_height": {"level": 0.045}, "bridge_width": {"width": 0.28}, "nose_length": {"b": -0.02},
                     "frown": {"width": 0.1}}),
    Ellipse("nose_hump", 0, -0.12, 0.08, 0.08, level=0.008, effects={"nose_hump": {"level": 0.035}}),
    Ellipse("nose_tip", 0, -0.325, 0.125, 0.105, level=0.165,
            effects=merge(NOSE, {"nose_tip": {"width": 0.25, "height": 0.15}, "nose_forward": {"level": 0.06},
                                 "disgust": {"b": 0.03}})),
    Ellipse("nose_wings", 0.15, -0.385, 0.075, 0.07, level=0.065, pair=True,
            effects=merge(NOSE, {"nose_width": {"a": 0.05, "width": 0.15}, "smile": {"a": 0.02},
                                 "nostrils": {"height": 0.15, "level": 0.015},
                                 "disgust": {"b": 0.04, "level": 0.02, "a": 0.015}})),
    # mouth
    Ellipse("mouth_mound", 0, -0.83, 0.42, 0.26, level=0.035, effects=merge(MOUTH, {"lips_forward": {"level": 0.035}})),
    Ellipse("upper_lip", 0, -0.755, 0.26, 0.045, curve=-0.22, level=0.022,
            effects=merge(MOUTH, {"upper_lip": {"level": 0.015, "height": 0.25}, "mouth_width": {"width": 0.18},
                                  "smile": {"curve": 0.6, "width": 0.12}, "scream": {"b": 0.06},
                                  "disgust": {"b": 0.05, "level": 0.012}, "surprise": {"width": -0.2, "b": 0.03}})),
    Ellipse("lower_lip", 0, -0.875, 0.23, 0.055, curve=0.15, level=0.028,
            effects=merge(MOUTH, {"lower_lip": {"level": 0.018, "height": 0.25}, "mouth_width": {"width": 0.18},
                                  "smile": {"curve": 0.7, "width": 0.12}, "scream": {"b": -0.25},
                                  "surprise": {"width": -0.2, "b": -0.10}, "disgust": {"b": 0.02}})),
    Ellipse("smile_folds", 0.36, -0.62, 0.05, 0.16, slope=-1.2, level=-0.012, pair=True,
            effects={"wrinkles": {"level": -0.01}, "smile": {"level": -0.022, "a": 0.04},
                     "disgust": {"level": -0.022}}),
    Ellipse("philtrum", 0, -0.60, 0.035, 0.07, level=-0.008, effects={"philtrum": {"level": -0.015}}),
)
