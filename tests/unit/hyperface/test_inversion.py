"""Inversion reaches what can be reached, follows Adam on the plain loss, and treats every row by itself."""

import dataclasses
import logging
import math
import threading

import pytest
import torch

from brownid.hyperface.inversion import STATISTICS, invert, reached, starting_latents
from brownid.hyperface.settings import InversionSettings, LatentOptimizationSettings
from brownid.jobs.distributed import own_rows
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError
from brownid.runtime.optimization import adam, learning_rate_factor
from brownid.runtime.randomness import NoiseKey

COUNT, DIM, WIDTH = 5, 6, 4
SETTINGS = InversionSettings(iterations=6, learning_rate=0.2, latent_weight=0.1)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Toy:
    """Two linear maps with a tanh between, and normalisation; counts what it embeds."""

    latent_mean = random(DIM, seed=1)

    def __init__(self):
        self.first, self.second, self.batches = random(DIM, 12, seed=2), random(12, WIDTH, seed=3), []

    def embed(self, latents):
        self.batches.append(len(latents))
        hidden = torch.tanh(0.3 * latents @ self.first.to(latents.dtype))
        return torch.nn.functional.normalize(hidden @ self.second.to(latents.dtype), dim=1)


class Noisy(Toy):
    """Its embeddings depend on the item and the iteration, as those of a generator with random noise maps."""

    needs_noise_key = True

    def embed(self, latents, noise_key):
        return super().embed(latents + 0.1 * noise_key.normal("noise", (DIM,)).to(latents))


class Failing(Toy):
    def embed(self, latents):
        if len(self.batches) == 7:
            raise KeyboardInterrupt
        return super().embed(latents)


class Broken(Toy):
    def embed(self, latents):
        return super().embed(latents) / torch.where(latents[:, :1] == random(COUNT, DIM)[3, 0], 0.0, 1.0)


