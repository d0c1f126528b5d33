"""Merging the statistics of shards."""

import numpy as np
import pytest

from brownid.runtime.errors import BrownidError
from brownid.samples.statistics import merge_statistics


def shard(minimum: float, average: float, maximum: float, energy: float, identities: int) -> dict[str, np.ndarray]:
    values = {
        "dist_min": minimum,
        "dist_avg": average,
        "dist_max": maximum,
        "energy": energy,
        "identities": identities,
    }
    return {name: np.array([value, value + 1 if name != "identities" else value]) for name, value in values.items()}


def test_minima_maxima_sums_and_averages_merge_as_if_computed_at_once():
    merged = merge_statistics([shard(0.1, 1.0, 2.0, 5.0, 3), shard(0.3, 2.0, 4.0, 7.0, 1)])
    assert {name: values.tolist() for name, values in merged.items()} == {
        "dist_min": [0.1, 1.1],
        "dist_avg": [1.25, 2.25],
        "dist_max": [4.0, 5.0],
        "energy": [12.0, 14.0],
        "identities": [4.0, 4.0],
    }


def test_shards_that_do_not_belong_together_are_refused():
    whole = shard(0, 1, 2, 3, 1)
    with pytest.raises(BrownidError, match="shard 1 hold"):
        merge_statistics([whole, {"dist_min": np.zeros(2)}])
    with pytest.raises(BrownidError, match="Shard 1 ran other numbers of iterations"):
        merge_statistics([whole, {name: values[:1] for name, values in whole.items()}])
    with pytest.raises(BrownidError, match="at least one shard"):
        merge_statistics([])
