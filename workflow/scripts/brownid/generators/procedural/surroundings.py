"""What lies behind the head, painted flat in image coordinates: background, long hair, neck, clothes, ears.

The layers work as in `layers`, with x to the image's right and y up from the frame's centre, both from -1 to 1; the
ears, the hair and the body are given for a frontal head in the frame's middle.
"""

from brownid.generators.procedural.ellipses import Ellipse

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
