"""From parameters to pixels, layer by layer, differentiable."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from brownid.world.anatomy import HEAD_TONES, NUISANCE, SCENE_TONES, SETTING_NAMES, Palette, head_palette
from brownid.world.geometry import Pose, Surface, intersect, pose, softmax_mix
from brownid.world.primitives import (
    BROWS,
    BUMPS,
    EYES,
    MONOMIALS,
    MOUTH,
    NOSE,
    SLOTS,
    Ellipse,
    EllipseTable,
    expand,
    merge,
    monomials,
)

_BUMP_LEVEL = SLOTS.index("level")


class Painting(torch.nn.Module):
    """The polynomials and colours of a sequence of layers over a ground (bare skin, or the background)."""

    nesting: Tensor  # [K, K], 1 where the column's ellipse holds the row's
    sharpness: Tensor  # [K]
    paints: Tensor  # int64 [1 + K], places in the palette
    gloss: Tensor  # [1 + K]

    def __init__(
        self, ellipses: Sequence[Ellipse], ground: str, tones: Sequence[str], setting_names: Sequence[str]
    ) -> None:
        super().__init__()
        ellipses = expand(ellipses)
        self.table = EllipseTable(ellipses, setting_names)
        self.names = [ellipse.name for ellipse in ellipses]
        nesting = torch.eye(len(ellipses))
        for row, ellipse in enumerate(ellipses):
            if ellipse.inside is not None:
                nesting[row] += nesting[self.names.index(ellipse.inside)]  # the outer one stands earlier in the list
        sign = torch.tensor([-1.0 if ellipse.outside else 1.0 for ellipse in ellipses])
        sharpness = sign * torch.tensor([ellipse.sharpness for ellipse in ellipses])
        paints = [ground, *(ellipse.tone for ellipse in ellipses)]
        self.register_buffer("nesting", nesting, persistent=False)
        self.register_buffer("sharpness", sharpness, persistent=False)
        self.register_buffer("paints", torch.tensor([list(tones).index(paint) for paint in paints]), persistent=False)
        gloss = torch.tensor([0.0] + [ellipse.gloss for ellipse in ellipses])
        self.register_buffer("gloss", gloss, persistent=False)

    def slots(self, settings: Tensor) -> Tensor:
        """The slots `[B, K, 8]` of the layers' ellipses."""
        return self.table.slots(settings)

    def logits(self, slots: Tensor) -> Tensor:
        """The logits' polynomials `[B, 1 + K, 9]`; the first, of the ground, is 0."""
        polynomials = -self.sharpness[:, None] * self.table.polynomials(slots)
        constant = torch.zeros_like(polynomials[..., :1]) + (self.sharpness + slots[..., _BUMP_LEVEL])[..., None]
        own = polynomials + torch.nn.functional.pad(constant, (0, MONOMIALS - 1))
        return torch.nn.functional.pad(self.nesting @ own, (0, 0, 1, 0))

    def colours(self, palette: Tensor) -> Tensor:
        """The layers' colours `[B, 1 + K, 3]` out of a palette `[B, T, 3]`."""
        return palette[:, self.paints]


# fmt: off
_NECK = {"jaw_width": {"width": 0.08}, "face_width": {"width": 0.05}}
_EAR = {
    "ear_size": {"width": 0.12, "height": 0.16}, "ear_out": {"a": 0.035}, "ear_height": {"b": 0.045},
    "face_width": {"a": 0.065},
}

SURROUNDINGS: tuple[Ellipse, ...] = (
    Ellipse("sky", 0, 1.3, 2.2, 1.5, level=0.3, sharpness=1.5, tone="background_light"),
    Ellipse("hair_back", 0, -0.10, 0.70, 0.95, sharpness=18.0, tone="hair_dark",
            effects={"hair_length": {"width": 0.32, "height": 0.42, "b": -0.22}, "hair_sides": {"width": 0.06},
                     "face_width": {"width": 0.06}}),
    Ellipse("neck", 0, -1.0, 0.46, 0.85, level=6.0, sharpness=18.0, tone="neck_left", effects=_NECK),
    Ellipse("neck_right", 0.50, -1.0, 0.50, 1.5, sharpness=3.0, tone="neck_right", inside="neck", effects=_NECK),
    Ellipse("neck_shade", 0, -0.78, 0.60, 0.16, level=1.0, sharpness=3.0, tone="neck_shade", inside="neck"),
    Ellipse("clothes", 0, -1.64, 1.30, 0.75, level=14.0, sharpness=40.0, tone="clothes"),
    Ellipse("ear", 0.755, 0.0, 0.095, 0.185, slope=0.35, level=1.0, sharpness=9.0, tone="ear", mirrored=True,
            effects=_EAR | {"hair_length": {"level": -8.0}, "hair_sides": {"level": -2.0, "a": 0.02}}),
    Ellipse("ear_hollow", 0.785, 0.01, 0.040, 0.11, slope=0.35, level=0.5, sharpness=4.0, tone="ear_shade",
            mirrored=True, inside="ear", effects=_EAR),
)


