"""The parameters of a face image: their names, which are the person and which the moment, and their ranges.

A raw parameter is any real number. Its *setting* tanh(0.75 · raw) lies in (-1, 1), so that no latent leaves the range
in which a face looks like one; 0 is the average face. The tables of `bumps`, `layers` and `surroundings` say what a
setting of 1 does. A nuisance parameter has a physical amount as well (degrees, or a share), given here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from brownid.errors import BrownidError

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
