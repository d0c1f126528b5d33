"""Edits change what they name and nothing else, also when the covariates are not orthogonal."""

import dataclasses

import numpy as np
import pytest

from brownid.covariates.directions import (
    CONTRASTS,
    Covariate,
    directions,
    edit_references,
    express,
    neutralise,
    sides,
    sweep,
)
from brownid.covariates.settings import EditingSettings
from brownid.runtime.errors import BrownidError

DIM = 16
RANDOM = np.random.default_rng(0)


def covariate(offset):
    normal = RANDOM.normal(size=DIM) + 0.8  # all lean the same way: far from orthogonal
    normal /= np.linalg.norm(normal)
    return Covariate(
        normal, offset, negative_mean=-1.5, positive_mean=2.0, accuracy=1, negative_count=5, positive_count=5
    )


COVARIATES = {name: covariate(offset) for offset, name in enumerate(CONTRASTS)}
LATENTS = RANDOM.normal(size=(4, DIM))


def test_neutralising_reaches_all_three_targets_at_once():
    neutral = neutralise(LATENTS, COVARIATES)
    np.testing.assert_allclose(COVARIATES["pose"].distance(neutral), 0, atol=1e-9)
    np.testing.assert_allclose(COVARIATES["illumination"].distance(neutral), 0, atol=1e-9)
    np.testing.assert_allclose(COVARIATES["smile"].distance(neutral), -1.5)


def test_neutralising_changes_nothing_outside_the_span_of_its_normals():
    change = neutralise(LATENTS, COVARIATES) - LATENTS
    normals = np.stack([COVARIATES[name].normal for name in ("pose", "illumination", "smile")])
    inside = change @ np.linalg.pinv(normals) @ normals
    np.testing.assert_allclose(change, inside, atol=1e-9)
    np.testing.assert_allclose(neutralise(LATENTS + change, COVARIATES), LATENTS + change, atol=1e-9)


def test_a_sweep_moves_along_its_normal_alone_and_evenly_to_both_sides():
    pose = COVARIATES["pose"]
    moves = sweep(LATENTS, pose, 0.5, 6) - LATENTS[:, None]
    np.testing.assert_allclose(moves - (moves @ pose.normal)[..., None] * pose.normal, 0, atol=1e-9)
    np.testing.assert_allclose((moves @ pose.normal)[2], np.linspace(-1, 1, 6), atol=1e-9)


def test_an_expression_is_as_strong_as_its_photographs_along_its_normal_alone():
    smile = COVARIATES["smile"]
    edited = express(LATENTS, smile, 1.5)
    np.testing.assert_allclose(smile.distance(edited), 3.0)
    moves = edited - LATENTS
    np.testing.assert_allclose(moves - (moves @ smile.normal)[:, None] * smile.normal, 0, atol=1e-9)


def test_references_get_two_sweeps_and_one_latent_an_expression():
    latents, labels = edit_references(LATENTS, COVARIATES)
    assert latents.shape == (4, 17, DIM)
    assert labels[:2] == ["pose_0", "pose_1"]
    assert labels[6] == "illumination_0"
    assert labels[12:] == ["smile", "scream", "disgust", "squint", "surprise"]
    alone, _ = edit_references(LATENTS[2:3], COVARIATES)
    np.testing.assert_allclose(alone[0], latents[2], atol=1e-12)


def test_every_setting_changes_the_edits():
    before, _ = edit_references(LATENTS, COVARIATES)
    for change in ({"pose_scale": 2.0}, {"illumination_scale": 2.0}, {"expression_scale": 2.0}, {"steps": 4}):
        after, _ = edit_references(LATENTS, COVARIATES, EditingSettings(**change))
        assert before.shape != after.shape or not np.allclose(before, after)


def test_directions_follow_the_order_of_the_scales():
    found = directions(COVARIATES, {"smile": 1.0, "pose": 0.5})
    np.testing.assert_allclose(found, [2.0 * COVARIATES["smile"].normal, COVARIATES["pose"].normal])


def test_a_missing_covariate_is_named():
    without = {name: item for name, item in COVARIATES.items() if name != "squint"}
    with pytest.raises(BrownidError, match="no covariate 'squint' among pose, illumination"):
        edit_references(LATENTS, without)


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"pose_scale": 0.0}, {"expression_scale": -1.0}])
def test_a_wrong_setting_is_named_with_its_value(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(BrownidError, match=f"{name} is {value}"):
        EditingSettings(**wrong)


def test_the_sides_of_a_covariate_leave_out_every_other_image():
    metadata = [{"pose": "left"}, {"pose": "frontal"}, {"pose": "right"}, {}]
    chosen, positive = sides("pose", metadata)
    assert chosen.tolist() == [True, False, True, False]
    assert positive.tolist() == [False, False, True, False]
    expressions = [{"expression": name} for name in ("neutral", "smile", "scream")]
    assert sides("scream", expressions)[0].tolist() == [True, False, True]
    assert CONTRASTS["scream"].protocol == "E_lit"


def test_a_side_without_images_is_refused_with_a_sentence():
    with pytest.raises(BrownidError, match="No image of protocol U has the illumination 'right'"):
        sides("illumination", [{"illumination": "left"}])
    with pytest.raises(BrownidError, match="no covariate 'beard'"):
        sides("beard", [])


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EditingSettings().steps = 3
