"""Nearest neighbours by tiles are those of the whole matrix, whatever the tiles, the processes and the precision."""

import math

import pytest
import torch
from slow_packing import in_threads, random_vectors

from brownid.embeddings.neighbours import Nearest, NeighbourSearch, Panel, nearest

CPU = torch.device("cpu")


def unit_vectors(count, length=8, seed=0, dtype=torch.float64):
    return torch.nn.functional.normalize(random_vectors(count, length, seed=seed, dtype=dtype))


def by_matrix(unit, others=None, own=None):
    cosines = unit @ (unit if others is None else others).T
    if own is not None:
        cosines[torch.arange(len(unit)), own] = -math.inf
    return Nearest(*cosines.max(dim=1))


def assert_same(found, expected):
    assert found.rows.tolist() == expected.rows.tolist()
    torch.testing.assert_close(found.cosines, expected.cosines)


@pytest.mark.parametrize("tile", [1, 2, 5, 11, None])
def test_every_tile_size_finds_the_neighbours_of_the_whole_matrix(tile):
    unit, others = unit_vectors(11), unit_vectors(7, seed=1)
    search = NeighbourSearch(CPU, tile=tile)
    assert_same(search.among(Panel(unit, "float32")), by_matrix(unit, own=torch.arange(11)))
    assert_same(search.of(Panel(unit, "float32"), Panel(others, "float32")), by_matrix(unit, others))
    rows = torch.tensor([9, 0, 4])
    part = Panel(unit[rows], "float32")
    assert_same(search.of(part, Panel(unit, "float32"), own=rows), by_matrix(unit[rows], unit, own=rows))


@pytest.mark.parametrize("tile", [1, 3, 64])
@pytest.mark.parametrize("count", [1, 3])
def test_the_nearest_of_others_come_nearest_first(tile, count):
    vectors, others = random_vectors(5, 4), random_vectors(8, 4, seed=1)
    cosines = torch.nn.functional.cosine_similarity(vectors[:, None], others[None], dim=2)
    expected = cosines.topk(count, dim=1)
    found = nearest(vectors, others, count, tile=tile)
    torch.testing.assert_close(found.cosines, expected.values)
    assert found.rows.tolist() == expected.indices.tolist()


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_processes_share_the_tiles_and_all_get_the_whole(size, precision):
    unit, others = unit_vectors(11, dtype=torch.float32), unit_vectors(7, seed=1, dtype=torch.float32)

    def work(group):
        # in bfloat16 each vector is a tile and so a candidate
        search = NeighbourSearch(CPU, tile=3 if precision == "float32" else 1, group=group)
        panels = Panel(unit, precision), Panel(others, precision)
        return search.among(panels[0]), search.of(*panels), search.of(panels[1], panels[0])

    for among, of_others, of_these in in_threads(size, work):
        assert_same(among, by_matrix(unit, own=torch.arange(11)))
        assert_same(of_others, by_matrix(unit, others))
        assert_same(of_these, by_matrix(others, unit))


def test_a_search_may_be_used_for_more_and_for_fewer():
    search = NeighbourSearch(CPU, tile=4)
    for count in (5, 11, 3):
        unit = unit_vectors(count)
        assert_same(search.among(Panel(unit, "float32")), by_matrix(unit, own=torch.arange(count)))


def crowded(count, seed):
    """Unit vectors around one direction: their cosines with it differ by less than bfloat16 can tell."""
    spread = 0.1 * random_vectors(count, 64, seed=seed)
    return torch.nn.functional.normalize(torch.ones(64) + spread)


def test_candidates_measured_again_are_the_neighbours_that_bfloat16_alone_cannot_tell():
    vectors, others = crowded(50, 1), crowded(4, 2)
    true = (vectors @ others.T).argmax(dim=1)
    plain = (vectors.bfloat16() @ others.bfloat16().T).argmax(dim=1)
    assert (plain != true).sum() > 10
    search = NeighbourSearch(CPU, tile=1)  # so that each of them is a candidate
    found = search.of(Panel(vectors, "bfloat16"), Panel(others, "bfloat16"))
    assert_same(found, by_matrix(vectors, others))
    assert_same(search.among(Panel(others, "bfloat16")), by_matrix(others, own=torch.arange(4)))


def test_of_many_tiles_the_best_candidates_are_measured_again():
    vectors, others = unit_vectors(40, 64, dtype=torch.float32), unit_vectors(60, 64, seed=1, dtype=torch.float32)
    found = NeighbourSearch(CPU, tile=5).of(Panel(vectors, "bfloat16"), Panel(others, "bfloat16"))
    assert_same(found, by_matrix(vectors, others))


def test_a_panel_follows_the_rows_that_moved():
    unit = unit_vectors(6, dtype=torch.float32)
    panel = Panel(unit, "bfloat16")
    unit[2], unit[4] = unit[4].clone(), -unit[2]
    panel.refresh(torch.tensor([2]))
    assert torch.equal(panel.coarse[2], unit[2].bfloat16()) and not torch.equal(panel.coarse[4], unit[4].bfloat16())
    panel.refresh()
    assert torch.equal(panel.coarse, unit.bfloat16())
