"""The relief of the head: Gaussian bumps on an ellipsoid, in surface coordinates (see `geometry`).

The level of a bump is its height as a share of the ellipsoid's radius. Coordinates of a frontal face: eyes at
(±0.45, 0), brows at b = 0.21, tip of the nose at (0, −0.33), mouth at (0, −0.8), chin below −1.3, hair line near 0.7.
"""

from brownid.generators.procedural.ellipses import Ellipse, merge

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
