"""What every collection of samples must satisfy, each breach a sentence."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from brownid.errors import BrownidError

BLOCK_ROWS = 8192  # bounds the memory of the checks; 8192 rows of 512 float32 are 16 MiB


def coded(labels: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels as dictionary codes int32 `[n]` and the table of distinct labels, in order of first appearance."""
    try:
        dictionary = pa.array(labels, type=pa.string()).dictionary_encode()
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeError) as error:
        raise BrownidError(f"the labels of samples must be text ({error}).") from None
    table = dictionary.dictionary.to_pylist()
    if dictionary.null_count or any(not label or "\0" in label for label in table):
        raise BrownidError("the labels of samples must not be empty.")
    return dictionary.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False), table


def repeated_row(identities: np.ndarray, codes: np.ndarray) -> int | None:
    """The first row whose (identity, label code) has occurred before, or None."""
    _, ranks = np.unique(identities, return_inverse=True)
    keys = ranks.astype(np.int64) * (int(codes.max(initial=0)) + 1) + codes
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    return int(again.min()) if len(again) else None


def not_finite_row(values: np.ndarray, absent_allowed: bool = False) -> int | None:
    """The first row of `[n, ...]` with a NaN or an infinity, or None; `absent_allowed` lets rows be NaN throughout."""
    if not np.issubdtype(values.dtype, np.inexact):
        return None
    for start in range(0, len(values), BLOCK_ROWS):
        block = values[start : start + BLOCK_ROWS].reshape(len(values[start : start + BLOCK_ROWS]), -1)
        good = np.isfinite(block).all(axis=1)
        if not good.all() and absent_allowed:
            good |= np.isnan(block).all(axis=1)
        if not good.all():
            return start + int(np.argmin(good))
    return None
