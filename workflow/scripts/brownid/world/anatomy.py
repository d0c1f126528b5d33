"""The parameters of a face and of a picture of it: identity, pose, light, expression, colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brownid.runtime.errors import BrownidError

STEEPNESS = 0.75

IDENTITY_NAMES: tuple[str, ...] = (
    # head
    *("face_width", "face_height", "head_depth", "crown", "forehead", "temples", "cheekbones", "cheekbone_height"),
    *("cheeks", "jaw_width", "jaw_height", "chin_width", "chin_length", "chin_forward", "chin_cleft"),
    # eyes and brows
    *("brow_ridge", "eye_depth", "eye_spacing", "eye_height", "eye_width", "eye_opening", "eye_tilt", "eye_bags"),
    *("iris_size", "iris_blue", "iris_light", "lashes", "brow_height", "brow_thickness", "brow_length", "brow_tilt"),
    *("brow_arch", "brow_density", "brow_gap"),
    # nose
    *(
        "nose_length",
        "nose_width",
        "bridge_height",
        "bridge_width",
        "nose_tip",
        "nose_forward",
        "nose_hump",
        "nostrils",
    ),
    # mouth
    *("mouth_height", "mouth_width", "upper_lip", "lower_lip", "lips_forward", "mouth_curve", "philtrum"),
    *("lip_red", "lip_dark"),
    # ears
    *("ear_size", "ear_out", "ear_height"),
    # skin
    *("skin_tone", "skin_red", "skin_yellow", "blush", "eye_shadow", "wrinkles", "skin_shine"),
    *("patch_forehead", "patch_left", "patch_right", "patch_nose", "patch_chin", "patch_temples"),
    # hair
    *("hair_light", "hair_red", "hair_grey", "hairline", "hairline_width", "hairline_peak", "parting", "fringe"),
    *("hair_top", "hair_sides", "hair_length", "streaks"),
    # beard
    *("beard", "beard_height", "moustache", "sideburns"),
    # moles
    *("mole_forehead", "mole_left", "mole_right", "mole_mouth", "mole_chin"),
)


@dataclass(frozen=True)
class Amount:
    """A nuisance parameter's physical amount, `middle` + `half` · setting, and how widely the generator spreads it."""

    half: float
    generator_std: float  # of the raw parameter, over random latents
    middle: float = 0.0
    unit: str = ""
    expression: bool = False

    def of_setting(self, setting: Tensor) -> Tensor:
        """The physical amount of a setting in (-1, 1)."""
        return self.middle + self.half * (_one_sided(setting) if self.expression else setting)

    def raw(self, amount: float) -> float:
        """The raw parameter of a physical amount; `ValueError` outside the range."""
        setting = (amount - self.middle) / self.half
        if self.expression:
            setting = _one_sided_inverse(setting)
        if not abs(setting) < 1:
            raise ValueError(f"amount {amount} is outside the range")
        return math.atanh(setting) / STEEPNESS

    @property
    def range(self) -> tuple[float, float]:
        """The (open) interval of amounts."""
        ends = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        low, high = self.of_setting(ends).tolist()
        return low, high


def _pose(half: float) -> Amount:
    return Amount(half, 0.2, unit="degrees")


_EXPRESSION = Amount(1.25, 0.2, expression=True)
_SCENE = Amount(1.0, 0.5)

# Positive yaw turns the face to the image's right, positive pitch up, positive roll tilts its top to the image's left;
# positive light_yaw puts the lamp on the image's right, positive light_pitch above. A negative expression is a slight
# opposite (a negative smile droops): there is a gradient everywhere.
NUISANCE: dict[str, Amount] = {
    "yaw": _pose(55.0),
    "pitch": _pose(25.0),
    "roll": _pose(14.0),
    "light_yaw": _pose(75.0),
    "light_pitch": Amount(45.0, 0.2, middle=25.0, unit="degrees"),
    "light_strength": Amount(0.7, 0.2, middle=1.0),
    "ambient": Amount(0.5, 0.2, middle=1.0),
    **dict.fromkeys(("smile", "scream", "disgust", "squint", "surprise", "frown"), _EXPRESSION),
    "gaze": _SCENE,
    "light_warmth": _SCENE,
    "background_light": _SCENE,
    "background_red": _SCENE,
    "background_blue": _SCENE,
    "background_gradient": _SCENE,
    "clothes_light": _SCENE,
    "clothes_hue": _SCENE,
    "camera_gain": _SCENE,
    "camera_red": _SCENE,
    "camera_blue": _SCENE,
    "zoom": _SCENE,
}
NUISANCE_NAMES: tuple[str, ...] = tuple(NUISANCE)
NUISANCE_GROUPS: dict[str, tuple[str, ...]] = {
    "pose": ("yaw", "pitch", "roll"),
    "light": ("light_yaw", "light_pitch", "light_strength", "ambient", "light_warmth"),
    "expression": ("smile", "scream", "disgust", "squint", "surprise", "frown", "gaze"),
    "scene": (
        "background_light",
        "background_red",
        "background_blue",
        "background_gradient",
        "clothes_light",
        "clothes_hue",
    ),
    "camera": ("camera_gain", "camera_red", "camera_blue", "zoom"),
}
SETTING_NAMES: tuple[str, ...] = IDENTITY_NAMES + NUISANCE_NAMES

