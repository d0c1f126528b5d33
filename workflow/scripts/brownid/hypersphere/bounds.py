"""How far apart unit vectors can be at best."""

import math

from brownid.errors import BrownidError


def simplex_bound(count: int, dimension: int) -> float:
    """No `count` unit vectors in `dimension` dimensions have a smallest angle (radians) above this.

    Up to dimension+1 vectors it is the regular simplex's arccos(−1/(count−1)), up to 2·dimension the cross-polytope's
    π/2 (Rankin, "The closest packing of spherical caps in n dimensions", 1955); both are reached. Beyond, Levenshtein's
    third bound ("Universal bounds for codes and designs", Handbook of Coding Theory, 1998):

        count ≤ d (1−s) (2 + (d+1) s) / (1 − d s²)    for cosines 0 ≤ s ≤ (√(d+3) − 1)/(d+2),

    solved for s. It is reached by some codes, as 16 vectors in 5 dimensions. More than d(d+3)/2 vectors get the bound
    of d(d+3)/2: still true, but far from sharp.
    """
    if count < 2 or dimension < 1:
        raise BrownidError(
            f"{count} unit vectors in {dimension} dimensions have no smallest angle; "
            "give at least two vectors and one dimension."
        )
    if count <= dimension + 1:
        return math.acos(-1 / (count - 1))
    if dimension == 1:
        return 0.0  # only two unit vectors differ
    if count <= 2 * dimension:
        return math.pi / 2
    d, n = dimension, min(count, dimension * (dimension + 3) // 2)
    # n (1 − d s²) = d (1−s) (2 + (d+1) s), as a s² + b s = c
    a, b, c = d * (n - d - 1), d * (d - 1), n - 2 * d
    return math.acos((math.sqrt(b * b + 4 * a * c) - b) / (2 * a))
