"""Which MultiPIE images are the negative and the positive side of each covariate (design 2, Covariates)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from brownid.errors import BrownidError

EXPRESSIONS = ("smile", "scream", "disgust", "squint", "surprise")


@dataclass(frozen=True)
class Contrast:
    """Two values of one attribute, in the images of one protocol."""

    protocol: str  # of the database index
    attribute: str  # "pose", "illumination" or "expression"
    negative: str
    positive: str


CONTRASTS: dict[str, Contrast] = {
    "pose": Contrast("P_center_lit", "pose", negative="left", positive="right"),
    "illumination": Contrast("U", "illumination", negative="left", positive="right"),
    **{name: Contrast("E_lit", "expression", negative="neutral", positive=name) for name in EXPRESSIONS},
}


def sides(covariate: str, metadata: Sequence[Mapping[str, object]]) -> tuple[np.ndarray, np.ndarray]:
    """The images to fit a covariate on, as masks `(chosen, positive)` `[n]` from the `metadata` of n images.

    The images are those of the contrast's protocol. Images of neither side (frontal pose, other expressions, discarded
    lights) are not chosen. Raises BrownidError where a side is empty.
    """
    if covariate not in CONTRASTS:
        raise BrownidError(f"There is no covariate {covariate!r}: choose among {', '.join(CONTRASTS)}.")
    contrast = CONTRASTS[covariate]
    values = np.array([str(image.get(contrast.attribute)) for image in metadata])
    positive = values == contrast.positive
    chosen = positive | (values == contrast.negative)
    for value in (contrast.negative, contrast.positive):
        if not (values == value).any():
            raise BrownidError(
                f"No image of protocol {contrast.protocol} has the {contrast.attribute} {value!r}, so the covariate "
                f"{covariate!r} cannot be fitted: project more images, or check the database index."
            )
    return chosen, positive