_is_expression = torch.tensor([amount.expression for amount in NUISANCE.values()])


def identity_settings(raw: Tensor) -> Tensor:
    """Raw identity parameters `[B, I]` to settings in (-1, 1)."""
    return torch.tanh(STEEPNESS * raw)


def nuisance_settings(raw: Tensor) -> Tensor:
    """Raw nuisance parameters `[B, N]` to settings in (-1, 1); expressions are one-sided, and scaled to amounts."""
    setting = torch.tanh(STEEPNESS * raw)
    return torch.where(_is_expression.to(raw.device), _EXPRESSION.half * _one_sided(setting), setting)


def named_nuisance(amounts: Mapping[str, float]) -> Tensor:
    """Raw nuisance `[N]`, float32, of named physical amounts; what is not named is neutral (raw 0).

    Raises `BrownidError` for an unknown name or an amount outside its range.
    """
    raw = torch.zeros(len(NUISANCE_NAMES))
    for name, amount in amounts.items():
        if name not in NUISANCE:
            raise BrownidError(f"The nuisance {name!r} is unknown: use one of {', '.join(NUISANCE_NAMES)}.")
        try:
            raw[NUISANCE_NAMES.index(name)] = NUISANCE[name].raw(float(amount))
        except ValueError:
            low, high = NUISANCE[name].range
            unit = f" {NUISANCE[name].unit}" if NUISANCE[name].unit else ""
            raise BrownidError(
                f"The nuisance {name} = {amount} is out of range: use a value between {low:g} and {high:g}{unit}, "
                "ends excluded."
            ) from None
    return raw


_BEND = 0.1  # where the slope of an expression changes from 0.3 (below) to 1 (above)


def _one_sided(setting: Tensor) -> Tensor:
    """A smooth ramp through 0 with slope 0.3 far below and 1 far above: never flat."""
    return 0.65 * setting + 0.35 * (torch.sqrt(setting * setting + _BEND**2) - _BEND)


def _one_sided_inverse(value: float) -> float:
    # 0.65 s + 0.35 √(s² + β²) = y with y = value + 0.35 β, squared: (0.65² − 0.35²) s² − 1.3 y s + y² − 0.35² β² = 0
    y = value + 0.35 * _BEND
    square, linear, constant = 0.65**2 - 0.35**2, -1.3 * y, y * y - (0.35 * _BEND) ** 2
    return (-linear - math.sqrt(linear**2 - 4 * square * constant)) / (2 * square)


HEAD_TONES = (
    *("skin", "skin_dark", "skin_light", "skin_red", "mole", "beard", "hair", "hair_dark", "hair_light", "brow"),
    *("lip", "mouth", "teeth", "nostril", "crease", "lash", "white", "iris", "black", "glint"),
)
SCENE_TONES = (
    *("background", "background_light", "clothes", "neck_left", "neck_right", "neck_shade", "ear", "ear_shade"),
    *("hair_dark",),
)


