"""The genuine world and its camera."""

import numpy as np
import pytest
import torch

from brownid.runtime.errors import BrownidError
from brownid.world.anatomy import NUISANCE, NUISANCE_NAMES, nuisance_settings
from brownid.world.people import Camera, GenuineWorld

SHARP = Camera(noise=0.0, blur=0.0, exposure=0.0)


def test_people_and_pictures_are_addressed_by_item(world):
    torch.testing.assert_close(world.people(range(3, 6)), world.people([2, 3, 4, 5])[1:], rtol=0, atol=0)
    assert not torch.equal(world.people([1]), world.people([2]))
    assert not torch.equal(world.nuisance([1], 1.0, "portraits"), world.nuisance([1], 1.0, "benchmark"))
    assert not torch.equal(world.people([1]), GenuineWorld(world.generator, seed=6).people([1]))


def test_raw_parameters_have_the_standard_deviation_asked_for(world):
    assert world.people(range(400)).std().item() == pytest.approx(1.0, abs=0.03)
    assert world.nuisance(range(1000), 1.4, "training").std().item() == pytest.approx(1.4, abs=0.04)


def test_identity_and_nuisance_are_independent(world):
    identity, nuisance = world.people(range(2000)), world.nuisance(range(2000), 1.0, "training")
    correlation = torch.corrcoef(torch.cat([identity, nuisance], dim=1).T)[: identity.shape[1], identity.shape[1] :]
    assert correlation.abs().max() < 0.12


@pytest.mark.parametrize(("name", "amount"), [("yaw", -45.0), ("light_yaw", 60.0), ("light_pitch", 40.0)])
def test_named_angles_are_degrees(world, name, amount):
    raw = world.nuisance_named(**{name: amount})
    column = NUISANCE_NAMES.index(name)
    setting = nuisance_settings(raw[None])[0, column]
    assert NUISANCE[name].of_setting(setting).item() == pytest.approx(amount, abs=1e-3)
    raw[column] = 0
    assert raw.abs().max() == 0


@pytest.mark.parametrize("amount", [-0.3, 0.0, 0.5, 1.0])
def test_named_expressions_are_shares(world, amount):
    raw = world.nuisance_named(scream=amount)
    assert nuisance_settings(raw[None])[0, NUISANCE_NAMES.index("scream")].item() == pytest.approx(amount, abs=1e-4)


@pytest.mark.parametrize(
    ("amounts", "message"), [({"jaw": 1.0}, "'jaw' is unknown"), ({"yaw": 80.0}, "between -55 and 55")]
)
def test_wrong_amounts_are_refused(world, amounts, message):
    with pytest.raises(BrownidError, match=message):
        world.nuisance_named(**amounts)


def test_a_picture_depends_on_its_item_alone(world):
    identity, nuisance = world.people(range(4)), world.nuisance(range(4), 1.0, "test")
    together = world.photograph(identity, nuisance, [7, 8, 9, 10])
    part = world.photograph(identity[2:], nuisance[2:], [9, 10])
    assert together.shape == (4, 32, 32, 3) and together.dtype == np.uint8
    assert np.abs(together[2:].astype(int) - part).max() <= 1
    other = world.photograph(identity[2:], nuisance[2:], [11, 12])
    assert np.abs(together[2:].astype(int) - other).mean() > 0.5


def test_a_camera_without_faults_copies_the_render(world):
    identity, nuisance = world.people([1]), world.nuisance([1], 0.5, "test")
    picture = world.photograph(identity, nuisance, [0], SHARP)
    with torch.no_grad():
        image = world.generator.render_parameters(identity, nuisance)
    expected = ((image + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.abs(picture.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("fault", [{"noise": 0.1}, {"blur": 3.0}, {"exposure": 0.5}])
def test_each_fault_of_the_camera_changes_the_picture(world, fault):
    identity, nuisance = world.people([1, 2]), world.nuisance([1, 2], 0.5, "test")
    faults = {"noise": 0.0, "blur": 0.0, "exposure": 0.0} | fault
    difference = world.photograph(identity, nuisance, [0, 1], Camera(**faults)).astype(int)
    assert np.abs(difference - world.photograph(identity, nuisance, [0, 1], SHARP)).mean() > 1


def test_a_camera_refuses_impossible_faults():
    with pytest.raises(BrownidError, match="camera's blur is -1"):
        Camera(blur=-1)


def test_a_photograph_needs_rows_that_match(world):
    with pytest.raises(BrownidError, match="as many identities"):
        world.photograph(world.people([1]), world.nuisance([1, 2], 1.0, "test"), [1])


def test_the_genuine_world_needs_the_procedural_generator():
    with pytest.raises(BrownidError, match="not str"):
        GenuineWorld("stylegan2", seed=1)
