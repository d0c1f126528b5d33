"""Checks of what users pass to the dynamics: shapes of matrices, identity numbers."""

from collections.abc import Sequence

import torch

from brownid.runtime.errors import BrownidError


def check_matrix(name: str, matrix: torch.Tensor, shape: Sequence[int | None]) -> None:
    """Refuse a tensor that is empty, not floating-point, not finite, or not of `shape` (None = any length)."""
    fits = matrix.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, matrix.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise BrownidError(f"{name} has shape {list(matrix.shape)}, but must have shape [{wanted}].")
    if not matrix.numel():
        raise BrownidError(f"{name} is empty, its shape is {list(matrix.shape)}; give at least one row.")
    if matrix.dtype not in (torch.float32, torch.float64):
        raise BrownidError(
            f"{name} has element type {matrix.dtype}, but must be float32 or float64: angles need the digits."
        )
    finite = torch.isfinite(matrix).flatten(1).all(dim=1)
    if not finite.all():
        row = int((~finite).nonzero()[0])
        raise BrownidError(
            f"{name} contains a value that is not finite, first in row {row}; correct or leave out that row."
        )


def check_items(items: Sequence[int] | None, count: int) -> list[int]:
    """The global identity numbers: `items`, or 0 … count−1; refuses a wrong count, negative or repeated numbers."""
    if items is None:
        return list(range(count))
    numbers = [int(item) for item in items]
    if len(numbers) != count:
        raise BrownidError(f"There are {len(numbers)} identity numbers for {count} identities; give one for each.")
    if len(set(numbers)) != count or min(numbers, default=0) < 0:
        raise BrownidError("Identity numbers must be non-negative and differ from each other: they address the noise.")
    return numbers