class Shares:
    """Threads that share a run, each as one of its processes."""

    def __init__(self, size):
        self.size, self.parts, self.barrier = size, [None] * size, threading.Barrier(size)

    class One:
        def __init__(self, all_, rank):
            self.all, self.rank, self.size = all_, rank, all_.size

        def sum(self, values):
            self.all.parts[self.rank] = values.clone()
            self.all.barrier.wait(20)
            total = torch.stack(self.all.parts).sum(dim=0)
            self.all.barrier.wait(20)
            return total

    def run(self, work):
        results = [None] * self.size

        def one(rank):
            try:
                results[rank] = work(self.One(self, rank))
            except BrownidError as error:
                results[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return results


def run(model=None, settings=SETTINGS, *, rows=None, tries=None, **others):
    rows = list(range(COUNT)) if rows is None else rows
    starts = random(COUNT, DIM) if tries is None else random(COUNT, tries, DIM)
    others = {"seed": 1, "latent_std": 2.0, "items": rows} | others
    return invert(model or Toy(), random(COUNT, WIDTH, seed=9)[rows], starts[rows], settings, **others)


def assert_same(first, second, exactly=True):
    tolerance = {"rtol": 0, "atol": 0} if exactly else {}
    for name in ("latents", "embeddings", "angles", "attempts"):
        torch.testing.assert_close(getattr(first, name), getattr(second, name), **tolerance)


def test_targets_that_faces_have_are_reached():
    true = Toy.latent_mean + random(COUNT, DIM, seed=5)
    found = invert(
        Toy(), Toy().embed(true), true + 0.1, LatentOptimizationSettings(60, 0.02, latent_weight=0.0), seed=1
    )
    assert found.angles.max() < 0.01
    torch.testing.assert_close(found.embeddings, Toy().embed(found.latents))
    assert found.statistics["angle_max"][0] > 0.05 > found.statistics["angle_max"][-1]


def test_it_is_adam_on_the_squared_angle_and_the_distance_from_the_mean():
    found, model = run(), Toy()
    for row in range(COUNT):
        target, latent = random(COUNT, WIDTH, seed=9)[row], random(COUNT, DIM)[row]
        moments, losses = (torch.zeros(DIM), torch.zeros(DIM)), []
        for iteration in range(SETTINGS.iterations):
            leaf = latent.clone().requires_grad_()
            cosine = 0.999999 * torch.nn.functional.cosine_similarity(model.embed(leaf[None])[0], target, dim=0)
            loss = torch.acos(cosine) ** 2 + 0.1 * (leaf - model.latent_mean).square().sum() / 2.0**2
            (gradient,) = torch.autograd.grad(loss, leaf)
            latent, *moments = adam(latent, gradient, moments, iteration, SETTINGS.rate_at(iteration))
            losses.append(loss.item())
        torch.testing.assert_close(found.latents[row], latent)
        alone = run(rows=[row])
        assert alone.statistics["loss_avg"].tolist() == pytest.approx(losses)


def test_the_rate_is_taken_in_the_middle_of_an_iteration_so_that_none_is_lost():
    settings = LatentOptimizationSettings(4, learning_rate=2.0, rampup=0.25, rampdown=0.5)
    half = 2.0 * (0.5 - 0.5 * math.cos(math.pi * 0.75))
    assert [settings.rate_at(t) for t in range(4)] == pytest.approx([1.0, 2.0, half, 2.0 - half])
    assert [learning_rate_factor(done, 0.0, 0.0) for done in (0.0, 0.5)] == [1.0, 1.0]


@pytest.mark.parametrize("model", [Toy, Noisy])
def test_rows_do_not_feel_each_other_nor_the_batch(model):
    whole = run(model(), tries=2)
    assert_same(run(model(), tries=2, batch_size=3), whole, exactly=False)
    part = run(model(), tries=2, rows=[4, 1])
    torch.testing.assert_close(part.latents, whole.latents[[4, 1]])
    torch.testing.assert_close(part.angles, whole.angles[[4, 1]])


def test_a_generators_noise_is_that_of_the_item_and_at_the_end_that_of_the_picture_kept():
    assert not torch.equal(run(Noisy()).latents, run(Noisy(), items=[0, 1, 2, 3, 9]).latents)
    found = run(Noisy())
    kept = Noisy().embed(found.latents, NoiseKey(1, list(range(COUNT)), None))
    torch.testing.assert_close(found.embeddings, kept)


def test_of_several_attempts_the_nearest_is_kept():
    several = run(tries=3)
    starts = random(COUNT, 3, DIM).unbind(1)
    targets = random(COUNT, WIDTH, seed=9)
    single = [invert(Toy(), targets, start, SETTINGS, seed=1, latent_std=2.0) for start in starts]
    angles = torch.stack([one.angles for one in single], dim=1)
    torch.testing.assert_close(several.angles, angles.min(dim=1).values)
    assert several.attempts.tolist() == angles.argmin(dim=1).tolist() and len(set(several.attempts.tolist())) > 1
    for row, attempt in enumerate(several.attempts.tolist()):
        torch.testing.assert_close(several.latents[row], single[attempt].latents[row])


def test_without_iterations_the_starts_are_kept():
    found = run(settings=InversionSettings(0))
    assert torch.equal(found.latents, random(COUNT, DIM)) and set(found.statistics) == set(STATISTICS)
    assert all(len(values) == 0 for values in found.statistics.values())


@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_give_the_result_of_one(size):
    for found in Shares(size).run(lambda group: run(tries=2, group=group)):
        assert_same(found, run(tries=2), exactly=False)
        assert found.statistics["loss_avg"].tolist() == pytest.approx(run(tries=2).statistics["loss_avg"].tolist())
    model = Toy()
    Shares(size).run(lambda group: run(model if group.rank == 0 else None, group=group))
    assert sum(model.batches) == (SETTINGS.iterations + 1) * len(range(COUNT)[own_rows(Shares.One(Shares(size), 0), 5)])


def test_what_is_not_finite_stops_all_processes_with_the_item():
    errors = Shares(2).run(lambda group: run(Broken(), group=group))
    assert all(
        isinstance(error, BrownidError) and "item 3 is not finite in iteration 0" in str(error) for error in errors
    )


def test_an_interrupted_inversion_goes_on_to_the_same_bits_and_only_under_its_settings(tmp_path):
    state = StateFile(tmp_path / "state", {}, iterations=100)
    with pytest.raises(KeyboardInterrupt):
        run(Failing(), state=state, batch_size=3)
    model = Toy()
    assert_same(run(model, state=state, batch_size=3), run(batch_size=3))
    assert len(model.batches) < 2 * SETTINGS.iterations
    with pytest.raises(BrownidError, match=r"settings.latent_weight is 0.1 there and 0.0 here"):
        run(settings=dataclasses.replace(SETTINGS, latent_weight=0.0), state=state)


def test_every_setting_of_the_descent_changes_the_result():
    before = run().latents
    changes = {"iterations": 7, "learning_rate": 0.1, "rampup": 0.5, "rampdown": 0.9, "latent_weight": 0.2}
    for name, value in changes.items():
        assert not torch.equal(run(settings=dataclasses.replace(SETTINGS, **{name: value})).latents, before), name


def test_what_ends_too_far_is_left_out_with_a_warning(caplog):
    angles, items = torch.tensor([0.2, 0.9, 0.4, 0.6]), [7, 8, 9, 10]
    assert reached(angles, InversionSettings(), items) == [0, 1, 2, 3] and not caplog.records
    with caplog.at_level(logging.WARNING, logger="brownid"):
        assert reached(angles, InversionSettings(maximum_angle=0.5), items) == [0, 2]
    assert "2 of 4 embeddings, not reached within 0.500 radians" in caplog.text
    assert "that of 8 with 0.900" in caplog.text
    with pytest.raises(BrownidError, match=r"smallest angle is 0\.200 radians. Raise maximum_angle"):
        reached(angles, InversionSettings(maximum_angle=0.1), items)


def test_a_gallery_start_is_the_nearest_random_faces():
    latents, embeddings, targets = random(7, DIM), random(7, WIDTH, seed=4), random(3, WIDTH, seed=6)
    cosines = torch.nn.functional.cosine_similarity(targets[:, None], embeddings[None], dim=2)
    expected = cosines.argsort(dim=1, descending=True)[:, :3]
    found = starting_latents(targets, latents, embeddings, InversionSettings(start="gallery", attempts=3))
    assert torch.equal(found, latents[expected])


def test_a_regression_start_inverts_what_is_linear_and_goes_on_with_the_nearest():
    embeddings = torch.nn.functional.normalize(random(200, WIDTH), dim=1)
    matrix, settings = random(WIDTH, DIM, seed=5), InversionSettings(start="regression", attempts=2)
    targets = torch.nn.functional.normalize(random(3, WIDTH, seed=6), dim=1)
    found = starting_latents(3.0 * targets, embeddings @ matrix + 2.0, 5.0 * embeddings, settings)
    torch.testing.assert_close(found[:, 0], targets @ matrix + 2.0, atol=0.05, rtol=0)
    nearest = (targets @ embeddings.T).argmax(dim=1)
    assert torch.equal(found[:, 1], (embeddings @ matrix + 2.0)[nearest])


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"targets": random(COUNT, WIDTH + 1)}, "Embeddings of 4 numbers cannot be compared with embeddings of 5"),
        ({"targets": random(COUNT, WIDTH).index_fill(0, torch.tensor([2]), math.nan)}, "not finite, first in row 2"),
        ({"targets": random(COUNT, WIDTH).index_fill(0, torch.tensor([2]), 0.0)}, "in row 2 is zero"),
        ({"targets": random(COUNT - 1, WIDTH)}, "4 targets cannot be reached from 5 starts"),
        ({"starts": random(COUNT, DIM + 1)}, r"starts has shape \[5, 1, 7\]"),
        ({"starts": random(DIM)}, "starts has shape"),
        ({"items": [0]}, "1 item numbers for 5 targets"),
        ({"latent_std": None}, "latent_std, its unit, is None"),
        ({"latent_std": math.inf}, "latent_std, its unit, is inf"),
        ({"group": Shares.One(Shares(6), 0)}, "6 processes cannot share 5 latents"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(wrong, sentence):
    given = {"targets": random(COUNT, WIDTH), "starts": random(COUNT, DIM), "latent_std": 1.0} | wrong
    with pytest.raises(BrownidError, match=sentence):
        invert(Toy(), given.pop("targets"), given.pop("starts"), SETTINGS, seed=1, **given)


def test_more_attempts_than_random_faces_are_refused():
    with pytest.raises(BrownidError, match="attempts is 4, which needs 4 random faces"):
        starting_latents(random(2, 4), random(3, 6), random(3, 4), InversionSettings(start="gallery", attempts=4))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"iterations": -1}, {"iterations": 1.5}, {"learning_rate": 0.0}, {"rampup": 1.1}, {"rampdown": -0.1}),
        *({"latent_weight": -1.0}, {"maximum_angle": 4.0}, {"start": "mean"}, {"attempts": 0}),
    ],
)
def test_a_wrong_setting_of_inversion_is_named(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BrownidError, match=f"InversionSettings.{name} is {value!r}"):
        InversionSettings(**wrong)


