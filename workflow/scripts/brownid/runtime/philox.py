"""Normal numbers by counter, drawn where they are used: Philox4x32-10 and Box-Muller, for NumPy and PyTorch alike.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A block of four words is a function of a key of
64 bits and a counter of 128, so that numbers depend on their address alone. The words are the same on every device; the
normal numbers agree but for the rounding of logarithm, cosine and sine. Words are held in int64, whose product of two
words wraps to the right 64 bits: one multiplication per product, and no unsigned types, which PyTorch has few
operations for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

ROUNDS = 10
FIRST, SECOND = 0xD2511F53, 0xCD9E8D57  # multipliers
WEYL = 0x9E3779B9, 0xBB67AE85  # by which the key grows in each round
WORD = 0xFFFFFFFF
BLOCK = 4  # words of a block
# Blocks at once. On a CPU a few of the arrays stay in its cache; on a GPU they take at most 0.7 GB.
BLOCKS_AT_ONCE = {"cpu": 3 * 2**14, "cuda": 2**24}

Words = Any  # np.ndarray or torch.Tensor, int64, of values below 2³²
Factors = tuple[Any, Any]  # of normal numbers


def normal_numbers(
    key: tuple[int, int], items: Sequence[int], iteration: int, count: int, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """Standard normal numbers `[len(items), count]`, float32: row i belongs to (key, item i, iteration) alone.

    `key` are two words; items lie below 2⁶⁴, iterations and blocks below 2³².
    """
    import torch  # here, because the environment of tables and figures has none

    device, rows, keys, blocks = torch.device(device), counters(items, iteration), round_keys(key), -(-count // BLOCK)
    drawn = draw_with_numpy(rows, blocks, keys) if device.type == "cpu" else draw_with_torch(rows, blocks, keys, device)
    return drawn.flatten(1)[:, :count]


def counters(items: Sequence[int], iteration: int) -> np.ndarray:
    """The words of the counter that all blocks of an item share, int64 `[items, 3]`: iteration and item."""
    numbers = np.array(items, dtype=np.uint64)
    words = [np.full_like(numbers, iteration), numbers & np.uint64(WORD), numbers >> np.uint64(32)]
    return np.stack(words, axis=1).astype(np.int64)


def round_keys(key: tuple[int, int]) -> list[list[int]]:
    """The two words of the key in each round."""
    return [[(word + number * step) & WORD for word, step in zip(key, WEYL, strict=True)] for number in range(ROUNDS)]


def philox(counter: Sequence[Words], keys: Any) -> tuple[Words, Words, Words, Words]:
    """The four words of each block, from the four words of its counter, of shapes that broadcast, and `round_keys`.

    Arithmetic of the first rounds is on the small shapes of the counter.
    """
    x0, x1, x2, x3 = counter
    for first, second in keys:
        low, high = x0 * FIRST, x2 * SECOND  # the upper halves of x1 and x3 may hold anything
        x0, x1, x2, x3 = _mixed(high, x1, first), high, _mixed(low, x3, second), low
    return x0, x1 & WORD, x2, x3 & WORD


def _mixed(product: Words, word: Words, key: Any) -> Words:
    """The upper word of a product, combined with another word and the key by exclusive or."""
    mixed = product >> 32
    if mixed.shape == word.shape:
        mixed ^= word
        mixed ^= key
    else:
        mixed = mixed ^ (word ^ key)
    mixed &= WORD
    return mixed


def _normal_pair(first: Words, second: Words) -> tuple[Factors, Factors]:
    """Two normal numbers of each two words, by Box and Muller; uniform numbers lie in (0, 1]."""
    library: Any
    if isinstance(first, np.ndarray):
        library, radius, angle = np, first.astype(np.float32), second.astype(np.float32)
    else:
        import torch

        library, radius, angle = torch, first.float(), second.float()
    radius *= 2.0**-32
    radius += 2.0**-33
    library.log(radius, out=radius)
    radius *= -2.0
    library.sqrt(radius, out=radius)
    angle *= 2.0 * math.pi * 2.0**-32
    return (library.cos(angle), radius), (library.sin(angle, out=angle), radius)


def _normal_block(rows: Words, blocks: Words, keys: Any) -> tuple[Factors, ...]:
    """Factors of four arrays of normal numbers `[items, blocks]`: `rows` `[items, 3]` hold the words of a counter that
    the blocks of an item share, `blocks` `[blocks]` the others."""
    iteration, low, high = rows[:, 0, None], rows[:, 1, None], rows[:, 2, None]
    x0, x1, x2, x3 = philox((iteration, blocks[None], low, high), keys)
    return *_normal_pair(x0, x1), *_normal_pair(x2, x3)


def _parts(items: int, blocks: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Rectangles of at most about `most` of all items and blocks."""
    columns = -(-blocks // max(1, -(-blocks // most)))  # nearly equal parts
    lines = max(1, most // max(1, columns))
    for line in range(0, items, lines):
        for column in range(0, blocks, columns):
            yield slice(line, min(line + lines, items)), slice(column, min(column + columns, blocks))


def draw_with_numpy(rows: np.ndarray, blocks: int, keys: list[list[int]]) -> torch.Tensor:
    """Normal numbers `[items, 4, blocks]` by NumPy: half the time of PyTorch's operations on one thread of a CPU."""
    import torch

    drawn = np.empty((len(rows), BLOCK, blocks), np.float32)
    for lines, columns in _parts(len(rows), blocks, BLOCKS_AT_ONCE["cpu"]):
        found = _normal_block(rows[lines], np.arange(columns.start, columns.stop), keys)
        for word, factors in enumerate(found):
            np.multiply(*factors, out=drawn[lines, word, columns])
    return torch.from_numpy(drawn)


def draw_with_torch(rows: np.ndarray, blocks: int, keys: list[list[int]], device: torch.device) -> torch.Tensor:
    """The same on a device, to which nothing but the counters of the items and the keys is copied.

    Compiled, where a GPU has a compiler, a hundred operations are one kernel; together they would write 450 bytes for
    each number instead of 4.
    """
    import torch

    from brownid.runtime.fusing import can_compile, run_compiled

    compiled = can_compile(device)
    address = torch.from_numpy(np.concatenate([rows.ravel(), np.ravel(keys)])).to(device)
    counts, steps = address[: rows.size].view(rows.shape), address[rows.size :].view(ROUNDS, 2)
    drawn = torch.empty(len(rows), BLOCK, blocks, device=device)
    for lines, columns in _parts(len(rows), blocks, BLOCKS_AT_ONCE["cuda"]):
        places = torch.arange(columns.start, columns.stop, device=device)
        address_of_part = counts[lines], places, steps
        with torch.no_grad():  # one program for passes with and without a graph
            part = run_compiled(_stacked, address_of_part) if compiled else _stacked(*address_of_part)
        drawn[lines, :, columns] = part
    return drawn


def _stacked(counts: torch.Tensor, places: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.stack([one * other for one, other in _normal_block(counts, places, steps)], dim=1)
