"""Loading a generator from its description."""

import sys
import types

import pytest
import torch

from brownid.errors import BrownidError
from brownid.generators import Generator, load_generator


def test_the_procedural_family_is_a_generator():
    generator = load_generator({"family": "procedural", "latent_dim": 128, "side": 32, "world_seed": 3})
    assert isinstance(generator, Generator)
    assert (generator.latent_dim, generator.resolution, generator.latent_mean.shape) == (128, 32, (128,))


def test_a_factory_gets_the_other_keys_and_the_device(monkeypatch):
    module = types.ModuleType("a_user_module")

    class Flat:
        latent_dim, latent_mean, resolution, eyes = 2, torch.zeros(2), 4, ((1, 1), (2, 1))

        def __init__(self, shade, device):
            self.shade, self.device = shade, device

        def map(self, z, truncation=1.0):
            return z

        def render(self, latents):
            return torch.full((len(latents), 3, 4, 4), self.shade)

    module.build = Flat
    module.broken = lambda device: object()
    monkeypatch.setitem(sys.modules, "a_user_module", module)
    generator = load_generator({"factory": "a_user_module:build", "shade": 0.5}, device="cpu")
    assert generator.shade == 0.5 and generator.device == "cpu"
    with pytest.raises(BrownidError, match="lacks latent_dim"):
        load_generator({"factory": "a_user_module:broken"})
    with pytest.raises(BrownidError, match="no function 'nothing'"):
        load_generator({"factory": "a_user_module:nothing"})
    with pytest.raises(BrownidError, match="does not take the settings"):
        load_generator({"factory": "a_user_module:build"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "exactly one of"),
        ({"family": "procedural", "factory": "a:b"}, "exactly one of"),
        ({"family": "procedual"}, "'procedual' is unknown"),
        ({"factory": "no_colon"}, "not of the form"),
        ({"factory": "no.such.module:f"}, "cannot be imported"),
        ({"family": "procedural", "sides": 56}, "does not take the settings"),
        ({"family": "procedural", "side": "56"}, "side is '56'"),
        ({"family": "procedural", "latent_dim": 64}, "at least 113"),
        ({"family": "procedural", "world_seed": True}, "world_seed is True"),
    ],
)
def test_a_wrong_description_is_refused_in_a_sentence(spec, message):
    with pytest.raises(BrownidError, match=message):
        load_generator(spec)