# fmt: off
LIDS = merge(EYES, {
    "eye_width": {"width": 0.13}, "eye_opening": {"height": 0.17}, "eye_tilt": {"slope": 0.14},
    "squint": {"height": -0.95}, "surprise": {"height": 0.35}, "smile": {"height": -0.22, "b": 0.005},
    "disgust": {"height": -0.35}, "scream": {"height": -0.15}, "frown": {"height": -0.12},
})
LASHES = merge(EYES, {
    "eye_width": {"width": 0.13}, "eye_tilt": {"slope": 0.14}, "eye_opening": {"b": 0.010},
    "squint": {"b": -0.034, "curve": 0.6}, "surprise": {"b": 0.022, "curve": -0.2}, "smile": {"b": -0.009},
    "disgust": {"b": -0.017, "curve": 0.3}, "scream": {"b": -0.007}, "frown": {"b": -0.006},
})
IRIS = merge(EYES, {"gaze": {"shift": 0.05}, "iris_size": {"width": 0.09, "height": 0.09}})
MOUTH_CURVE = {
    "mouth_curve": {"curve": 0.20}, "smile": {"curve": 0.75}, "disgust": {"curve": -0.45}, "frown": {"curve": -0.35},
}
OPENING = merge(MOUTH, MOUTH_CURVE, {
    "mouth_width": {"width": 0.17}, "scream": {"height": 1.6, "b": -0.10, "level": 7.0, "width": -0.18},
    "smile": {"height": 0.8, "level": 3.5, "width": 0.10, "b": -0.03}, "disgust": {"height": 0.5, "level": 1.0},
    "surprise": {"height": 1.0, "width": -0.40, "level": 6.0, "b": -0.04},
})
UPPER_LIP = merge(MOUTH, MOUTH_CURVE, {
    "upper_lip": {"height": 0.38, "b": 0.008}, "mouth_width": {"width": 0.17},
    "smile": {"width": 0.12, "height": -0.2}, "scream": {"b": 0.06, "height": 0.1, "width": -0.12},
    "surprise": {"width": -0.25, "b": 0.045, "height": 0.2}, "disgust": {"b": 0.055},
})
LOWER_LIP = merge(MOUTH, MOUTH_CURVE, {
    "lower_lip": {"height": 0.36, "b": -0.010}, "mouth_width": {"width": 0.17}, "smile": {"width": 0.12, "b": -0.05},
    "scream": {"b": -0.23, "height": 0.30, "curve": 0.4, "width": -0.12},
    "surprise": {"width": -0.25, "b": -0.12, "height": 0.25}, "disgust": {"b": 0.015},
})
TEETH = merge(MOUTH, MOUTH_CURVE, {
    "smile": {"level": 4.0, "width": 0.14, "b": -0.008, "height": 0.35}, "scream": {"level": 2.6, "b": 0.075},
    "disgust": {"level": 3.0, "b": 0.02}, "surprise": {"level": 1.0},
})
BROW = merge(BROWS, EYES, {
    "brow_thickness": {"height": 0.42}, "brow_length": {"width": 0.17}, "brow_tilt": {"slope": 0.17},
    "brow_arch": {"curve": -0.55, "b": 0.015}, "brow_density": {"level": 2.2}, "brow_gap": {"a": 0.035},
    "frown": {"slope": 0.28}, "disgust": {"slope": 0.12}, "surprise": {"curve": -0.5}, "scream": {"slope": -0.08},
})


