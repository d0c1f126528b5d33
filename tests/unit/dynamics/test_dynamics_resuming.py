"""A run that is interrupted anywhere goes on to the same bits, and only under its own settings."""

import dataclasses
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from slow_dynamics import ToyFaceModel, random_latents

from brownid.dynamics.dispersion import dispersion
from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import DispersionSettings, LangevinSettings, WithinClassSettings
from brownid.jobs import iteration as loop
from brownid.jobs.resume import TERMINATED, StateFile, Terminated, differences, read_owner, terminable
from brownid.runtime.errors import BrownidError

SEED = 3
LANGEVIN = LangevinSettings(iterations=6, repulsion_coefficient=2.0, random_force=0.1)
DISPERSION = DispersionSettings(iterations=6, variations=3, latent_radius=3.0, timestep=-0.2)


class InterruptionError(Exception):
    pass


class FailingModel(ToyFaceModel):
    """Stands for whatever ends a process: fails in the embedding pass of this number."""

    def __init__(self, fails_at: int, failure):
        super().__init__()
        self.fails_at = fails_at
        self.failure = failure

    def embed(self, latents):
        if len(self.batches) == self.fails_at:
            self.failure()
        return super().embed(latents)


def interrupt():
    raise InterruptionError


def test_what_is_loaded_lies_where_computed_tensors_lie(tmp_path):
    """Addresses decide how some processors round matrix products, and those in a mapped file are odd."""
    state = StateFile(tmp_path / "state", {})
    saved = {f"t{width}": random_latents(3, width, dtype=torch.float32) for width in (1, 3, 7, 16)}
    state.save(1, saved)
    loaded = state.load().tensors
    assert all(torch.equal(loaded[name], saved[name]) for name in saved)
    assert all(tensor.data_ptr() % 64 == 0 for tensor in loaded.values())


def run_langevin(model, state=None, settings=LANGEVIN, start=None, fixed=None, batch_size=4):
    start = random_latents(7, 6) if start is None else start
    fixed = random_latents(5, 4, seed=2) if fixed is None else fixed
    return langevin(model, start, settings, seed=SEED, state=state, fixed_embeddings=fixed, batch_size=batch_size)


def run_dispersion(model, state=None, settings=DISPERSION):
    references = random_latents(4, 6)
    return dispersion(
        model, references, ToyFaceModel().embed(references), settings, seed=SEED, state=state, batch_size=5
    )


def run_within_class(model, state=None):
    settings, references = WithinClassSettings(**dataclasses.asdict(DISPERSION)), random_latents(4, 6)
    targets, root = ToyFaceModel().embed(references), random_latents(2, 6, seed=4)
    return dispersion(model, references, targets, settings, seed=SEED, within_class=root, state=state, batch_size=5)


def same(first, second):
    assert torch.equal(first.latents, second.latents) and torch.equal(first.embeddings, second.embeddings)
    assert list(first.statistics) == list(second.statistics)
    assert all((first.statistics[name] == second.statistics[name]).all() for name in first.statistics)


@pytest.mark.parametrize("run", [run_langevin, run_dispersion, run_within_class])
@pytest.mark.parametrize("every", [1, 4, 100])
@pytest.mark.parametrize("fails_at", [0, 1, 7, 11, 15])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, run, every, fails_at):
    state = tmp_path / "state.safetensors"
    with pytest.raises(InterruptionError):
        run(FailingModel(fails_at, interrupt), StateFile(state, {}, iterations=every))
    resumed, straight = ToyFaceModel(), ToyFaceModel()
    same(run(resumed, StateFile(state, {}, iterations=every)), run(straight))
    # It went on: a pass of the first iteration is not made again, once an iteration was whole.
    assert (len(resumed.batches) < len(straight.batches)) == (fails_at > len(straight.batches) / 7)