@pytest.mark.parametrize("size", [2, 3])
def test_in_several_processes_noise_is_that_of_the_item_too(size):
    expected = run(Noisy(), tries=2)
    for found in Shares(size).run(lambda group: run(Noisy(), tries=2, group=group)):
        assert_same(found, expected, exactly=False)


@pytest.mark.parametrize(
    "other, sentence",
    [
        ({"targets": random(COUNT, WIDTH, seed=10)}, "other targets"),
        ({"starts": random(COUNT, DIM, seed=10)}, "other starting latents"),
        ({"items": [0, 1, 2, 3, 9]}, "items is"),
        ({"latent_std": 3.0}, r"latent_std is 2\.0 there and 3\.0 here"),
        ({"seed": 2}, "seed is 1 there and 2 here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_state_that_was_given_something_else_is_refused(tmp_path, other, sentence):
    state = StateFile(tmp_path / "state", {}, iterations=1)
    given = {"targets": random(COUNT, WIDTH, seed=9), "starts": random(COUNT, DIM), "seed": 1, "latent_std": 2.0}
    invert(Toy(), settings=SETTINGS, state=state, **given)
    with pytest.raises(BrownidError, match=sentence):
        invert(Toy(), settings=SETTINGS, state=state, **given | other)


def test_what_ends_at_the_maximum_angle_is_kept():
    assert reached(torch.tensor([0.5, 0.75], dtype=torch.float64), InversionSettings(maximum_angle=0.5), [0, 1]) == [0]


@pytest.mark.parametrize("start", ["gallery", "regression"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_there_are_as_many_starts_as_attempts(start, attempts):
    settings = InversionSettings(start=start, attempts=attempts)
    assert starting_latents(random(2, WIDTH), random(7, DIM), random(7, WIDTH), settings).shape == (2, attempts, DIM)
