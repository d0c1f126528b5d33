"""The energy of a packing, its gradient, and the angles that describe it.

HyperFace (Otroshi Shahreza and Marcel, "HyperFace: Generating Synthetic Face Recognition Datasets by Exploring Face
Embedding Hypersphere", ICLR 2025). Of n unit vectors x_i, with nn(i) the nearest other one and g(i) the nearest member
of the gallery,

    U = (1/n) [ −Σ_i (1 − x_i·x_nn(i)) + α Σ_i (1 − x_i·g(i)) ]              repulsion "each",
    U = −min_{i<j} (1 − x_i·x_j) + (α/n) Σ_i (1 − x_i·g(i))                  repulsion "closest".

Who is nearest is held fixed, as autograd would hold it; a pair pushes both its ends. A mini-batch has the same energy
of its own members.
"""

import torch

from brownid.hypersphere.nearest import Nearest, chunks


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
        gradient: `[n,E]`, or `[n+1,E]` with `places`: the last row takes what falls on nobody that moves.
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
    """Add n·∂U/∂x_i of the pull towards the gallery members in `rows`, before its projection, in place.

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