@pytest.mark.parametrize(("every", "seconds", "iteration"), [(2, 1e9, 2), (100, 0.0, 3), (100, 1e9, 1)])
def test_a_gpu_is_not_asked_for_what_a_failure_saves(tmp_path, monkeypatch, every, seconds, iteration):
    monkeypatch.setattr(loop, "_on_gpu", lambda tensors: True)
    monkeypatch.setattr(loop, "HOST_SECONDS", seconds)
    state, saved = StateFile(tmp_path / "state", {}, iterations=every), []
    monkeypatch.setattr(
        StateFile, "save", lambda self, *now, save=StateFile.save: saved.append(now[0]) or save(self, *now)
    )
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(fails_at=11, failure=interrupt), state)
    assert set(saved) == {iteration}
    same(run_langevin(ToyFaceModel(), StateFile(tmp_path / "state", {})), run_langevin(ToyFaceModel()))


def test_a_run_with_neighbours_of_the_previous_pass_goes_on_with_them(tmp_path):
    settings = dataclasses.replace(LANGEVIN, neighbours="previous")
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(8, interrupt), StateFile(tmp_path / "state", {}), settings)
    same(
        run_langevin(ToyFaceModel(), StateFile(tmp_path / "state", {}), settings),
        run_langevin(ToyFaceModel(), None, settings),
    )


def test_sigterm_saves_the_last_iteration_and_ends_with_its_own_exit_code(tmp_path):
    state = StateFile(tmp_path / "state", {}, iterations=100)
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(SystemExit) as ended:
        run_langevin(FailingModel(9, lambda: os.kill(os.getpid(), signal.SIGTERM)), state)
    assert ended.value.code == TERMINATED == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    model = ToyFaceModel()
    same(run_langevin(model, state), run_langevin(ToyFaceModel()))
    assert len(model.batches) < 5 * 3  # it did not begin anew


def test_killed_in_the_middle_of_saving_the_last_whole_state_stays(tmp_path, monkeypatch):
    state = StateFile(tmp_path / "state", {}, iterations=1)
    run_langevin(ToyFaceModel(), state, dataclasses.replace(LANGEVIN, iterations=2))
    before = state.path.read_bytes()

    def killed(tensors, path, metadata):
        Path(path).write_bytes(before[:100])
        interrupt()

    monkeypatch.setattr("brownid.jobs.resume.save_file", killed)
    with pytest.raises(InterruptionError):
        StateFile(state.path, {}).save(5, {"latents": torch.zeros(2)})
    assert state.path.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"settings": dataclasses.replace(LANGEVIN, timestep=-0.2)}, "settings.timestep is -0.3 there and -0.2 here"),
        ({"settings": dataclasses.replace(LANGEVIN, force_clip=1.0)}, "settings.force_clip is None there and 1.0 here"),
        ({"start": random_latents(7, 6, seed=9)}, "other starting latents"),
        ({"fixed": random_latents(5, 4, seed=3)}, "other fixed embeddings"),
    ],
)
def test_a_state_of_other_settings_is_refused_and_what_differs_is_named(tmp_path, change, named):
    state = StateFile(tmp_path / "state", {})
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(9, interrupt), state)
    with pytest.raises(BrownidError) as refusal:
        run_langevin(ToyFaceModel(), state, **change)
    assert str(state.path) in str(refusal.value) and named in str(refusal.value)


def test_a_state_of_another_context_is_refused_too(tmp_path):
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(9, interrupt), StateFile(tmp_path / "state", {"network": {"image_size": 56}}))
    with pytest.raises(BrownidError, match=r"network\.image_size is 56 there and 112 here"):
        run_langevin(ToyFaceModel(), StateFile(tmp_path / "state", {"network": {"image_size": 112}}))


def test_another_batch_size_may_go_on_from_a_state(tmp_path):
    state = StateFile(tmp_path / "state", {})
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(9, interrupt), state)
    torch.testing.assert_close(
        run_langevin(ToyFaceModel(), state, batch_size=7).latents, run_langevin(ToyFaceModel()).latents
    )