def _patch(name: str, a: float, b: float, width: float, height: float, tone: str, pair: bool = False) -> Ellipse:
    """A broad, soft stain of the skin."""
    return Ellipse(name, a, b, width, height, level=-2.4, tone=tone, pair=pair, effects={name: {"level": 2.0}})


def _mole(name: str, a: float, b: float, size: float, mover: str) -> Ellipse:
    """A mole, absent in most people; the parameter `mover` shifts it."""
    effects = {name: {"level": 5.5, "width": 0.2, "height": 0.2}, mover: {"a": 0.08, "b": 0.06}}
    return Ellipse(name, a, b, size, size, level=-5.5, sharpness=4.0, tone="mole", effects=effects)


def _shade(name: str, a: float, b: float, width: float, height: float, level: float, effects: dict,
           sharpness: float = 1.5, **options: Any) -> Ellipse:
    """A soft shadow that belongs to the relief."""
    return Ellipse(name, a, b, width, height, level=level, tone="skin_dark", effects=effects, sharpness=sharpness,
                   **options)


LAYERS: tuple[Ellipse, ...] = (
    # skin
    _patch("patch_forehead", 0.1, 0.55, 0.5, 0.25, "skin_light"),
    _patch("patch_left", -0.65, -0.5, 0.25, 0.3, "skin_dark"),
    _patch("patch_right", 0.7, -0.35, 0.25, 0.3, "skin_dark"),
    _patch("patch_nose", 0, -0.28, 0.16, 0.2, "skin_red"),
    _patch("patch_chin", 0, -1.4, 0.4, 0.22, "skin_dark"),
    _patch("patch_temples", 1.0, 0.3, 0.3, 0.4, "skin_dark", pair=True),
    Ellipse("blush", 0.68, -0.45, 0.25, 0.2, level=-1.9, sharpness=1.2, tone="skin_red", pair=True,
            effects={"blush": {"level": 1.8}}),
    _shade("sockets", 0.36, 0.06, 0.24, 0.13, -1.2, merge(EYES, {"eye_shadow": {"level": 1.0},
           "eye_depth": {"level": 0.3}}), sharpness=1.0, pair=True),
    _shade("bags", 0.41, -0.13, 0.15, 0.04, -1.6, merge(EYES, {"eye_bags": {"level": 1.3}}), pair=True),
    _shade("nose_sides", 0.15, -0.22, 0.05, 0.24, -1.7, {"bridge_height": {"level": 0.6}}, sharpness=1.0, pair=True),
    _shade("nose_under", 0, -0.465, 0.17, 0.045, -0.4, merge(NOSE, {"nose_width": {"width": 0.25},
           "disgust": {"b": 0.03}})),
    _shade("chin_crease", 0, -1.09, 0.20, 0.05, -1.1, merge(MOUTH, {"scream": {"b": -0.3}, "surprise": {"b": -0.1}})),
    _shade("folds", 0.36, -0.62, 0.03, 0.17, -2.2, {"wrinkles": {"level": 1.3}, "smile": {"level": 1.6, "a": 0.05},
           "disgust": {"level": 1.8}, "scream": {"level": 0.8}}, slope=-1.2, pair=True),
    _shade("frown_lines", 0.05, 0.17, 0.018, 0.09, -4.3, {"frown": {"level": 3.4}, "disgust": {"level": 3.0},
           "wrinkles": {"level": 0.8}}, sharpness=2.0, pair=True),
    _shade("forehead_lines", 0, 0.50, 0.5, 0.024, -3.9, {"wrinkles": {"level": 1.3}, "surprise": {"level": 2.8}},
           sharpness=2.0, curve=0.08),
    _mole("mole_forehead", -0.30, 0.42, 0.032, mover="mole_chin"),
    _mole("mole_left", -0.70, -0.42, 0.034, mover="mole_right"),
    _mole("mole_right", 0.62, -0.60, 0.032, mover="mole_forehead"),
    _mole("mole_mouth", 0.38, -0.74, 0.028, mover="mole_left"),
    _mole("mole_chin", -0.24, -1.20, 0.032, mover="mole_mouth"),
    # beard
    Ellipse("beard", 0, -1.75, 1.55, 0.90, curve=0.28, level=-4.3, sharpness=3.0, tone="beard",
            effects={"beard": {"level": 8.0}, "beard_height": {"height": 0.14}}),
    Ellipse("moustache", 0, -0.625, 0.30, 0.075, curve=-0.7, level=-4.6, sharpness=2.5, tone="beard",
            effects=merge(MOUTH, {"moustache": {"level": 6.0}, "beard": {"level": 2.0}, "mouth_width": {"width": 0.12},
                                  "disgust": {"b": 0.03}, "smile": {"b": 0.02, "curve": 0.3}})),
    Ellipse("sideburns", 1.32, -0.35, 0.22, 0.42, level=-5.0, sharpness=3.0, tone="hair", pair=True,
            effects={"sideburns": {"level": 5.5}, "hair_length": {"level": 1.0}}),
    # lips and mouth
    Ellipse("upper_lip", 0, -0.760, 0.335, 0.047, curve=-0.28, level=1.0, sharpness=5.0, tone="lip", gloss=0.25,
            effects=UPPER_LIP),
    Ellipse("lower_lip", 0, -0.858, 0.295, 0.058, curve=0.28, level=1.0, sharpness=5.0, tone="lip", gloss=0.45,
            effects=LOWER_LIP),
    Ellipse("opening", 0, -0.806, 0.285, 0.016, level=1.1, sharpness=2.5, tone="mouth", effects=OPENING),
    Ellipse("teeth", 0, -0.775, 0.26, 0.040, level=-4.5, sharpness=5.0, tone="teeth", inside="opening", gloss=0.15,
            effects=TEETH),
    Ellipse("nostrils", 0.085, -0.425, 0.042, 0.026, slope=0.25, level=-0.2, sharpness=3.0, tone="nostril", pair=True,
            effects=merge(NOSE, {"nose_width": {"a": 0.022}, "nostrils": {"width": 0.25, "height": 0.25},
                                 "disgust": {"b": 0.03, "width": 0.2}})),
    # eyes
    Ellipse("lid_crease", 0.45, 0.093, 0.172, 0.014, curve=-1.5, level=-1.1, sharpness=2.0, tone="crease",
            mirrored=True, effects=merge(LASHES, {"eye_shadow": {"level": 0.5}})),
    Ellipse("lashes", 0.45, 0.048, 0.170, 0.018, curve=-1.7, level=0.3, sharpness=3.5, tone="lash", mirrored=True,
            effects=merge(LASHES, {"lashes": {"level": 1.2, "height": 0.15}})),
    Ellipse("eye", 0.45, -0.004, 0.172, 0.063, slope=0.04, curve=-0.6, level=1.2, sharpness=6.0, tone="white",
            gloss=0.10, mirrored=True, effects=LIDS),
    Ellipse("iris", 0.45, 0.0, 0.080, 0.078, sharpness=6.0, tone="iris", gloss=0.15, mirrored=True, inside="eye",
            effects=IRIS),
    Ellipse("pupil", 0.45, 0.0, 0.033, 0.032, sharpness=5.0, tone="black", gloss=0.15, mirrored=True, inside="iris",
            effects=IRIS),
    Ellipse("glint", 0.45, 0.026, 0.016, 0.016, shift=0.012, level=3.0, sharpness=5.0, tone="glint", mirrored=True,
            inside="iris", effects=merge(IRIS, {"light_yaw": {"shift": 0.03}, "light_pitch": {"b": 0.012}})),
    Ellipse("brow", 0.43, 0.215, 0.235, 0.038, slope=-0.02, curve=-0.55, level=0.2, sharpness=3.5, tone="brow",
            mirrored=True, effects=BROW),
    # ears and neck, seen on the side of a turned head
    Ellipse("ear", 1.85, -0.10, 0.30, 0.26, slope=0.2, level=2.0, sharpness=3.0, tone="skin", pair=True,
            effects={"ear_height": {"b": 0.05}, "ear_size": {"height": 0.15, "width": 0.1},
                     "hair_length": {"level": -5.0}, "hair_sides": {"level": -1.5}}),
    Ellipse("ear_hollow", 1.80, -0.08, 0.14, 0.16, slope=0.2, level=-0.6, sharpness=2.5, tone="crease", pair=True,
            inside="ear", effects={"ear_height": {"b": 0.05}, "ear_size": {"height": 0.15}}),
    Ellipse("nape", 2.0, -1.5, 0.85, 0.95, level=3.0, sharpness=6.0, tone="skin_dark", pair=True,
            effects={"hair_length": {"level": -9.0}}),
    # hair: everything outside the face, a fringe, and strands within the hair
    Ellipse("hair", 0, -1.15, 1.48, 1.81, sharpness=14.0, outside=True, tone="hair", gloss=0.14,
            effects={"hairline": {"height": 0.15}, "hairline_width": {"width": 0.13}, "hairline_peak": {"curve": -0.16},
                     "parting": {"slope": 0.10}, "hair_length": {"width": -0.10}}),
    Ellipse("fringe", -0.15, 0.80, 0.80, 0.36, curve=-0.25, level=-6.0, sharpness=5.0, tone="hair", gloss=0.14,
            effects={"fringe": {"level": 8.0, "height": 0.15}, "parting": {"shift": 0.35, "slope": 0.25}}),
    Ellipse("strands_light", 0.55, 1.1, 0.16, 0.9, slope=0.8, level=-2.2, tone="hair_light", inside="hair", pair=True,
            effects={"streaks": {"level": 1.5}}),
    Ellipse("strands_dark", 0.22, 1.1, 0.10, 0.8, slope=0.5, level=-2.2, tone="hair_dark", inside="hair", pair=True,
            effects={"streaks": {"level": 1.0}, "parting": {"a": 0.04}}),
    Ellipse("strands_side", 1.55, 0.5, 0.16, 0.8, slope=0.3, level=-1.6, tone="hair_dark", inside="hair", pair=True,
            effects={"streaks": {"level": 0.8}}),
)


