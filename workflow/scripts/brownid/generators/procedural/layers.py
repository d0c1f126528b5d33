"""The colours of the head: layers of paint whose shares at a point are a softmax of their logits.

A layer's logit is sharpness·(1 − q) + level within its curved ellipse and about it, or −sharpness·(1 − q) + level for a
layer that is `outside`; bare skin has the logit 0, so that a layer covers a point where its logit is well above 0
and above the others'. A layer `inside` another adds that one's logit to its own: it shows only where the outer one
does (the iris within the lids). All are degree-4 polynomials of the surface coordinates; `bumps` says where things are.
"""

from brownid.generators.procedural.bumps import BROWS, EYES, MOUTH, NOSE
from brownid.generators.procedural.ellipses import Ellipse, merge

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
           **options: float) -> Ellipse:
    """A soft shadow that belongs to the relief."""
    return Ellipse(name, a, b, width, height, level=level, tone="skin_dark", effects=effects,
                   **({"sharpness": 1.5} | options))


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