@pytest.mark.parametrize("content", [b"", b"no state", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_what_is_no_state_is_passed_over_with_a_sentence(tmp_path, caplog, content):
    (tmp_path / "state").write_bytes(content)
    resumed = run_langevin(ToyFaceModel(), StateFile(tmp_path / "state", {}))
    assert re.search(
        r"state: this is no state of a run, .* It is not used, and the run begins at its start", caplog.text
    )
    assert torch.equal(resumed.latents, run_langevin(ToyFaceModel()).latents)


def test_a_state_is_due_after_so_many_iterations_or_minutes(tmp_path, monkeypatch):
    by_count = StateFile(tmp_path / "state", {}, iterations=3, minutes=1e6)
    assert [by_count.due(iteration) for iteration in (1, 2, 3)] == [False, False, True]
    by_time = StateFile(tmp_path / "state", {}, iterations=10**6, minutes=2.0)
    assert not by_time.due(1)
    now = time.monotonic()
    monkeypatch.setattr("brownid.jobs.resume.time.monotonic", lambda: now + 119)
    assert not by_time.due(1)
    monkeypatch.setattr("brownid.jobs.resume.time.monotonic", lambda: now + 121)
    assert by_time.due(1)


def test_a_state_that_cannot_be_due_is_refused(tmp_path):
    with pytest.raises(BrownidError, match="iterations"):
        StateFile(tmp_path / "state", {}, iterations=0)
    with pytest.raises(BrownidError, match="minutes"):
        StateFile(tmp_path / "state", {}, minutes=-1)


def test_a_second_sigterm_does_not_disturb_the_saving(tmp_path, monkeypatch):
    state = StateFile(tmp_path / "state", {}, iterations=100)
    saves = []

    def save_slowly(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        saves.append(arguments)
        return safetensors.torch.save_file(*arguments)

    monkeypatch.setattr("brownid.jobs.resume.save_file", save_slowly)
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(9, interrupt), state)
    assert len(saves) == 1 and read_owner(state.path)["run"]["algorithm"] == "langevin"


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_state_with_a_flipped_bit_is_passed_over_with_a_sentence(tmp_path, caplog, place):
    state = StateFile(tmp_path / "state", {})
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(9, interrupt), state)
    content = bytearray(state.path.read_bytes())
    content[int(place * len(content))] ^= 1
    state.path.write_bytes(bytes(content))
    resumed = run_langevin(ToyFaceModel(), state)
    assert re.search(r"state: this .* It is not used, and the run begins at its start", caplog.text)
    assert torch.equal(resumed.latents, run_langevin(ToyFaceModel()).latents)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_sigterm_that_was_lost_in_a_destructor_still_ends_the_block():
    class Lost:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # where the handler runs; Python drops what it raises

    with pytest.raises(Terminated), terminable():
        Lost()


@pytest.mark.parametrize(
    "change",
    [
        lambda iteration, tensors: (99, tensors),
        lambda iteration, tensors: (iteration, {**tensors, "latents": tensors["latents"][:5]}),
        lambda iteration, tensors: (iteration, {**tensors, "records": tensors["records"][:, :3]}),
        lambda iteration, tensors: (iteration, {name: tensors[name] for name in tensors if name != "latents"}),
    ],
    ids=["iteration", "latents", "records", "missing"],
)
def test_a_whole_state_of_the_wrong_shape_is_refused(tmp_path, change):
    state = StateFile(tmp_path / "state", {})
    with pytest.raises(InterruptionError):
        run_langevin(FailingModel(9, interrupt), state)
    owner = StateFile(state.path, read_owner(state.path))
    saved = owner.load()
    owner.save(*change(saved.iteration, saved.tensors))
    with pytest.raises(BrownidError, match="delete it"):
        run_langevin(ToyFaceModel(), state)


def test_long_differences_are_shortened():
    (phrase,) = differences({"identities": list(range(5000))}, {"identities": list(range(4000))})
    assert phrase.startswith("identities is [0, 1, 2") and len(phrase) < 200


def test_a_state_that_cannot_be_written_names_its_path(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BrownidError, match="taken: File exists; something else is in the way"):
        StateFile(tmp_path / "taken" / "state", {}).save(1, {"latents": torch.zeros(2)})
