"""Where each pixel's ray meets the head, and how the surface lies there.

The head is an ellipsoid whose radius is multiplied by s(n) = 1 + Σ levelₖ exp(−qₖ(n)); n is the unit direction in the
ellipsoid's own scaled space. In that space a ray (parallel projection) is the line c + v·t with v ⟂ c and |v| = 1, and
|c| its distance from the centre. For a given s the intersection is closed-form; s is found by fixed-point iterations.

Surface coordinates are stereographic, without a pole on the visible side:
a = k nₓ / (c₀ + n_z), b = k n_y / (c₀ + n_z).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from brownid.generators.procedural.ellipses import monomials
from brownid.generators.procedural.mixtures import gaussian_sum

STRETCH = 2.1  # k
POLE = 1.1  # c₀: a little over 1, so that the coordinates stay finite all round
ITERATIONS = 2  # before the last evaluation; the mean error against 12 is measured in the tests
_GRAZING = 4e-4  # softens the square root where the ray passes the outline


def slope_coefficients(polynomials: Tensor) -> Tensor:
    """The polynomials ∂q/∂a (on 1, a, a², a³, b, ab) and ∂q/∂b (on 1, a, a², b) of `[B, K, 9]`: `[B, K, 10]`."""
    p = polynomials.unbind(-1)
    in_a = [p[1], 2.0 * p[2], 3.0 * p[3], 4.0 * p[4], p[6], 2.0 * p[7]]
    in_b = [p[5], p[6], p[7], 2.0 * p[8]]
    return torch.stack(in_a + in_b, dim=-1)


@dataclass(frozen=True)
class Surface:
    """What the rays of a batch hit; `P` pixels."""

    monomials: Tensor  # [B, 9, P] of the surface coordinates
    gradient: Tensor  # [B, 3, P]: surface normal in scaled space, not normalised
    clearance: Tensor  # [B, P]: s − |c|, positive where the ray hits, in scaled units


def intersect(centre: Tensor, direction: Tensor, polynomials: Tensor, levels: Tensor) -> Surface:
    """Rays `centre` `[B, 3, P]`, perpendicular to the unit `direction` `[B, 3]`, against bumps `[B, K, 9]` `[B, K]`."""
    negative = -polynomials
    direction = direction[:, :, None]
    offset = (centre * centre).sum(1)  # squared distance of the ray from the centre
    weight = levels[:, None, :]
    scale = torch.ones_like(offset)
    for _ in range(ITERATIONS):
        features = monomials(*_coordinates(centre, direction, offset, scale)[1:])
        scale = 1.0 + gaussian_sum(negative, weight, features)[:, 0]
    (unit, inverse), a, b = _coordinates(centre, direction, offset, scale)
    features = monomials(a, b)
    # one product gives s − 1 and the ten coefficients of its slopes
    outputs = torch.cat([levels[:, :, None], -levels[:, :, None] * slope_coefficients(polynomials)], dim=-1)
    fields = gaussian_sum(negative, outputs.transpose(1, 2), features)
    scale = fields[:, 0] + 1.0
    f = features
    in_a = (
        fields[:, 1]
        + f[:, 1] * fields[:, 2]
        + f[:, 2] * fields[:, 3]
        + f[:, 3] * fields[:, 4]
        + f[:, 5] * fields[:, 5]
        + f[:, 6] * fields[:, 6]
    )
    in_b = fields[:, 7] + f[:, 1] * fields[:, 8] + f[:, 2] * fields[:, 9] + f[:, 5] * fields[:, 10]
    # ∇s on the sphere: T = (k/w)(s_a, s_b, −(a s_a + b s_b)/k), with n·T = (c₀/w)(a s_a + b s_b); w = c₀ + n_z
    radial = a * in_a + b * in_b
    over = inverse / scale
    bend = torch.stack([STRETCH * in_a, STRETCH * in_b, -radial], dim=1) * over[:, None]
    gradient = unit * (1.0 + POLE * radial * over)[:, None] - bend
    return Surface(features, gradient, scale - torch.sqrt(offset + 1e-12))


def _coordinates(centre: Tensor, direction: Tensor, offset: Tensor, scale: Tensor):
    """The direction n with 1/(c₀ + n_z), and the coordinates a and b, where a surface of radius `scale` is hit."""
    depth_squared = scale * scale - offset
    # a soft max(·, 0): a ray that misses sees the outline's nearest point
    square = 0.5 * (depth_squared + torch.sqrt(depth_squared * depth_squared + _GRAZING))
    depth = torch.sqrt(square)
    unit = (centre + direction * depth[:, None]) * torch.rsqrt(offset + square)[:, None]
    inverse = 1.0 / (unit[:, 2] + POLE)
    stretched = inverse * STRETCH
    return (unit, inverse), unit[:, 0] * stretched, unit[:, 1] * stretched
