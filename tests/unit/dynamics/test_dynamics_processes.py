"""One, two and three processes that share a run end with the same latents, and fail together."""

import dataclasses
import os
import signal

import pytest
import torch
from forked import in_processes
from slow_dynamics import ToyFaceModel, random_latents

from brownid.dynamics.langevin import langevin
from brownid.dynamics.settings import LangevinSettings
from brownid.jobs.resume import StateFile
from brownid.runtime.errors import BrownidError

SETTINGS = LangevinSettings(
    iterations=4, repulsion_coefficient=2.0, random_force=0.1, force_clip=2.0, fixed_distance=0.9
)


class BrokenModel(ToyFaceModel):
    """NaN for one latent from the second iteration on: one process alone sees it."""

    def embed(self, latents):
        embeddings = super().embed(latents)
        return torch.where((latents[:, :1] == self.broken) & (len(self.batches) > 0), torch.nan, embeddings)


def outcome(group, settings=SETTINGS, state=None, model=None):
    fixed = random_latents(5, 4, seed=2)
    model = ToyFaceModel() if model is None else model
    result = langevin(
        model, random_latents(11, 6), settings, seed=5, fixed_embeddings=fixed, batch_size=3, group=group, state=state
    )
    statistics = {name: torch.from_numpy(values) for name, values in result.statistics.items()}
    numbers = {"latents": result.latents, "embeddings": result.embeddings, **statistics}
    return {name: values.tolist() for name, values in numbers.items()}, len(model.batches)


@pytest.fixture(scope="module")
def alone():
    from brownid.jobs.distributed import SINGLE

    return {name: outcome(SINGLE, dataclasses.replace(SETTINGS, neighbours=name)) for name in ("current", "previous")}


def assert_close(found, expected):
    for name, values in expected.items():
        torch.testing.assert_close(
            torch.tensor(found[name]), torch.tensor(values), msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("neighbours", ["current", "previous"])
def test_several_processes_give_the_result_of_one(size, neighbours, alone):
    settings = dataclasses.replace(SETTINGS, neighbours=neighbours)
    found = in_processes(size, lambda group: outcome(group, settings))
    for numbers, _ in found:
        assert_close(numbers, alone[neighbours][0])
        assert numbers == found[0][0]  # to the last bit: the processes never drift apart


def test_the_processes_share_the_passes(alone):
    found = in_processes(3, outcome)
    assert sum(passes for _, passes in found) <= alone["current"][1] + 3 * 2 * (SETTINGS.iterations + 1)
    assert max(passes for _, passes in found) < alone["current"][1] / 2


@pytest.mark.parametrize("stopped", ["both", "one, killed hard"])
def test_a_state_of_two_processes_goes_on_in_three_and_in_one(tmp_path, alone, stopped):
    class Stopping(ToyFaceModel):
        def embed(self, latents):
            if len(self.batches) == 10:
                if stopped != "both":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise KeyboardInterrupt
            return super().embed(latents)

    def interrupted(group):
        model = ToyFaceModel() if stopped != "both" and group.rank == 0 else Stopping()
        try:
            outcome(group, model=model, state=StateFile(tmp_path / "state", {}, iterations=100))
        except BaseException as error:  # one may have been stopped, and the other have lost its partner
            return type(error).__name__

    found = in_processes(2, interrupted)
    assert ("KeyboardInterrupt" in found) if stopped == "both" else found == ["RuntimeError", None]
    kept = (tmp_path / "state").read_bytes()
    for size in (1, 3):
        (tmp_path / "state").write_bytes(kept)
        for numbers, passes in in_processes(
            size, lambda group: outcome(group, state=StateFile(tmp_path / "state", {}))
        ):
            assert_close(numbers, alone["current"][0])
            assert passes < alone["current"][1]


def test_nan_on_one_process_stops_all_with_the_same_sentence():
    model = BrokenModel()
    model.broken = random_latents(11, 6)[9, 0]
    found = in_processes(2, lambda group: outcome(group, model=model))
    assert all(isinstance(error, BrownidError) for error in found), found
    assert {str(error).partition(" is not finite")[0] for error in found} == {"The embedding on identity 9"}


def test_an_infinite_force_on_one_process_stops_all_with_the_same_sentence():
    class SteepModel(ToyFaceModel):
        """Embeddings are finite, but one identity's derivative is not."""

        def embed(self, latents):
            marked = latents[:, :1] == random_latents(11, 6)[9, 0]
            return (
                super().embed(latents) + torch.where(marked, latents[:, :1] - latents[:, :1].detach(), 0).abs().sqrt()
            )

    found = in_processes(2, lambda group: outcome(group, model=SteepModel()))
    assert all(isinstance(error, BrownidError) for error in found), found
    assert {str(error).partition(" is not finite")[0] for error in found} == {"The force on identity 9"}


def test_more_processes_than_identities_are_refused():
    found = in_processes(2, lambda group: langevin(ToyFaceModel(), random_latents(1, 6), SETTINGS, seed=1, group=group))
    assert all(isinstance(error, BrownidError) for error in found)
