"""How the work of a stage is split into shards: one formula for all, so that the same shard is the same items."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from brownid.errors import BrownidError
from brownid.samples.collection import SampleCollection

Items = TypeVar("Items", bound=Sequence)


def shard_of(items: Items, shard: int, shards: int) -> Items:
    """The contiguous part of `items` (a list, an array) that is shard `shard`, counted from 1 to `shards`.

    The parts are equal to within one item. BrownidError where there is no such shard.
    """
    if not 1 <= shard <= shards:
        raise BrownidError(f"There is no shard {shard} of {shards}; shards count from 1 to their number.")
    return items[len(items) * (shard - 1) // shards : len(items) * shard // shards]


def identities_of_shard(samples: Path, shard: int, shards: int) -> np.ndarray:
    """The identities of a collection that a shard works on: at least one, or `BrownidError`."""
    everybody = np.unique(SampleCollection.load(samples, columns=()).identities)
    if len(everybody) < shards:
        raise BrownidError(
            f"{samples} has {len(everybody)} identities, too few for {shards} shards, as some may have been rejected: "
            "use fewer shards."
        )
    return shard_of(everybody, shard, shards)
