"""The energy of a packing, its gradient, the angles that describe it, and how large they can be at best."""

import math

import torch

from brownid.embeddings.neighbours import Nearest, chunks
from brownid.runtime.errors import BrownidError


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


def energy(neighbours: Nearest, gallery: Nearest | None, coefficient: float, repulsion: str) -> float:
    """U, from the cosines; `coefficient` is α."""
    cosines = neighbours.cosines.double()
    total = (cosines.max() if repulsion == "closest" else cosines.mean()) - 1
    if gallery is not None:
        total = total + coefficient * (1 - gallery.cosines.double()).mean()
    return float(total)


def repel(
    gradient: torch.Tensor,
    moving: torch.Tensor,
    others: torch.Tensor,
    neighbours: Nearest,
    repulsion: str,
    places: torch.Tensor | None = None,
) -> None:
    """Write n·∂U/∂x_i of the repulsion, before its projection onto the sphere, into the first rows of `gradient`.

    The factor n, of the n that move, makes a sum of the mean: Adam is blind to it but for its epsilon.

    Args:
        gradient: `[n,E]`, or `[n+1,E]` with `places`: the last row collects gradients of references outside the batch.
        moving: x_i `[n,E]` that move.
        others: the vectors `[N,E]` that the rows of the neighbours count.
        places: `[N]`, where each of the others is among the moving; n for those that are not. None: they are the same.
    """
    ends = neighbours.rows if places is None else places[neighbours.rows]
    if repulsion == "each":
        torch.index_select(others, 0, neighbours.rows, out=gradient[: len(moving)])
        _add_rows(gradient, ends, moving)
        return
    one = neighbours.cosines.argmax()[None]
    gradient.zero_()
    _add_rows(gradient, one, len(moving) * others[neighbours.rows[one]])
    _add_rows(gradient, ends[one], len(moving) * moving[one])


def attract(
    gradient: torch.Tensor, members: torch.Tensor, rows: torch.Tensor, coefficient: float, scratch: torch.Tensor
) -> None:
    """Add n·∂U/∂x_i of the attraction to the gallery members in `rows`, before its projection, in place.

    `scratch` is memory like the gradient, here and below: fresh memory costs more than the arithmetic.
    """
    gradient.sub_(torch.index_select(members, 0, rows, out=scratch), alpha=coefficient)


def project(gradient: torch.Tensor, unit: torch.Tensor, scratch: torch.Tensor) -> None:
    """Keep the part of the gradient that is tangential to the sphere, in place: what autograd through x/‖x‖ gives."""
    along = torch.mul(gradient, unit, out=scratch).sum(dim=1, keepdim=True)
    gradient.addcmul_(unit, along, value=-1.0)


def angles_between(first: torch.Tensor, others: torch.Tensor, rows: torch.Tensor, chunk: int) -> torch.Tensor:
    """The angles `[N]` (radians) between unit vectors `[N,E]` and the others in `rows` `[N]`.

    Taken as 2·atan2(‖a−b‖, ‖a+b‖), which has all its digits at any angle; the arccosine has few near 0.
    """
    angles = []
    for part in chunks(len(first), chunk):
        a, b = first[part], others.index_select(0, rows[part])
        angles.append(2 * torch.atan2(torch.linalg.vector_norm(a - b, dim=1), torch.linalg.vector_norm(a + b, dim=1)))
    return torch.cat(angles)


def _add_rows(target: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> None:
    """target[rows] += values, in an order that is the same every time."""
    if target.is_cuda:  # index_add_ would add with atomics there, and sums would differ from run to run
        target.index_put_((rows,), values, accumulate=True)
    else:
        target.index_add_(0, rows, values)
