"""Shape of the head and its pose in the picture."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from brownid.world.anatomy import NUISANCE
from brownid.world.primitives import monomials

_LEAST = -30.0


class _GaussianSum(torch.autograd.Function):
    """Σₖ outputs[c, k] · exp(exponents[k] · features)."""

    @staticmethod
    def forward(ctx: Any, exponents: Tensor, outputs: Tensor, features: Tensor) -> Tensor:
        bump = torch.bmm(exponents, features).clamp_min_(_LEAST).exp_()
        ctx.save_for_backward(exponents, outputs, features, bump)
        return torch.bmm(outputs, bump)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        exponents, outputs, features, bump = ctx.saved_tensors
        if outputs.shape[1] == 1:  # the levels can wait until the pixels are summed: one pass fewer
            product = bump * gradient
            sums = torch.bmm(product, features.transpose(1, 2))  # its first column belongs to the monomial 1
            level = outputs.transpose(1, 2)
            return level * sums, sums[:, None, :, 0], torch.bmm((level * exponents).transpose(1, 2), product)
        product = torch.bmm(outputs.transpose(1, 2), gradient).mul_(bump)
        in_outputs = torch.bmm(gradient, bump.transpose(1, 2))
        return torch.bmm(product, features.transpose(1, 2)), in_outputs, torch.bmm(exponents.transpose(1, 2), product)


class _SoftmaxMix(torch.autograd.Function):
    """Σₖ colours[c, k] · softmaxₖ(logits[k] · features)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, colours: Tensor, features: Tensor) -> Tensor:
        weight = torch.matmul(logits, features)
        weight.sub_(weight.amax(1, keepdim=True)).clamp_min_(_LEAST).exp_()
        with_sum = torch.cat([colours, torch.ones_like(colours[:, :1])], dim=1)
        sums = torch.bmm(with_sum, weight)
        inverse = sums[:, -1:].reciprocal()
        result = sums[:, :-1] * inverse
        ctx.save_for_backward(logits, with_sum, features, weight, inverse, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        logits, with_sum, features, weight, inverse, result = ctx.saved_tensors
        # ∂/∂weightₖ = Σ_c g_c (colours[c, k] − result[c]) / Σ weight
        scaled = gradient * inverse
        scaled = torch.cat([scaled, -(scaled * result).sum(1, keepdim=True)], dim=1)
        in_colours = torch.bmm(scaled[:, :-1], weight.transpose(1, 2))
        product = torch.bmm(with_sum.transpose(1, 2), scaled).mul_(weight)
        in_logits = torch.matmul(product, features.transpose(-1, -2))
        in_features = torch.bmm(logits.transpose(1, 2), product) if ctx.needs_input_grad[2] else None
        return in_logits, in_colours, in_features


class _SlopeField(torch.autograd.Function):
    """fields[0] + Σₖ features[places[k]] · fields[k + 1]: one gradient by the monomials, instead of one for each."""

    @staticmethod
    def forward(ctx: Any, fields: Tensor, features: Tensor, places: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(fields, features)
        ctx.places = places
        result = fields[:, 0].clone()
        product = torch.empty_like(result)
        for field, place in enumerate(places, start=1):
            result.add_(torch.mul(features[:, place], fields[:, field], out=product))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        fields, features = ctx.saved_tensors
        in_fields, in_features = torch.empty_like(fields), torch.zeros_like(features)
        in_fields[:, 0] = gradient
        for field, place in enumerate(ctx.places, start=1):
            torch.mul(gradient, features[:, place], out=in_fields[:, field])
            torch.mul(gradient, fields[:, field], out=in_features[:, place])
        return in_fields, in_features, None


def gaussian_sum(exponents: Tensor, outputs: Tensor, features: Tensor) -> Tensor:
    """`[B, C, P]` from exponents `[B, K, 9]`, outputs `[B, C, K]` and monomials `[B, 9, P]` (the first is 1)."""
    return _GaussianSum.apply(exponents, outputs, features)


def softmax_mix(logits: Tensor, colours: Tensor, features: Tensor) -> Tensor:
    """`[B, C, P]` from logits `[B, K, 9]`, colours `[B, C, K]` and monomials `[B, 9, P]` or, constant, `[9, P]`."""
    return _SoftmaxMix.apply(logits, colours, features)


STRETCH = 2.1  # k
POLE = 1.1  # c₀: a little over 1, so that the coordinates stay finite all round
ITERATIONS = 2  # before the last evaluation; the mean error against 12 is measured in the tests
_GRAZING = 4e-4  # softens the square root where the ray passes the outline


SLOPE_A, SLOPE_B = (0, 1, 2, 3, 5, 6), (0, 1, 2, 5)  # the monomials of ∂q/∂a and ∂q/∂b


def slope_coefficients(polynomials: Tensor) -> Tensor:
    """The polynomials ∂q/∂a (on 1, a, a², a³, b, ab) and ∂q/∂b (on 1, a, a², b) of `[B, K, 9]`: `[B, K, 10]`."""
    p = polynomials.unbind(-1)
    in_a = [p[1], 2.0 * p[2], 3.0 * p[3], 4.0 * p[4], p[6], 2.0 * p[7]]
    in_b = [p[5], p[6], p[7], 2.0 * p[8]]
    return torch.stack(in_a + in_b, dim=-1)


@dataclass(frozen=True)
class Surface:
    """Surface points hit by the rays of a batch; `P` pixels."""

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
        scale = 1.0 + gaussian_sum(negative, weight, features).squeeze(1)
    (unit, inverse), a, b = _coordinates(centre, direction, offset, scale)
    features = monomials(a, b)
    # one product gives s − 1 and the ten coefficients of its slopes
    outputs = torch.cat([levels[:, :, None], -levels[:, :, None] * slope_coefficients(polynomials)], dim=-1)
    fields = gaussian_sum(negative, outputs.transpose(1, 2), features)
    excess, in_a_fields, in_b_fields = fields.split((1, *map(len, (SLOPE_A, SLOPE_B))), dim=1)
    scale = excess.squeeze(1) + 1.0
    in_a = _SlopeField.apply(in_a_fields, features, SLOPE_A[1:])
    in_b = _SlopeField.apply(in_b_fields, features, SLOPE_B[1:])
    # ∇s on the sphere: T = (k/w)(s_a, s_b, −(a s_a + b s_b)/k), with n·T = (c₀/w)(a s_a + b s_b); w = c₀ + n_z
    radial = a * in_a + b * in_b
    over = inverse / scale
    bend = torch.stack([STRETCH * in_a, STRETCH * in_b, -radial], dim=1) * over[:, None]
    gradient = unit * (1.0 + POLE * radial * over)[:, None] - bend
    return Surface(features, gradient, scale - torch.sqrt(offset + 1e-12))


def _coordinates(
    centre: Tensor, direction: Tensor, offset: Tensor, scale: Tensor
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """The direction n with 1/(c₀ + n_z), and the coordinates a and b, where a surface of radius `scale` is hit."""
    depth_squared = scale * scale - offset
    # a soft max(·, 0): a ray that misses sees the outline's nearest point
    square = 0.5 * (depth_squared + torch.sqrt(depth_squared * depth_squared + _GRAZING))
    depth = torch.sqrt(square)
    unit = (centre + direction * depth[:, None]) * torch.rsqrt(offset + square)[:, None]
    x, y, z = unit.unbind(1)
    inverse = 1.0 / (z + POLE)
    stretched = inverse * STRETCH
    return (unit, inverse), x * stretched, y * stretched


CENTRE = (0.0071, 0.0696)  # the head's centre in the frame, in half sides right and up: the eyes' height in a 112 crop
RADII = (0.745, 1.01, 0.84)  # of the average head: width, height, depth
_EYE_DEPTH = 0.72  # of the point that the framing follows, in front of the head's centre
_FOLLOW = 0.6  # share of that point's motion that framing takes back, as an alignment on five points does


@dataclass(frozen=True)
class Pose:
    """Rays and light in the ellipsoid's scaled space (see `geometry`)."""

    rays: Tensor  # [B, 3, 3]: (1, x, y) of a pixel to the ray's nearest point to the centre
    direction: Tensor  # [B, 3]: unit, towards the camera
    rotation: Tensor  # [B, 3, 3]: head to camera
    radii: Tensor  # [B, 3]
    view: Tensor  # [B, 3]: normal (not normalised, scaled space) times this = its component towards the camera
    lamp: Tensor  # [B, 3]: the same towards the lamp
    half: Tensor  # [B, 3]: the same towards the bisector of camera and lamp
    lamp_direction: Tensor  # [B, 3]: unit, in camera coordinates
    shift: Tensor  # [B, 2]: the head's centre in the frame
    zoom: Tensor  # [B]: image size of a unit length


def head_radii(value: dict[str, Tensor]) -> Tensor:
    """The ellipsoid's radii `[B, 3]`."""
    size = torch.stack([0.085 * value["face_width"], 0.055 * value["face_height"], 0.06 * value["head_depth"]], dim=1)
    return size.new_tensor(RADII) * torch.exp(size)


def pose(value: dict[str, Tensor]) -> Pose:
    """The pose of settings by name, each `[B]`."""
    yaw, pitch, roll = (_radians(value, name) for name in ("yaw", "pitch", "roll"))
    rotation = _turn(roll, 0, 1) @ _turn(yaw, 2, 0) @ _turn(pitch, 2, 1)
    radii = head_radii(value)
    zoom = torch.exp(0.07 * value["zoom"])
    shift = radii.new_tensor(CENTRE) - _FOLLOW * _EYE_DEPTH * rotation[:, :2, 2]
    direction = rotation[:, 2] / radii
    length = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    direction = direction / length
    # nearest point to the centre: project what lies across the ray out of Rᵀ(x − tₓ, y − t_y, 0) / radii
    across = rotation[:, :2].transpose(1, 2) / radii[:, :, None]
    across = across - direction[:, :, None] * (direction[:, :, None] * across).sum(1, keepdim=True)
    across = across / zoom[:, None, None]
    rays = torch.cat([-(across @ shift[:, :, None]), across], dim=2)
    light_yaw, light_pitch = _radians(value, "light_yaw"), _radians(value, "light_pitch")
    lamp = torch.stack(
        [
            torch.sin(light_yaw) * torch.cos(light_pitch),
            torch.sin(light_pitch),
            torch.cos(light_yaw) * torch.cos(light_pitch),
        ],
        dim=1,
    )
    half = lamp + lamp.new_tensor([0.0, 0.0, 1.0])
    half = half / torch.sqrt((half * half).sum(1, keepdim=True) + 1e-4)

    def in_scaled_space(vectors: Tensor) -> Tensor:
        return torch.einsum("bij,bi->bj", rotation, vectors) / radii

    return Pose(
        rays,
        direction,
        rotation,
        radii,
        rotation[:, 2] / radii,
        in_scaled_space(lamp),
        in_scaled_space(half),
        lamp,
        shift,
        zoom,
    )


def _radians(value: dict[str, Tensor], name: str) -> Tensor:
    return NUISANCE[name].of_setting(value[name]) * (math.pi / 180)


def _turn(angle: Tensor, start: int, end: int) -> Tensor:
    """The rotation `[B, 3, 3]` that turns axis `start` towards axis `end`."""
    cosine, sine = torch.cos(angle), torch.sin(angle)
    columns = list(torch.eye(3, dtype=angle.dtype, device=angle.device).expand(len(angle), 3, 3).unbind(2))
    axes = torch.eye(3, dtype=angle.dtype, device=angle.device)
    columns[start] = cosine[:, None] * axes[start] + sine[:, None] * axes[end]
    columns[end] = cosine[:, None] * axes[end] - sine[:, None] * axes[start]
    return torch.stack(columns, dim=2)
