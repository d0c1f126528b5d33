"""The packing moves as its equations say, whatever the tiles, processes and interruptions."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from slow_packing import in_threads, plain_energy, random_vectors, unit

from brownid.embeddings.neighbours import NeighbourSearch, Panel
from brownid.hyperface.energy import angles_between, attract, energy, project, repel
from brownid.hyperface.packing import SphereOptimizer, pack
from brownid.hyperface.settings import PackingSettings
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import adam, adam_

SETTINGS = PackingSettings(iterations=7, learning_rate=0.05, decay_every=3, record_every=3)
BATCHES = dataclasses.replace(SETTINGS, batch=4)
CASES = {
    "each": SETTINGS,
    "closest": dataclasses.replace(SETTINGS, repulsion="closest"),
    "batch": BATCHES,
    "closest in batches": dataclasses.replace(BATCHES, repulsion="closest"),
    "batch by itself": dataclasses.replace(BATCHES, batch_neighbours="batch"),
    "bfloat16": dataclasses.replace(SETTINGS, precision="bfloat16"),
}
START, GALLERY = random_vectors(11, 6), random_vectors(9, 6, seed=1)


def run(settings=SETTINGS, start=START, gallery=GALLERY, seed=5, **more):
    return pack(start, gallery, settings, seed=seed, **more)


def same(first, second):
    assert torch.equal(first.references, second.references)
    for name, values in first.statistics.items():
        np.testing.assert_array_equal(values, second.statistics[name])


@pytest.mark.parametrize("repulsion", ["each", "closest"])
@pytest.mark.parametrize("among", ["everybody", "all", "batch"])
@pytest.mark.parametrize("alpha", [None, 0.0, 0.7])
def test_energy_and_gradient_are_those_of_autograd_through_the_whole_form(repulsion, among, alpha):
    everybody = unit(random_vectors(13, 5, dtype=torch.float64))
    members = None if alpha is None else unit(random_vectors(8, 5, seed=1, dtype=torch.float64))
    rows = torch.arange(13) if among == "everybody" else torch.tensor([2, 3, 5, 7, 11])
    moving, search, places, more = everybody[rows], NeighbourSearch(torch.device("cpu"), tile=4), None, 0
    if among == "all":
        neighbours = search.of(Panel(moving, "float32"), Panel(everybody, "float32"), own=rows)
        others, own, more = everybody, rows, 1
        places = torch.full((13,), 5).scatter_(0, rows, torch.arange(5))
    else:
        neighbours, others, own = search.among(Panel(moving, "float32")), moving, torch.arange(len(rows))
    pulls = None if members is None else search.of(Panel(moving, "float32"), Panel(members, "float32"))

    leaf = everybody.clone().requires_grad_(True)
    theirs = leaf if others is everybody else leaf[rows]
    value = plain_energy(leaf[rows], theirs, members, alpha, repulsion, own)
    (expected,) = torch.autograd.grad(value, leaf)

    gradient = torch.full((len(rows) + more, 5), torch.nan, dtype=torch.float64)
    repel(gradient, moving, others, neighbours, repulsion, places)
    if pulls is not None:
        attract(gradient[: len(rows)], members, pulls.rows, alpha, torch.empty_like(moving))
    project(gradient[: len(rows)], moving, torch.empty_like(moving))
    torch.testing.assert_close(gradient[: len(rows)] / len(rows), expected[rows])
    assert energy(neighbours, pulls, alpha, repulsion) == pytest.approx(float(value.detach()))


def test_adam_in_place_is_adam():
    value, gradient, first = (random_vectors(4, 3, seed=seed) for seed in range(3))
    second = first.square()
    expected = adam(value, gradient, (first, second), 6, 0.1)
    adam_(value, gradient, (first, second), 6, 0.1)
    for found, wanted in zip((value, first, second), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("repulsion", ["each", "closest"])
def test_a_packing_is_adam_on_the_plain_form(repulsion):
    settings = dataclasses.replace(SETTINGS, repulsion=repulsion)
    value = unit(START.double())
    moments = torch.zeros_like(value), torch.zeros_like(value)
    for iteration in range(settings.iterations):
        leaf = value.requires_grad_(True)
        # 11 times: the factor n, which matters for no more than Adam's epsilon
        energy_there = 11 * plain_energy(leaf, leaf, GALLERY.double(), 0.5, repulsion, torch.arange(11))
        (gradient,) = torch.autograd.grad(energy_there, leaf)
        value, *moments = adam(leaf.detach(), gradient, moments, iteration, 0.05 * 0.75 ** (iteration // 3))
        value = unit(value)
    torch.testing.assert_close(run(settings).references, value.float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tile", [3, 5])
def test_tiles_do_not_matter(case, tile):
    torch.testing.assert_close(run(CASES[case], tile=tile).references, run(CASES[case]).references, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_give_the_result_of_one(case, size):
    alone, (first, *others) = run(CASES[case]), in_threads(size, lambda group: run(CASES[case], group=group, tile=3))
    for other in others:
        same(first, other)  # to the last bit
    torch.testing.assert_close(first.references, alone.references, atol=1e-5, rtol=0)
    for name, values in alone.statistics.items():
        np.testing.assert_allclose(first.statistics[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


class InterruptionError(Exception):
    pass


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fails_at", [1, 4, 7])
def test_an_interrupted_packing_ends_with_the_same_bits(tmp_path, monkeypatch, case, fails_at):
    settings, state, calls = CASES[case], StateFile(tmp_path / "state", {}, iterations=2), []
    step = SphereOptimizer._step

    def counted(*arguments):
        calls.append(1)
        step(*arguments)  # an interruption finds the block half done
        if len(calls) == fails_at:
            raise InterruptionError

    monkeypatch.setattr(SphereOptimizer, "_step", counted)
    with pytest.raises(InterruptionError):
        run(settings, state=state)
    resumed = run(settings, state=state)
    assert len(calls) == fails_at + 7 - (fails_at - 1) // 3 * 3  # blocks that were whole are not repeated
    same(resumed, run(settings))


def test_a_state_of_other_settings_seed_or_gallery_is_refused(tmp_path):
    state = StateFile(tmp_path / "state", {}, iterations=1)
    run(state=state)
    with pytest.raises(BrownidError, match=r"settings\.decay is 0\.75 there and 0\.5 here"):
        run(dataclasses.replace(SETTINGS, decay=0.5), state=state)
    with pytest.raises(BrownidError, match="seed is 5 there and 6 here"):
        run(seed=6, state=state)
    with pytest.raises(BrownidError, match="other gallery"):
        run(gallery=random_vectors(9, 6, seed=2), state=state)


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": 8},
        {"learning_rate": 0.06},
        {"decay": 0.5},
        {"decay_every": 2},
        {"gallery_coefficient": 0.6},
        {"repulsion": "closest"},
        {"batch": 5},
        {"batch": 4, "batch_neighbours": "batch"},
    ],
    ids=str,
)
def test_each_setting_changes_where_a_packing_ends(change):
    base = BATCHES if "batch_neighbours" in change else SETTINGS
    assert not torch.equal(run(dataclasses.replace(base, **change)).references, run(base).references)


def test_the_precision_changes_which_of_almost_equal_neighbours_is_found():
    start = unit(torch.ones(64) + 0.1 * random_vectors(40, 64))
    coarse, exact = (
        run(dataclasses.replace(SETTINGS, precision=precision), start, random_vectors(9, 64))
        for precision in ("bfloat16", "float32")
    )
    assert not torch.equal(coarse.references, exact.references)


def test_records_are_kept_every_so_often_and_of_the_end():
    found = run().statistics
    assert found["iteration"].tolist() == [0, 3, 6, 7]
    assert found["learning_rate"].tolist() == pytest.approx([0.05, 0.05 * 0.75, 0.05 * 0.75**2, 0.05 * 0.75**2])
    assert run(dataclasses.replace(SETTINGS, record_every=5)).statistics["iteration"].tolist() == [0, 5, 7]


@pytest.mark.parametrize("case", CASES)
def test_the_last_record_describes_the_end_exactly(case):
    found = run(CASES[case])
    references = found.references.double()
    torch.testing.assert_close(references.norm(dim=1), torch.ones(11, dtype=torch.float64))
    angles = torch.acos(references @ references.T).fill_diagonal_(math.inf).amin(dim=1)
    pulled = torch.acos(references @ unit(GALLERY.double()).T).amin(dim=1)
    repulsion = CASES[case].repulsion
    last = {name: values[-1] for name, values in found.statistics.items()}
    assert last["nn_min"] == pytest.approx(float(angles.min()), rel=1e-6)
    assert last["nn_avg"] == pytest.approx(float(angles.mean()), rel=1e-6)
    assert last["nn_max"] == pytest.approx(float(angles.max()), rel=1e-6)
    assert last["gallery_avg"] == pytest.approx(float(pulled.mean()), rel=1e-6)
    plain = plain_energy(references, references, GALLERY.double(), 0.5, repulsion, torch.arange(11))
    assert last["energy"] == pytest.approx(float(plain), rel=1e-5)


def test_no_iterations_leave_the_start_normalised():
    found = run(dataclasses.replace(SETTINGS, iterations=0))
    torch.testing.assert_close(found.references, unit(START))
    assert found.statistics["iteration"].tolist() == [0]


def test_the_start_is_not_changed():
    start = START.clone()
    run(start=start)
    assert torch.equal(start, START)
    normalised = unit(START)
    before = normalised.clone()
    run(start=normalised)
    assert torch.equal(normalised, before)


@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("repulsion", ["each", "closest"])
def test_two_references_and_one_gallery_member_settle_where_the_forces_balance(alpha, repulsion):
    # At ±θ about the member: 2 cos 2θ − 2α cos θ is least at cos θ = α/4.
    start = torch.tensor([[1.0, 0.4], [1.0, -0.5]])
    settings = PackingSettings(
        iterations=400, learning_rate=0.1, decay_every=10, gallery_coefficient=alpha, repulsion=repulsion
    )
    found = run(settings, start, torch.tensor([[3.0, 0.0]]))
    assert found.statistics["nn_min"][-1] == pytest.approx(2 * math.acos(alpha / 4), abs=1e-3)
    assert found.statistics["gallery_avg"][-1] == pytest.approx(math.acos(alpha / 4), abs=1e-3)


def test_without_a_gallery_its_coefficient_is_not_used():
    strong = dataclasses.replace(SETTINGS, gallery_coefficient=9.0)
    found = run(gallery=None)
    same(found, run(strong, gallery=None))
    torch.testing.assert_close(
        found.references, run(dataclasses.replace(SETTINGS, gallery_coefficient=0.0)).references, atol=0, rtol=0
    )
    assert np.isnan(found.statistics["gallery_avg"]).all()


def test_the_seed_decides_the_batches_and_nothing_else():
    assert torch.equal(run(seed=1).references, run(seed=2).references)
    assert not torch.equal(run(BATCHES, seed=1).references, run(BATCHES, seed=2).references)


@pytest.mark.parametrize("neighbours", ["all", "batch"])
def test_everybody_has_one_turn_an_epoch(neighbours):
    settings = dataclasses.replace(SETTINGS, batch=4, batch_neighbours=neighbours)  # 11 in batches of 3, 4 and 4
    moved = []
    for iterations in (1, 2, 3):
        end = run(dataclasses.replace(settings, iterations=iterations)).references
        moved.append(int((end != run(dataclasses.replace(settings, iterations=0)).references).any(dim=1).sum()))
    assert moved == [3, 7, 11]


def test_a_batch_of_all_is_the_algorithm_without_batches():
    whole = run(dataclasses.replace(SETTINGS, batch=11))
    torch.testing.assert_close(whole.references, run().references, atol=1e-5, rtol=0)


def test_nobody_is_left_alone_in_a_batch():
    settings = dataclasses.replace(SETTINGS, batch=2, batch_neighbours="batch")
    found = run(settings, START[:3])
    assert torch.isfinite(found.references).all() and (found.statistics["nn_min"] > 0).all()


@pytest.mark.parametrize("angle", [1e-4, 1.0, math.pi - 1e-4])
def test_small_and_large_angles_have_all_their_digits(angle):
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[math.cos(angle), math.sin(angle)]])
    assert angles_between(first, second, torch.tensor([0]), 1).item() == pytest.approx(angle, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_vectors_of_any_norm_are_normalised(scale):
    torch.testing.assert_close(run(start=scale * START, gallery=scale * GALLERY).references, run().references)


def spoilt(vectors, row, value):
    vectors = vectors.clone()
    vectors[row] = value
    return vectors


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"start": START[0]}, "start has shape"),
        ({"start": START.long()}, "start has element type"),
        ({"gallery": GALLERY[None]}, "gallery has shape"),
        ({"gallery": GALLERY[:0]}, "gallery is empty"),
        ({"gallery": GALLERY[:, :5]}, "6 numbers cannot be compared with embeddings of 5"),
        ({"start": spoilt(START, 4, 0.0)}, "start cannot be normalised: row 4 is zero"),
        ({"gallery": spoilt(GALLERY, 2, 0.0)}, "gallery cannot be normalised: row 2 is zero"),
        ({"start": spoilt(START, 3, math.nan)}, "start contains a value that is not finite, first in row 3"),
        ({"gallery": spoilt(GALLERY, 5, math.inf)}, "gallery contains a value that is not finite, first in row 5"),
        ({"start": START[:1]}, "at least two"),
        ({"start": spoilt(START, 4, 2 * START[7])}, "references [47] and [47] of the start are the same vector"),
        ({"settings": dataclasses.replace(BATCHES, batch=12)}, "batch is 12, but there are only 11 references"),
    ],
)
def test_what_cannot_be_packed_is_refused(given, sentence):
    with pytest.raises(BrownidError, match=sentence):
        run(**given)


def test_more_processes_than_references_are_refused():
    found = in_threads(3, lambda group: run(start=START[:2], group=group))
    assert all(isinstance(error, BrownidError) for error in found)


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": -1},
        {"iterations": 2.5},
        {"learning_rate": 0.0},
        {"learning_rate": "1e-2"},
        {"decay": 0.0},
        {"decay": 1.1},
        {"decay_every": 0},
        {"gallery_coefficient": -0.1},
        {"gallery_coefficient": math.nan},
        {"repulsion": "all"},
        {"batch": 1},
        {"batch": 4, "batch_neighbours": "some"},
        {"batch_neighbours": "batch"},
        {"precision": "float16"},
        {"record_every": 0},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_by_name(change):
    with pytest.raises(BrownidError, match=f"PackingSettings.{list(change)[-1]}"):
        PackingSettings(**change)
