"""Normal numbers by counter: Philox4x32-10 against published words, by NumPy and by PyTorch; addresses."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch

from brownid.runtime import fusing, philox
from brownid.runtime.philox import draw_with_torch, normal_numbers, round_keys
from brownid.runtime.randomness import NoiseKey, SharedNoise, normal, normal_ahead, room

# Counter, key and words of philox4x32_10 in Random123's tests/kat_vectors.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("array", [np.array, torch.tensor])
@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_words_are_the_published_ones(array, counter, key, expected):
    found = philox.philox([array([[word]]) for word in words(counter)], round_keys(words(key)))
    assert [word.item() for word in found] == words(expected)


@pytest.mark.parametrize("array", [np.array, torch.tensor])
def test_words_of_many_counters_are_those_of_each(array):
    big = 2**32 - 1
    items, places = [0, 1, big], list(range(0, big, big // 5))
    counter = (array([[7]]), array([places]), array([[i] for i in items]), array([[big - i] for i in items]))
    table = philox.philox(counter, round_keys((big, 3)))
    for row, item in enumerate(items):
        for column, place in enumerate(places):
            one = philox.philox([array([w]) for w in (7, place, item, big - item)], round_keys((big, 3)))
            assert [int(word[row, column]) for word in table] == [word.item() for word in one]


def test_pytorch_draws_the_numbers_of_numpy():
    items, keys = [5, 2**64 - 1], round_keys((9, 2**32 - 1))
    theirs = draw_with_torch(philox.counters(items, 3), 300, keys, torch.device("cpu")).flatten(1)
    assert torch.allclose(theirs[:, :1199], normal_numbers(keys[0], items, 3, 1199), atol=2e-6)


def test_parts_of_a_draw_change_nothing(monkeypatch):
    whole = normal_numbers((1, 2), range(5), 0, 403)
    for most in (7, 101, 250):
        monkeypatch.setitem(philox.BLOCKS_AT_ONCE, "cpu", most)
        assert torch.allclose(normal_numbers((1, 2), range(5), 0, 403), whole, atol=2e-6)


def test_numbers_are_standard_normal():
    drawn = normal_numbers((5, 6), [1, 2**63 + 1], 4, 50_000).double()
    for row in (*drawn, *drawn.view(8, -1)):  # of an item, and of a word of the blocks
        n = row.numel()
        assert abs(row.mean()) < 4 / n**0.5 and abs(row.var() - 1) < 4 * (2 / n) ** 0.5
        assert abs((row**3).mean()) < 4 * (15 / n) ** 0.5 and abs((row**4).mean() - 3) < 4 * (96 / n) ** 0.5
    ordered = drawn.flatten().sort().values
    expected = torch.special.ndtr(ordered)
    places = torch.arange(1, len(ordered) + 1) / len(ordered)
    assert (expected - places).abs().max() < 1.63 / len(ordered) ** 0.5  # Kolmogorov and Smirnov, 1 %
    correlations = torch.corrcoef(drawn.view(8, -1)) - torch.eye(8)
    assert correlations.abs().max() < 4.5 / drawn.shape[1] ** 0.5 * 2
    neighbours = (drawn[:, 1:] * drawn[:, :-1]).mean(dim=1)
    assert neighbours.abs().max() < 4 / drawn.shape[1] ** 0.5


@pytest.mark.parametrize("word", [0, 1, 2**31, 2**32 - 1])
def test_the_smallest_and_largest_words_give_finite_numbers(word):
    words = np.array([word])
    for pair in (philox._normal_pair(words, words), philox._normal_pair(*[torch.from_numpy(words)] * 2)):
        assert all(abs(float((one * other)[0])) < 7 for one, other in pair)


def test_numbers_belong_to_seed_purpose_item_and_iteration_alone():
    key = NoiseKey(1, [4, 2**63 + 5, 6], 7)
    drawn = key.normal("noise", (3, 5))
    assert drawn.shape == (3, 3, 5) and drawn.dtype == torch.float32 and not drawn.requires_grad
    assert torch.equal(key.rows(slice(1, 3)).normal("noise", (3, 5)), drawn[1:])
    assert torch.equal(NoiseKey(1, [6, 4], 7).normal("noise", (3, 5)), drawn[[2, 0]])
    others = [
        key._replace(seed=2).normal("noise", (3, 5)),
        key.normal("other", (3, 5)),
        key._replace(iteration=8).normal("noise", (3, 5)),
        key._replace(iteration=None).normal("noise", (3, 5)),
        key._replace(iteration=0).normal("noise", (3, 5)),
        key._replace(items=[5, 2**62 + 5, 5 + 2**32]).normal("noise", (3, 5)),
    ]
    every = torch.stack([drawn, *others]).flatten()
    assert len(every.unique()) == len(every)


def test_two_passes_share_what_the_first_drew(monkeypatch):
    shared = SharedNoise()
    key = NoiseKey(1, range(6), 0, shared)
    drawn = [key.rows(slice(i, i + 2)).normal("noise", (5,)) for i in (0, 2, 4)]
    again = [key.rows(slice(i, i + 2)).normal("noise", (5,)) for i in (0, 2, 4)]
    assert all(first is second for first, second in zip(drawn, again, strict=True)) and not shared._drawn
    monkeypatch.setattr("brownid.runtime.randomness.SHARED_BYTES", {"cpu": 70})  # room for one batch
    kept = [key.rows(slice(i, i + 2)).normal("noise", (5,)) for i in (0, 2)]
    assert len(shared._drawn) == 1 and torch.equal(torch.cat(kept), torch.cat(drawn[:2]))


def test_a_gpu_holds_at_most_an_eighth_of_its_memory_in_shared_noise(monkeypatch):
    for total, most in ((8 * 2**30, 2**30), (140 * 2**30, 2**32)):
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _, total=total: Mock(total_memory=total))
        assert room(torch.device("cuda", 1)) == most
    assert room(torch.device("cpu")) == 2**30 and room(torch.device("meta")) == 0


def test_where_the_memory_ran_out_no_noise_is_shared_any_more():
    shared = SharedNoise()
    key = NoiseKey(1, range(6), 0, shared)
    first = key.normal("noise", (5,))
    shared.stop()
    assert torch.equal(key.normal("noise", (5,)), first) and not shared._drawn


def test_numbers_drawn_ahead_are_those_of_the_address(monkeypatch):
    given = (1, "noise", [3, 5], (4,), 6)
    assert torch.equal(normal_ahead(torch.zeros(1, dtype=torch.float64), *given)(), normal(*given).double())
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    ahead = normal_ahead(torch.zeros(1, dtype=torch.float64, device="meta"), *given)()  # any device but the CPU
    assert ahead.is_meta and ahead.dtype == torch.float64 and torch.equal(pinned[0], normal(*given).double())


@pytest.fixture
def compiler(monkeypatch):
    """A device that has a compiler, which no function has been given to."""
    monkeypatch.setattr(fusing, "can_compile", lambda device: True)
    monkeypatch.setattr(fusing, "_programs", {})
    monkeypatch.setattr(fusing, "_failed", False)


def drawn() -> torch.Tensor:
    return draw_with_torch(philox.counters([3, 2**63 + 5], 1), 99, round_keys((1, 2)), torch.device("cpu"))


def test_a_compiler_that_fails_leaves_the_plain_operations(compiler, monkeypatch, caplog):
    plain = philox._stacked(*block_arguments())

    def program(*_):
        raise ImportError("there is no Triton")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: program)
    assert torch.equal(drawn(), plain) and torch.equal(drawn(), plain)
    assert caplog.text.count("there is no Triton") == 1


def test_memory_that_runs_out_while_drawing_is_not_the_compilers_fault(compiler, monkeypatch):
    def program(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: program)
    with pytest.raises(torch.OutOfMemoryError):
        drawn()


def block_arguments():
    return torch.from_numpy(philox.counters([3, 2**63 + 5], 1)), torch.arange(99), torch.tensor(round_keys((1, 2)))


@pytest.mark.nightly
def test_the_compiled_kernel_draws_the_same_numbers(compiler):
    assert torch.allclose(drawn(), philox._stacked(*block_arguments()), atol=2e-6)
    assert fusing._programs
