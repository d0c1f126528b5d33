"""Algorithm 2 as plainly as it is written: who moves when, and what of a reference its turns have left behind."""

import dataclasses

import pytest
import torch
from slow_packing import plain_energy, random_vectors, unit

from brownid.hyperface import packing
from brownid.hyperface.packing import pack
from brownid.hyperface.settings import PackingSettings
from brownid.runtime.optimization import adam
from brownid.runtime.randomness import stream

SETTINGS = PackingSettings(iterations=8, learning_rate=0.1, decay_every=3, record_every=3, batch=4)
START, GALLERY = random_vectors(11, 6), random_vectors(9, 6, seed=1)
BATCHES = 3  # of 11 references in batches of at most 4


@pytest.mark.parametrize("neighbours", ["all", "batch"])
def test_each_reference_has_adam_of_its_own_turns_in_a_new_permutation_each_epoch(neighbours):
    value = unit(START.double())
    first, second = torch.zeros_like(value), torch.zeros_like(value)
    for iteration in range(SETTINGS.iterations):
        epoch, number = divmod(iteration, BATCHES)
        order = stream(5, "hyperface/batch", iteration=epoch).permutation(11)
        rows = torch.from_numpy(order[11 * number // BATCHES : 11 * (number + 1) // BATCHES])
        leaf = value.clone().requires_grad_()
        others, own = (leaf, rows) if neighbours == "all" else (leaf[rows], torch.arange(len(rows)))
        energy = len(rows) * plain_energy(leaf[rows], others, GALLERY.double(), 0.5, "each", own)
        (gradient,) = torch.autograd.grad(energy, leaf)
        rate = 0.1 * 0.75 ** (iteration // 3)
        moved = adam(value[rows], gradient[rows], (first[rows], second[rows]), epoch, rate)
        value[rows], first[rows], second[rows] = unit(moved[0]), *moved[1:]
    found = pack(START, GALLERY, dataclasses.replace(SETTINGS, batch_neighbours=neighbours), seed=5)
    torch.testing.assert_close(found.references, value.float(), atol=1e-4, rtol=0)


def test_in_bfloat16_neighbours_are_looked_for_where_the_references_have_moved_to():
    settings = dataclasses.replace(SETTINGS, iterations=9, batch=10, learning_rate=0.4, decay=1.0)
    exact, coarse = (  # tiles of one: the candidates are the best four of all
        pack(random_vectors(40, 16), None, dataclasses.replace(settings, precision=precision), seed=5, tile=1)
        for precision in ("float32", "bfloat16")
    )
    torch.testing.assert_close(coarse.references, exact.references, atol=1e-3, rtol=0)


def test_auto_is_float32_for_a_few_references_and_what_suits_the_device_for_more(monkeypatch):
    asked = []
    monkeypatch.setattr(packing, "resolve_precision", lambda precision, _: asked.append(precision) or "float32")
    pack(START, GALLERY, SETTINGS, seed=5)
    assert not asked
    monkeypatch.setattr(packing, "FEW", 11)
    pack(START, GALLERY, SETTINGS, seed=5)
    assert asked == ["auto"]
