"""The ramps of a learning rate: up linearly at the beginning of a descent, down along a cosine at its end."""

import math


def ramped(done: float, rampup: float, rampdown: float) -> float:
    """The factor, 0 to 1, on the rate when the share `done` of a descent is done.

    `rampup` and `rampdown` are the first and the last share of it, 0 for none (Karras et al., "Analyzing and improving
    the image quality of StyleGAN", 2020, appendix D).
    """
    down = min(1.0, (1 - done) / rampdown) if rampdown else 1.0
    up = min(1.0, done / rampup) if rampup else 1.0
    return (0.5 - 0.5 * math.cos(math.pi * down)) * up