class Palette(torch.nn.Module):
    """Colours as exponentials of affine functions of the settings: always positive, never clipped."""

    base: Tensor  # [C, 3]
    effect: Tensor  # [S, C · 3]

    def __init__(self, setting_names: Sequence[str]) -> None:
        super().__init__()
        column = {name: index for index, name in enumerate(setting_names)}
        bases, effects = [], []
        for base, moves in _LOG_COLOURS.values():
            effect = torch.zeros(len(setting_names), 3)
            for name, change in moves.items():
                effect[column[name]] = torch.tensor(change)
            bases.append(torch.tensor(base).log())
            effects.append(effect)
        self.register_buffer("base", torch.stack(bases), persistent=False)
        self.register_buffer("effect", torch.stack(effects, dim=1).flatten(1), persistent=False)

    def forward(self, settings: Tensor) -> dict[str, Tensor]:
        """The base colours `[B, 3]` by name."""
        logs = self.base + (settings @ self.effect).view(len(settings), *self.base.shape)
        return dict(zip(_LOG_COLOURS, torch.exp(logs).unbind(1), strict=True))


_LOG_COLOURS: dict[str, tuple[tuple[float, float, float], dict[str, tuple[float, float, float]]]] = {
    "skin": (
        (0.74, 0.49, 0.36),
        {"skin_tone": (-0.62, -0.80, -0.90), "skin_red": (0.08, -0.08, -0.04), "skin_yellow": (0.02, 0.03, -0.15)},
    ),
    "blush": (
        (0.80, 0.34, 0.27),
        {"skin_tone": (-0.60, -0.85, -0.85)},
    ),
    "lip": (
        (0.66, 0.30, 0.27),
        {"skin_tone": (-0.45, -0.45, -0.40), "lip_red": (0.14, -0.22, -0.12), "lip_dark": (-0.28, -0.32, -0.28)},
    ),
    "hair": (
        (0.20, 0.135, 0.09),
        {
            "hair_light": (1.15, 1.20, 1.05),
            "hair_red": (0.30, -0.08, -0.30),
            "hair_grey": (0.15, 0.35, 0.65),
            "skin_tone": (-0.25, -0.25, -0.22),
        },
    ),
    "iris": (
        (0.26, 0.24, 0.20),
        {"iris_blue": (-0.55, 0.05, 0.80), "iris_light": (0.55, 0.55, 0.50)},
    ),
    "background": (
        (0.55, 0.57, 0.60),
        {
            "background_light": (0.75, 0.75, 0.75),
            "background_red": (0.35, 0.0, -0.20),
            "background_blue": (-0.20, 0.0, 0.35),
        },
    ),
    "clothes": (
        (0.25, 0.27, 0.34),
        {"clothes_light": (0.8, 0.8, 0.8), "clothes_hue": (0.5, 0.0, -0.4)},
    ),
    "light": (
        (1.0, 0.97, 0.93),
        {"light_warmth": (0.06, 0.0, -0.12)},
    ),
    "camera": (
        (1.35, 1.35, 1.35),
        {"camera_gain": (0.30, 0.30, 0.30), "camera_red": (0.10, 0.0, -0.03), "camera_blue": (-0.03, 0.0, 0.10)},
    ),
}  # name -> (the average colour, the change of its logarithm at setting 1)


def head_palette(colours: dict[str, Tensor]) -> Tensor:
    """The tones `HEAD_TONES` `[B, T, 3]`."""
    skin, hair, lip, iris = colours["skin"], colours["hair"], colours["lip"], colours["iris"]

    def constant(*rgb: float) -> Tensor:
        return skin.new_tensor(rgb).expand_as(skin)

    tones = {
        "skin": skin,
        "skin_dark": skin * skin.new_tensor([0.62, 0.52, 0.48]),
        "skin_light": skin * 1.18,
        "skin_red": colours["blush"],
        "mole": skin * skin.new_tensor([0.38, 0.27, 0.23]),
        "beard": 0.75 * hair + 0.06 * skin,
        "hair": hair,
        "hair_dark": 0.55 * hair,
        "hair_light": 1.35 * hair,
        "brow": 0.70 * hair + 0.03 * skin,
        "lip": lip,
        "mouth": constant(0.12, 0.03, 0.03),
        "teeth": constant(0.85, 0.82, 0.74),
        "nostril": skin * skin.new_tensor([0.25, 0.16, 0.14]),
        "crease": skin * skin.new_tensor([0.45, 0.34, 0.30]),
        "lash": 0.10 * hair + 0.10 * skin,
        "white": constant(0.84, 0.83, 0.82),
        "iris": iris,
        "black": constant(0.015, 0.015, 0.02),
        "glint": constant(1.6, 1.6, 1.6),
    }
    return torch.stack([tones[name] for name in HEAD_TONES], dim=1)
