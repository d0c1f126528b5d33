"""How the work of a stage is split into shards: one formula for all, so that the same shard is the same items."""

from collections.abc import Sequence
from typing import TypeVar

from brownid.errors import BrownidError

Items = TypeVar("Items", bound=Sequence)


def shard_of(items: Items, shard: int, shards: int) -> Items:
    """The contiguous part of `items` (a list, an array) that is shard `shard`, counted from 1 to `shards`.

    The parts are equal to within one item. BrownidError where there is no such shard.
    """
    if not 1 <= shard <= shards:
        raise BrownidError(f"There is no shard {shard} of {shards}; shards count from 1 to their number.")
    return items[len(items) * (shard - 1) // shards : len(items) * shard // shards]
