"""Random, reject and repulse references."""

import dataclasses

import pytest
import torch
from slow_dynamics import ToyFaceModel, pairwise_energy, random_latents

from brownid.dynamics.baselines import random_references, reject_references, repulse_references
from brownid.dynamics.settings import RejectSettings, RepulseSettings
from brownid.embeddings.neighbours import nearest
from brownid.embeddings.pairwise import angle_statistics
from brownid.runtime.errors import BrownidError
from brownid.runtime.randomness import normal

MODEL = ToyFaceModel(embedding_dim=5)
FIXED = random_latents(4, 5, seed=7)


def draw(numbers):
    return normal(3, "test/draw", numbers, (6,)).double()


def slow_baseline(count, settings, fixed=()):
    """Try one candidate after the other, as the definition says; (candidate numbers, latents)."""
    steps = getattr(settings, "steps", 0)
    candidates, latents, crowd = [], [], []
    number = 0
    while len(crowd) < count:
        w = draw([number])[0]
        for step in range(steps + 1):
            leaf = w.clone().requires_grad_(True)
            e = MODEL.embed(leaf[None])[0]
            angles = [torch.acos(0.999999 * (e.detach() @ torch.nn.functional.normalize(o, dim=0))) for o in crowd]
            guards = [torch.acos(0.999999 * (e.detach() @ torch.nn.functional.normalize(o, dim=0))) for o in fixed]
            if all(a > settings.ict for a in angles) and all(a > settings.fixed_distance for a in guards):
                candidates.append(number)
                latents.append(w)
                crowd.append(e.detach())
                break
            if step < steps:
                k = settings.repulsion_coefficient
                energy = pairwise_energy(e, crowd, k, settings.repulsion_radius)
                energy = energy + pairwise_energy(e, fixed, k, settings.fixed_distance)
                w = w - torch.autograd.grad(energy, leaf)[0]
        number += 1
    return candidates, torch.stack(latents)


def test_random_takes_the_first_candidates():
    result = random_references(MODEL, draw, 10, batch_size=3)
    assert torch.equal(result.latents, draw(range(10)))
    torch.testing.assert_close(result.embeddings, MODEL.embed(result.latents))
    assert result.candidates == list(range(10)) and result.statistics["candidates"].tolist() == [10]


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("guarded", [False, True])
def test_reject_accepts_what_one_by_one_would_and_keeps_the_distance(batch_size, guarded):
    settings, fixed = RejectSettings(ict=0.9), FIXED if guarded else None
    result = reject_references(MODEL, draw, 10, settings, fixed_embeddings=fixed, batch_size=batch_size)
    candidates, latents = slow_baseline(10, settings, FIXED if guarded else ())
    assert result.candidates == candidates and candidates != list(range(10))
    torch.testing.assert_close(result.latents, latents)
    assert angle_statistics(result.embeddings, 0.9).minimum > 0.9
    assert result.statistics["dist_min"][0] > 0.9 and result.statistics["candidates"] == [candidates[-1] + 1]
    if guarded:
        assert torch.acos(nearest(result.embeddings, FIXED).cosines).min() > 0.6


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_repulse_moves_and_accepts_as_one_by_one_would(batch_size, guarded, steps):
    settings = RepulseSettings(ict=0.9, steps=steps, repulsion_coefficient=0.4, repulsion_radius=1.1)
    fixed = FIXED if guarded else None
    result = repulse_references(MODEL, draw, 10, settings, fixed_embeddings=fixed, batch_size=batch_size)
    candidates, latents = slow_baseline(10, settings, FIXED if guarded else ())
    assert result.candidates == candidates
    torch.testing.assert_close(result.latents, latents)
    torch.testing.assert_close(result.embeddings, MODEL.embed(latents))
    assert angle_statistics(result.embeddings, 0.9).minimum > 0.9


def test_repulse_needs_fewer_candidates_than_reject_because_it_moves_them():
    still = reject_references(MODEL, draw, 10, RejectSettings(ict=0.9))
    moved = repulse_references(MODEL, draw, 10, RepulseSettings(ict=0.9, repulsion_coefficient=0.4))
    assert moved.statistics["candidates"] < still.statistics["candidates"]
    assert not torch.equal(moved.latents, draw(moved.candidates))


CHANGES = {
    "ict": 0.7,
    "fixed_distance": 0.3,
    "steps": 1,
    "repulsion_coefficient": 0.1,
    "repulsion_radius": 1.0,
    "candidates_per_reference": 1,
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(RepulseSettings)])
def test_every_setting_changes_the_result(name):
    base = RepulseSettings(ict=0.9, repulsion_coefficient=0.3, fixed_distance=0.8)
    changed = dataclasses.replace(base, **{name: CHANGES[name]})
    first = repulse_references(MODEL, draw, 9, base, fixed_embeddings=FIXED).latents
    if name == "candidates_per_reference":
        with pytest.raises(BrownidError, match="among 9 candidates"):
            repulse_references(MODEL, draw, 9, changed, fixed_embeddings=FIXED)
        return
    assert not torch.allclose(first, repulse_references(MODEL, draw, 9, changed, fixed_embeddings=FIXED).latents)


def test_it_gives_up_with_a_sentence_after_enough_candidates():
    with pytest.raises(BrownidError, match=r"`reject` found only \d of 9 references .* among 45 candidates; lower ict"):
        reject_references(MODEL, draw, 9, RejectSettings(ict=2.5, candidates_per_reference=5))


def test_wrong_input_is_refused_in_a_sentence():
    with pytest.raises(BrownidError, match=r"RepulseSettings\.steps is -1"):
        RepulseSettings(steps=-1)
    with pytest.raises(BrownidError, match=r"RejectSettings\.ict is 4"):
        RejectSettings(ict=4)
    with pytest.raises(BrownidError, match="0 references are wanted"):
        random_references(MODEL, draw, 0)
    with pytest.raises(BrownidError, match=r"drawn latents has shape \[2, 6\], but must have shape \[5, 6\]"):
        random_references(MODEL, lambda numbers: draw(numbers)[:2], 5)
