"""What every collection of samples must satisfy, each breach a sentence; and which rows lack what."""

import math
import operator
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from brownid.errors import BrownidError

LARGEST = np.iinfo(np.int64).max
BLOCK_ROWS = 8192  # bounds the memory of checks and copies; 8192 rows of 512 float32 are 16 MiB


def whole_numbers(values: Iterable[int] | np.ndarray, what: str) -> np.ndarray:
    """The whole numbers in an array `[n]`, a tensor or an iterable, as int64; a BrownidError about `what` otherwise.

    Nothing is rounded, parsed or wrapped: 0.9, "0", True and numbers that int64 cannot hold are refused.
    """
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim != 1 or not (np.issubdtype(values.dtype, np.integer) or values.size == 0):
            raise BrownidError(f"{what} must be whole numbers [n], not {values.dtype} {values.shape}.")
        extremes = (values.min(), values.max()) if values.size else ()
    else:
        if not np.iterable(values):
            raise BrownidError(f"{what} must be whole numbers [n], not {values!r}.")
        values = [_whole_number(value, what) for value in values]
        extremes = (min(values), max(values)) if values else ()
    for extreme in map(int, extremes):
        if abs(extreme) > LARGEST:
            raise BrownidError(f"{what} must be whole numbers of at most {LARGEST}, not {extreme}.")
    return np.asarray(values, dtype=np.int64)


def coded(labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels as dictionary codes int32 `[n]` and the table of distinct labels, in order of first appearance."""
    try:
        dictionary = pa.array(labels, type=pa.string()).dictionary_encode()
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeError) as error:
        raise BrownidError(f"the labels of samples must be text ({error}).") from None
    table = dictionary.dictionary.to_pylist()
    if dictionary.null_count or not all(table):
        raise BrownidError("the labels of samples must not be empty.")
    unwritable = [label for label in table if "\0" in label]
    if unwritable:
        raise BrownidError(f"the label {unwritable[0]!r} holds the character NUL, which files cannot store; remove it.")
    return dictionary.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), table


def repeated_rows(identities: np.ndarray, codes: np.ndarray) -> tuple[int, int] | None:
    """The first row whose (identity, label code) has occurred before, after the row where it has; or None."""
    width = int(codes.max(initial=0)) + 1
    if int(identities.max(initial=0)) < np.iinfo(np.int64).max // width:
        keys = identities * width + codes
    else:
        keys = np.unique(identities, return_inverse=True)[1].astype(np.int64) * width + codes
    if (keys[1:] > keys[:-1]).all():
        return None  # in the order most collections have; saves the sorting
    order = np.argsort(keys, kind="stable")
    places = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    if not len(places):
        return None
    place = places[np.argmin(order[places + 1])]
    return int(order[place]), int(order[place + 1])


def rows_of(identities: np.ndarray, wanted: Iterable[int], where: str) -> np.ndarray:
    """The rows of `identities` `[n]` that hold a wanted one, increasing; BrownidError for one that `where` lacks."""
    wanted = np.unique(whole_numbers(wanted, "the identities asked for"))
    missing = np.setdiff1d(wanted, identities)
    if len(missing):
        more = f" (and {len(missing) - 1} more of those asked)" if len(missing) > 1 else ""
        raise BrownidError(f"{where} has no identity {missing[0]}{more}.")
    return np.flatnonzero(np.isin(identities, wanted))


def not_finite_row(values: np.ndarray, absent_allowed: bool = False) -> int | None:
    """The first row of `[n, ...]` with a NaN or an infinity, or None; `absent_allowed` lets rows be NaN throughout."""
    if not np.issubdtype(values.dtype, np.inexact):
        return None
    wide = np.result_type(values.dtype, np.float32)
    for start in range(0, len(values), BLOCK_ROWS):
        block = _flat(values[start : start + BLOCK_ROWS])
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(
                block.sum(dtype=wide)
            ):  # one number that is not finite makes the sum so; a third of the time
                continue
        good = np.isfinite(block).all(axis=1)
        if not good.all() and absent_allowed:
            good |= np.isnan(block).all(axis=1)
        if not good.all():
            return start + int(np.argmin(good))
    return None


def absent_rows(values: np.ndarray) -> np.ndarray:
    """Which rows of a column `[n, ...]` are absent, bool `[n]`; in a valid column a row that begins with NaN is."""
    if not np.issubdtype(values.dtype, np.inexact):
        return np.zeros(len(values), dtype=bool)
    return np.isnan(_flat(values)[:, :1]).any(axis=1)


def _whole_number(value: object, what: str) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise BrownidError(f"{what} must be whole numbers, not {value!r}.")


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), math.prod(values.shape[1:]))