_LEVEL, _A, _B = (SLOTS.index(name) for name in ("level", "a", "b"))
_EDGE = 0.014  # softness of the head's outline, in half sides
_TERMINATOR = 0.03  # softness of the boundary between light and shade
_SHININESS = 24.0
_EAR_DEPTH = -0.08  # behind the head's centre


class Renderer(torch.nn.Module):
    """Images of settings `[B, S]` (in the order of `SETTING_NAMES`); only the pixel grid depends on `image_size`."""

    pixels: Tensor  # [3, P]
    pixel_monomials: Tensor  # [9, P]

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.bumps = EllipseTable(expand(BUMPS), SETTING_NAMES)
        self.head = Painting(LAYERS, "skin", HEAD_TONES, SETTING_NAMES)
        self.scene = Painting(SURROUNDINGS, "background", SCENE_TONES, SETTING_NAMES)
        self.palette = Palette(SETTING_NAMES)
        # the frame reaches from -1 to 1 between the outer pixel edges, at every side: all sides show one picture
        grid = (torch.arange(image_size, dtype=torch.float64) + 0.5) * (2.0 / image_size) - 1.0
        x, y = grid.repeat(image_size)[None], (-grid).repeat_interleave(image_size)[None]
        self.register_buffer("pixels", torch.cat([torch.ones_like(x), x, y]).float(), persistent=False)
        self.register_buffer("pixel_monomials", monomials(x, y)[0].float(), persistent=False)
        self.image_size = image_size

    def forward(self, settings: Tensor) -> Tensor:
        """RGB images `[B, 3, S, S]` in (-1, 1)."""
        value = dict(zip(SETTING_NAMES, settings.unbind(1), strict=True))
        view = pose(value)
        colours = self.palette(settings)
        bump_slots = self.bumps.slots(settings)
        surface = intersect(
            torch.matmul(view.rays, self.pixels),
            view.direction,
            self.bumps.polynomials(bump_slots),
            bump_slots[..., _LEVEL],
        )
        head = self._head(settings, value, colours, view, surface)
        behind = self._scene(settings, value, colours, view)
        cover = torch.sigmoid(surface.clearance / _EDGE)
        linear = torch.addcmul(behind, head - behind, cover[:, None])
        # film: 1 − exp(−exposure) saturates softly, so that every pixel keeps a gradient
        image = 1.0 - 2.0 * torch.exp(-linear * colours["camera"][:, :, None])
        return image.view(-1, 3, self.image_size, self.image_size)

    def _head(
        self, settings: Tensor, value: dict[str, Tensor], colours: dict[str, Tensor], view: Pose, surface: Surface
    ) -> Tensor:
        slots = self.head.slots(settings)
        tones = self.head.colours(head_palette(colours))
        skin_gloss = 0.16 * torch.exp(0.7 * value["skin_shine"])
        glosses = self.head.gloss + torch.nn.functional.pad(skin_gloss[:, None], (0, len(self.head.gloss) - 1))
        paints = torch.cat([tones, glosses[..., None]], dim=2)
        painted = softmax_mix(self.head.logits(slots), paints.transpose(1, 2), surface.monomials)
        # one product: components towards camera-up, lamp and bisector; the length from the head's own axes
        up = view.rotation[:, 1] / view.radii
        towards = torch.stack([view.lamp, view.half, up], dim=1)
        dots = torch.bmm(towards, surface.gradient)
        stretched = surface.gradient / view.radii[:, :, None]
        dots = dots * torch.rsqrt((stretched * stretched).sum(1) + 1e-8)[:, None]
        to_lamp, to_half, to_up = dots.unbind(1)
        key = 0.5 * (to_lamp + torch.sqrt(to_lamp.square() + _TERMINATOR))
        strength, ambient = self._lamps(value)
        shade = (ambient[:, None] * (1.0 + 0.22 * to_up))[:, None] + (strength[:, None] * colours["light"])[
            :, :, None
        ] * key[:, None]
        colour, gloss = painted.split((3, 1), dim=1)
        shine = strength[:, None] * gloss.squeeze(1) * torch.exp(_SHININESS * (to_half - 1.0))
        return colour * shade + shine[:, None]

    def _scene(self, settings: Tensor, value: dict[str, Tensor], colours: dict[str, Tensor], view: Pose) -> Tensor:
        slots = self._place(self.scene.slots(settings), view)
        strength, ambient = self._lamps(value)
        front = (ambient + 0.6 * strength)[:, None]
        sideways = view.lamp_direction[:, 0]
        neck = colours["skin"] * colours["skin"].new_tensor([0.72, 0.64, 0.60])

        def lit(lean: float) -> Tensor:
            return (ambient + strength * (0.55 + lean * sideways))[:, None]

        tones = {
            "background": colours["background"],
            "background_light": colours["background"] * torch.exp(0.5 * value["background_gradient"])[:, None],
            "clothes": colours["clothes"] * front,
            "neck_left": neck * lit(-0.4),
            "neck_right": neck * lit(0.4),
            "neck_shade": neck * 0.45 * front,
            "ear": colours["skin"] * colours["skin"].new_tensor([1.0, 0.90, 0.87]) * front,
            "ear_shade": colours["skin"] * colours["skin"].new_tensor([0.60, 0.45, 0.42]) * front,
            "hair_dark": colours["hair"] * 0.8 * front,
        }
        palette = torch.stack([tones[name] for name in SCENE_TONES], dim=1)
        return softmax_mix(self.scene.logits(slots), self.scene.colours(palette).transpose(1, 2), self.pixel_monomials)

    def _lamps(self, value: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        strength = NUISANCE["light_strength"].of_setting(value["light_strength"])
        return 0.85 * strength, 0.46 * NUISANCE["ambient"].of_setting(value["ambient"])

    def _place(self, slots: Tensor, view: Pose) -> Tensor:
        """Move what belongs to the head to where the pose puts it: the ears turn with it, the body only follows."""
        ears = [row for row, name in enumerate(self.scene.names) if name.startswith("ear")]
        body = [row for row, name in enumerate(self.scene.names) if name.startswith(("neck", "hair", "clothes"))]
        across, up = slots[:, ears, _A], slots[:, ears, _B]
        moved = view.rotation @ torch.stack([across, up, torch.full_like(across, _EAR_DEPTH)], dim=1)
        result = slots.clone()
        result[:, ears, _A] = moved[:, 0] * view.zoom[:, None] + view.shift[:, :1]
        result[:, ears, _B] = moved[:, 1] * view.zoom[:, None] + view.shift[:, 1:]
        result[:, body, _A] = slots[:, body, _A] + view.shift[:, :1]
        result[:, body, _B] = slots[:, body, _B] + 0.5 * view.shift[:, 1:]
        return result
