"""Head pose, camera framing and lamp of a batch of images, from the nuisance settings."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from brownid.generators.procedural.parameters import NUISANCE

CENTRE = (0.0071, 0.0696)  # the head's centre in the frame, in half sides right and up: the eyes' height in a 112 crop
RADII = (0.745, 1.01, 0.84)  # of the average head: width, height, depth
_EYE_DEPTH = 0.72  # of the point that the framing follows, in front of the head's centre
_FOLLOW = 0.6  # share of that point's motion that framing takes back, as an alignment on five points does


@dataclass(frozen=True)
class Pose:
    """How rays and light look from the ellipsoid's scaled space (see `geometry`)."""

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
