"""The colours of a person and a scene, from settings: linear RGB-like values around 0 to 1."""

from collections.abc import Sequence

import torch
from torch import Tensor

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
