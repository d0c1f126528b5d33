"""What users may pass to the dynamics: numbers in range, matrices of the right shape, identity numbers."""

import math
from collections.abc import Sequence
from numbers import Integral, Real

import torch

from brownid.errors import BrownidError


def check_number(
    settings: object,
    name: str,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    exclusive: bool = False,
    whole: bool = False,
) -> None:
    """Refuse a settings field that is no finite number in [minimum, maximum], or in (minimum, maximum] if `exclusive`.

    A text is refused too: YAML reads `1e-4` as text, `1.0e-4` as a number.
    """
    value = getattr(settings, name)
    where = f"{type(settings).__name__}.{name}"
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real) or not math.isfinite(value):
        raise BrownidError(f"{where} is {value!r}, but must be {kind} (in YAML write 1.0e-4, not 1e-4).")
    if value < minimum or value > maximum or (exclusive and value == minimum):
        lower = "" if minimum == -math.inf else f" {'above' if exclusive else 'at least'} {minimum:g}"
        upper = "" if maximum == math.inf else f" at most {maximum:g}"
        raise BrownidError(f"{where} is {value!r}, but must be{' and'.join(filter(None, (lower, upper)))}.")


def check_timestep(settings: object) -> None:
    """Refuse a timestep of zero; a negative one means automatic."""
    check_number(settings, "timestep")
    if settings.timestep == 0:
        raise BrownidError(
            f"{type(settings).__name__}.timestep is 0, so that nothing would move; "
            "set a positive timestep, or a negative one for the automatic timestep."
        )


def check_choice(settings: object, name: str, choices: Sequence[str]) -> None:
    """Refuse a settings field that is none of the choices."""
    value = getattr(settings, name)
    if value not in choices:
        raise BrownidError(f"{type(settings).__name__}.{name} is {value!r}, but must be one of {', '.join(choices)}.")


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
            f"{name} contains a value that is not finite, first in row {row}; mend or leave out that row."
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
