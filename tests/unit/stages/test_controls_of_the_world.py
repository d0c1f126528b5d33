"""Ground-truth controls on a model whose embedding is a part of the latent."""

import numpy as np
import pytest
import torch

from brownid.runtime.randomness import normal
from measure_controls import covariate_control, embed_latents, separation_control, variation_control


class HalfModel:
    """Latents of 8 numbers: the first 4 are the person, all 8 are seen."""

    def embed(self, latents):
        return torch.nn.functional.normalize(latents, dim=1)

    def reset_nuisance(self, latents):
        return torch.cat([latents[:, :4], torch.zeros_like(latents[:, 4:])], dim=1)

    def attribute_direction(self, name):
        return torch.eye(8)[{"pose": 4, "smile": 5}[name]]


MODEL = HalfModel()


def test_a_gain_that_is_only_nuisance_vanishes_with_neutral_nuisance():
    people = normal(0, "test", range(12), (4,)) * 0.2
    start = torch.cat([people, torch.ones(12, 4)], dim=1)
    final = torch.cat([people, 3 * normal(0, "turned", range(12), (4,))], dim=1)
    before, after = (separation_control(MODEL, MODEL, latents) for latents in (start, final))
    assert after["as rendered"]["mean"] > before["as rendered"]["mean"] + 0.3
    assert after["neutral"] == before["neutral"]


def test_noise_has_the_radius_of_the_variations_and_does_not_depend_on_how_many_there_are():
    references = normal(0, "references", range(5), (8,)) * 3
    owners = [0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4]
    kept = references[owners] * 1.5  # farther along the same direction: the embedding does not change
    control = variation_control(MODEL, references, kept, owners, seed=3)
    assert control["variations"]["maximum"] == pytest.approx(0, abs=1e-3)
    # noise of half the reference's length turns it by at most 30 degrees
    assert 0.2 < control["noise"]["mean"] < np.pi / 6 and control["noise"]["maximum"] <= np.pi / 6 + 1e-6
    assert control == variation_control(MODEL, references, kept, owners, seed=3)


def test_covariates_are_compared_with_the_true_direction():
    diagonal = np.zeros(8)
    diagonal[[5, 6]] = 2.0
    cosines = covariate_control(MODEL, {"pose": -np.eye(8)[4], "smile": diagonal})
    assert cosines == {"pose": pytest.approx(-1), "smile": pytest.approx(0.5**0.5)}


def test_embeddings_do_not_depend_on_the_batch():
    latents = normal(0, "latents", range(10), (8,))
    np.testing.assert_array_equal(embed_latents(MODEL, latents, 3), embed_latents(MODEL, latents))
