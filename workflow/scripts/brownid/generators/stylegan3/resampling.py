"""Sampling images up and down with FIR filters, and the transposes of both.

All four are strided depthwise convolutions. The strides leave out the inserted zeros and the samples that would be
thrown away, so nothing is computed in vain; a separable filter runs along one axis after the other. The filters are
constants, and no gradient with respect to them is ever formed.
"""

from torch import Tensor
from torch.nn import functional as F

ROWS, COLUMNS = 0, 1
Padding = tuple[int, int]  # samples before and after, along either axis


def upsample(x: Tensor, taps: Tensor, factor: int, padding: Padding) -> Tensor:
    """`[B, C, N, N]` with `factor - 1` zeros behind every sample, padded or cut by `padding`, filtered with `[T]`.

    Only samples that the whole filter covers are kept: N · factor + sum(padding) - T + 1 along each axis.
    """
    trimmed, before, after = _trims(len(taps), factor, padding)
    for axis in (ROWS, COLUMNS):
        x = F.conv_transpose2d(x, _kernel(taps, axis, x), None, *_along(axis, factor, trimmed), 0, x.shape[1])
    return _cut(x, before, after)


def upsample_transposed(x: Tensor, taps: Tensor, factor: int, padding: Padding) -> Tensor:
    """The transpose of `upsample` as a linear map: what its backward pass needs."""
    trimmed, before, after = _trims(len(taps), factor, padding)
    x = _cut(x, -before, -after)
    for axis in (COLUMNS, ROWS):
        x = F.conv2d(x, _kernel(taps, axis, x), None, *_along(axis, factor, trimmed), 1, x.shape[1])
    return x


def downsample(x: Tensor, taps: Tensor, factor: int) -> Tensor:
    """`[B, C, N, N]` filtered with `[T]` along each axis, or with `[T, T]`, of which every `factor`-th sample is kept.

    Only samples that the whole filter covers: ceil((N - T + 1) / factor) along each axis.
    """
    if taps.ndim == 2:
        return F.conv2d(x, _kernel(taps.flip(0, 1), None, x), None, factor, 0, 1, x.shape[1])
    taps = taps.flip(0)
    for axis in (COLUMNS, ROWS):
        x = F.conv2d(x, _kernel(taps, axis, x), None, *_along(axis, factor, 0), 1, x.shape[1])
    return x


def downsample_transposed(x: Tensor, taps: Tensor, factor: int, size: int) -> Tensor:
    """The transpose of `downsample` for images of `size` samples: what its backward pass needs."""
    unread = (size - len(taps)) % factor  # samples at the end that the last step of the filter did not reach
    if taps.ndim == 2:
        kernel = _kernel(taps.flip(0, 1), None, x)
        return F.conv_transpose2d(x, kernel, None, factor, 0, unread, x.shape[1])
    taps = taps.flip(0)
    for axis in (ROWS, COLUMNS):
        stride, none = _along(axis, factor, 0)
        x = F.conv_transpose2d(x, _kernel(taps, axis, x), None, stride, none, _pair(axis, unread, 0), x.shape[1])
    return x


def _trims(taps: int, factor: int, padding: Padding) -> tuple[int, int, int]:
    """What `padding` leaves of the transposed convolution: a trim of both ends, and the rest of either end."""
    before, after = taps - 1 - padding[0], taps - factor - padding[1]
    trimmed = max(0, min(before, after))
    return trimmed, before - trimmed, after - trimmed


def _cut(x: Tensor, before: int, after: int) -> Tensor:
    """Without the first and last samples of both axes; negative numbers add zeros."""
    if before >= 0 and after >= 0:
        return x[:, :, before : x.shape[2] - after, before : x.shape[3] - after]
    return F.pad(x, (-before, -after, -before, -after))


def _kernel(taps: Tensor, axis: int | None, x: Tensor) -> Tensor:
    """The filter as weights of a depthwise convolution, `[C, 1, height, width]`."""
    if axis is not None:
        taps = taps[:, None] if axis == ROWS else taps[None, :]
    return taps.to(x.dtype).expand(x.shape[1], 1, -1, -1)


def _along(axis: int, stride: int, padding: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return _pair(axis, stride, 1), _pair(axis, padding, 0)


def _pair(axis: int, value: int, other: int) -> tuple[int, int]:
    return (value, other) if axis == ROWS else (other, value)
