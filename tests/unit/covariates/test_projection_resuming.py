"""A projection that is interrupted goes on to the same bits, and takes smaller batches where the memory runs out."""

import os
import signal

import pytest
import torch

from brownid.covariates.features import pixel_pyramid
from brownid.covariates.projection import project
from brownid.covariates.settings import ProjectionSettings
from brownid.jobs.resume import StateFile, Terminated
from brownid.runtime.errors import BrownidError

SETTINGS = ProjectionSettings(iterations=6, noise_maps=True, space="w_plus")
OWNER = {"settings": "these"}


class Interrupted:
    """A face model whose rendering does something at a given call."""

    needs_noise_key = False

    def __init__(self, model, call, event):
        self.model, self.generator, self.latent_mean = model, model.generator, model.latent_mean
        self.call, self.event = call, event

    def render(self, latents, **keywords):
        self.call -= 1
        if self.call == 0:
            self.event()
        return self.model.render(latents, **keywords)


def crash():
    raise KeyError("the model broke")


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def run(model, path=None, every=1, batch_size=2):
    state = None if path is None else StateFile(path, OWNER, iterations=every)
    targets = torch.linspace(-1, 1, 5).view(5, 1, 1, 1).expand(5, 3, 8, 8)
    shared = {"features": pixel_pyramid(1), "seed": 1, "items": range(5), "latent_std": 1.0}
    return project(model, targets, model.latent_mean, SETTINGS, **shared, batch_size=batch_size, state=state)


@pytest.fixture(scope="module")
def calm(stylegan2):
    return run(stylegan2)


# a batch of two renders six times and for a last look: the calls fall into each of the three batches and between them
@pytest.mark.parametrize(
    ("event", "error", "calls"),
    [
        (crash, KeyError, (3,)),
        (crash, KeyError, (7,)),
        (crash, KeyError, (8,)),
        (terminate, Terminated, (10, 3, 2)),
        (terminate, Terminated, (17,)),
    ],
)
def test_an_interrupted_projection_goes_on_to_the_same_bits(stylegan2, calm, tmp_path, event, error, calls):
    path = tmp_path / "state.safetensors"
    for call in calls:
        with pytest.raises(error):
            run(Interrupted(stylegan2, call, event), path, every=1000)
        assert path.exists()
    result = run(stylegan2, path)
    assert torch.equal(result.latents, calm.latents) and torch.equal(result.losses, calm.losses)


def test_a_state_saved_on_the_way_is_enough(stylegan2, calm, tmp_path, monkeypatch):
    """A hard kill saves nothing at the end, so the last regular state must do."""
    path = tmp_path / "state.safetensors"
    with monkeypatch.context() as hard, pytest.raises(KeyError):
        saved = StateFile.save
        hard.setattr(StateFile, "save", lambda self, done, tensors: saved(self, done, tensors) if done < 11 else None)
        run(Interrupted(stylegan2, 12, crash), path, every=3)
    assert StateFile(path, OWNER).load().tensors["place"].tolist() == [2, 7, 4, 2]
    result = run(stylegan2, path)
    assert torch.equal(result.latents, calm.latents)


def test_what_is_done_is_not_done_again(stylegan2, tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(KeyError):
        run(Interrupted(stylegan2, 15, crash), path)  # the first iteration of the third batch
    counted = Interrupted(stylegan2, 10**6, crash)
    run(counted, path)
    assert 10**6 - counted.call == SETTINGS.iterations + 1


def test_smaller_batches_are_taken_where_the_memory_runs_out(stylegan2, calm, caplog):
    class Small(Interrupted):
        def render(self, latents, **keywords):
            if len(latents) > self.call:
                raise MemoryError("out of memory")
            return self.model.render(latents, **keywords)

    found = run(Small(stylegan2, 2, None), batch_size=4)
    assert torch.equal(found.latents, calm.latents)
    assert "out of memory with 4 images at a time, going on with 2" in caplog.text
    with pytest.raises(BrownidError, match="Not even one image"):
        run(Small(stylegan2, 0, None))
