"""Nuisance within identities and drift of the identity, from known parameters."""

import numpy as np
import pytest
import torch

from brownid.runtime.randomness import normal
from brownid.world.anatomy import NUISANCE_GROUPS, NUISANCE_NAMES
from brownid.world.truth import nuisance_and_drift


def test_every_nuisance_parameter_is_in_one_group():
    assert sorted(name for names in NUISANCE_GROUPS.values() for name in names) == sorted(NUISANCE_NAMES)


def test_genuine_nuisance_of_the_same_persons_has_standard_deviation_one_and_no_drift(generator):
    people, owners = normal(1, "people", range(40), (88,)), np.repeat(np.arange(40), 8)
    references = generator.latents_from(people, normal(1, "start", range(40), (25,)))
    varied = generator.latents_from(people[owners], normal(1, "nuisance", range(320), (25,)))
    nuisance, drift = nuisance_and_drift(generator, references, varied, owners.tolist())
    assert nuisance.keys() == {"all", *NUISANCE_GROUPS}
    assert nuisance["all"] == pytest.approx(1, abs=0.03) and drift == pytest.approx(0, abs=1e-5)


def test_nuisance_is_pooled_over_identities_with_their_degrees_of_freedom(generator):
    owners = [2, 0, 0, 2, 2]  # no variation shows identity 1
    raw = normal(1, "nuisance", range(5), (25,))
    people = normal(1, "people", range(3), (88,))
    references = generator.latents_from(people, torch.zeros(3, 25))
    nuisance, _ = nuisance_and_drift(generator, references, generator.latents_from(people[owners], raw), owners)
    values = raw.double().numpy()
    sums = sum((len(part) - 1) * part.var(axis=0, ddof=1) for part in (values[[1, 2]], values[[0, 3, 4]]))
    stds = dict(zip(NUISANCE_NAMES, np.sqrt(sums / 3), strict=True))
    assert nuisance["pose"] == pytest.approx(np.mean([stds[name] for name in ("yaw", "pitch", "roll")]), rel=1e-4)
    assert nuisance["all"] == pytest.approx(np.mean(list(stds.values())), rel=1e-4)


def test_drift_is_the_root_mean_square_change_of_the_identity(generator):
    people, change = normal(1, "people", range(2), (88,)), torch.zeros(2, 88)
    change[0, :44] = 1.0  # of one of two variations half the parameters: mean square 1/4
    references = generator.latents_from(people, torch.zeros(2, 25))
    nuisance, drift = nuisance_and_drift(
        generator, references, generator.latents_from(people + change, torch.zeros(2, 25)), [0, 1]
    )
    assert drift == pytest.approx(0.5, rel=1e-4)
    assert nuisance == {}  # one variation per identity has no nuisance within it
