"""Small packings reach the best spherical codes, and none exceeds the bound."""

import math
from itertools import pairwise

import pytest
import torch
from slow_packing import random_vectors

from brownid.hyperface.energy import simplex_bound
from brownid.hyperface.packing import pack
from brownid.hyperface.settings import PackingSettings
from brownid.runtime.errors import BrownidError

# A high rate at the start lets the vectors find each other's gaps, a low one at the end makes the angles equal.
SETTINGS = PackingSettings(iterations=600, learning_rate=0.3, decay_every=15, record_every=600)


def smallest_angle(start, settings=SETTINGS):
    return pack(start, None, settings, seed=1).statistics["nn_min"][-1]


@pytest.mark.parametrize(
    ("count", "dimension", "angle"),
    [
        (2, 3, math.pi),
        (5, 4, math.acos(-1 / 4)),
        (9, 8, math.acos(-1 / 8)),
        (16, 5, math.acos(1 / 5)),
        (27, 6, math.acos(1 / 4)),
    ],
    ids=["ends of a diameter", "simplex in 4", "simplex in 8", "16 in 5", "27 in 6"],
)
def test_random_starts_reach_the_best_code_which_is_the_bound(count, dimension, angle):
    assert simplex_bound(count, dimension) == pytest.approx(angle)
    assert smallest_angle(random_vectors(count, dimension, seed=3)) == pytest.approx(angle, abs=1e-3)


def test_random_starts_reach_the_cross_polytope():
    # one of three, since now and then a start leads to a worse packing
    assert simplex_bound(8, 4) == math.pi / 2
    assert max(smallest_angle(random_vectors(8, 4, seed=seed)) for seed in range(3)) == pytest.approx(
        math.pi / 2, abs=1e-3
    )


def test_random_lines_reach_the_24_cell():
    # Of random starts without the symmetry one in fifty does: the others end 0.03 rad short of it.
    angles = []
    for seed in range(2):
        lines = random_vectors(12, 4, seed=seed)
        angles.append(smallest_angle(torch.cat([lines, -lines])))
    assert max(angles) == pytest.approx(math.pi / 3, abs=1e-3)


def test_the_closest_pair_alone_can_be_pushed_to_the_simplex_too():
    settings = PackingSettings(
        iterations=1000, learning_rate=0.1, decay_every=25, record_every=1000, repulsion="closest"
    )
    angle = smallest_angle(random_vectors(5, 4, seed=3), settings)
    assert angle == pytest.approx(math.acos(-1 / 4), abs=1e-3)


def test_the_bound_falls_as_vectors_become_more():
    angles = [simplex_bound(count, 6) for count in range(2, 60)]
    assert all(later <= earlier for earlier, later in pairwise(angles))
    assert angles[-1] == simplex_bound(27, 6) > math.pi / 3 > 0
    assert simplex_bound(10_000, 512) == pytest.approx(1.5470, abs=1e-3) and simplex_bound(3, 1) == 0.0


@pytest.mark.parametrize(("count", "dimension"), [(1, 4), (0, 4), (3, 0)])
def test_a_bound_of_nothing_is_refused(count, dimension):
    with pytest.raises(BrownidError, match="at least two vectors"):
        simplex_bound(count, dimension)
