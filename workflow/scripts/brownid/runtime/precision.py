"""Number formats of networks, checks of matrices, and batches that become smaller where the memory runs out."""

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from brownid.runtime.errors import BrownidError
from brownid.runtime.process import logger
from brownid.runtime.settings import PRECISIONS


def resolve_precision(precision: str, device: str | torch.device) -> str:
    """ "float32" or "bfloat16"; "auto" is bfloat16 where the device computes in it, float32 elsewhere.

    Measured on a CPU with avx512_bf16, one thread, channels-last: the slim network trains 1.5 to 1.8 times as fast in
    bfloat16. A device without it (CPUs before avx512_bf16, GPUs before compute capability 8.0) emulates the format,
    more slowly than it computes in float32.
    """
    if precision not in PRECISIONS:
        raise BrownidError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}.")
    if precision != "auto":
        return precision
    if torch.device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if _cpu_computes_bfloat16() else "float32"


def autocast(precision: str, device: str | torch.device) -> torch.autocast:
    """The context in which a network runs in a resolved `precision`."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def compute_dtype(precision: str, device: str | torch.device) -> torch.dtype:
    """The number format that a generator computes in for a `precision`, on a device."""
    return torch.bfloat16 if resolve_precision(precision, device) == "bfloat16" else torch.float32


def _cpu_computes_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # torch has no public name for it
    return supported is not None and supported()


Part = TypeVar("Part")
# What errors say, in small letters, where a batch is too large: of the allocators of the CPU and of GPUs, of cuBLAS,
# oneDNN and onnxruntime without memory, and of cuDNN and kernels that count no further than 2³¹ elements.
TOO_LARGE = (
    *("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc"),
    *("status_alloc_failed", "could not create a primitive", "could not create a memory"),
    *("failed to allocate memory", "smaller than requested bytes"),
    *("cudnn_status_not_supported", "canuse32bitindexmath"),
)


LARGEST = 2**31 - 1  # numbers in a tensor that kernels of cuDNN count


class Batching:
    """Runs work on rows in batches of at most `size`; a size that did not fit is halved, and stays so.

    What a row yields must not depend on its batch beyond rounding. Raises `BrownidError` where not even one row fits.
    `release` lets go of memory that the work can do without; it is called whenever the memory ran out.
    """

    def __init__(self, size: int, release: Callable[[], None] | None = None):
        if size < 1:
            raise BrownidError(f"batch_size is {size}, but must be at least 1.")
        self.size = size
        self.release = release

    def limited(self, model: object) -> "Batching":
        """Itself, with at most as many rows as leave each tensor of the model's pass within `LARGEST` numbers.

        The model has the attribute `largest_activation`, numbers per row, or is that number; others are not limited.
        """
        numbers = model if isinstance(model, int) else getattr(model, "largest_activation", 0)
        most = max(1, LARGEST // max(1, numbers))
        if most < self.size:
            logger.info(
                "%d images at a time instead of %d: the largest activation has %d numbers per image, and GPU kernels "
                "take tensors of less than 2^31.",
                *(most, self.size, numbers),
            )
            self.size = most
        return self

    def map(self, count: int, work: Callable[[slice], Part]) -> list[Part]:
        """Results of `work` for each batch of the rows 0 … count−1, in order."""
        return list(self.each(count, work))

    def each(self, count: int, work: Callable[[slice], Part]) -> Iterator[Part]:
        """The same one by one, as they are done: for a progress bar."""
        first = 0
        while first < count:
            rows = slice(first, min(first + self.size, count))
            fitting = self.attempt(rows, work)
            if fitting is not None:
                yield fitting[0]
                first = rows.stop

    def attempt(self, rows: slice, work: Callable[[slice], Part]) -> tuple[Part] | None:
        """Result of `work` for these rows; None if memory ran out, and the batch size is then reduced."""
        try:
            return (work(rows),)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        # Only here, behind the handler, has the failed pass let go of its tensors.
        if self.release is not None:
            self.release()
        length = rows.stop - rows.start
        if length == 1:
            raise BrownidError(
                f"Not even one image at a time fits into the memory ({said}); take a smaller network or image, "
                "precision bfloat16, or a device with more memory."
            )
        self.size = (length + 1) // 2
        logger.warning("out of memory with %d images at a time, going on with %d", length, self.size)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller batch may do: the memory ran out, whichever library says so."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in TOO_LARGE)


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
