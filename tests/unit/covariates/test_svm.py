"""A covariate is the direction between two sides, wherever the latents lie; its file gives it back."""

import dataclasses
import json

import h5py
import numpy as np
import pytest

from brownid.covariates.directions import classification_accuracy, fit_covariate, load_covariates, save_covariates
from brownid.runtime.errors import BrownidError

DIM = 20
TRUE = np.eye(DIM)[3]


def latents_of(positive, gap=3.0, shift=0.0, seed=0):
    noise = np.random.default_rng(seed).normal(size=(len(positive), DIM))
    noise[:, 3] *= 0.2
    return shift + noise + np.where(positive, gap, 0.0)[:, None] * TRUE


POSITIVE = np.arange(400) % 4 == 0
COVARIATE = fit_covariate(latents_of(POSITIVE), POSITIVE)


def test_a_known_direction_is_recovered_and_points_to_the_positive_side():
    assert COVARIATE.normal @ TRUE > 0.99
    assert np.linalg.norm(COVARIATE.normal) == pytest.approx(1)
    assert COVARIATE.negative_mean < 0 < COVARIATE.positive_mean
    assert COVARIATE.positive_mean - COVARIATE.negative_mean == pytest.approx(3.0, abs=0.1)
    assert COVARIATE.accuracy == 1
    assert (COVARIATE.negative_count, COVARIATE.positive_count) == (300, 100)


def test_the_direction_does_not_depend_on_where_the_latents_lie():
    moved = fit_covariate(latents_of(POSITIVE, shift=10.0), POSITIVE)
    np.testing.assert_allclose(moved.normal, COVARIATE.normal, atol=1e-3)
    assert moved.positive_mean == pytest.approx(COVARIATE.positive_mean, abs=0.01)


def test_swapping_the_sides_turns_the_normal_round():
    swapped = fit_covariate(latents_of(POSITIVE), ~POSITIVE)
    np.testing.assert_allclose(swapped.normal, -COVARIATE.normal, atol=1e-3)


def test_the_edit_direction_is_scaled_to_the_farther_side():
    covariate = dataclasses.replace(COVARIATE, negative_mean=-4.0, positive_mean=1.0)
    np.testing.assert_allclose(covariate.direction(0.5), 2.0 * covariate.normal)


def test_unseen_latents_are_told_apart():
    assert classification_accuracy(COVARIATE, latents_of(POSITIVE, seed=9), POSITIVE) > 0.99


@pytest.mark.parametrize(
    ("latents", "positive", "words"),
    [
        (np.ones((4, 2)), np.ones(4, bool), "both sides, but 4 of 4"),
        (np.ones((4, 2)), np.arange(4) > 1, "no direction"),
        (np.full((4, 2), np.nan), np.arange(4) > 1, "not finite"),
        (np.ones((4, 2)), np.arange(3) > 1, "do not fit"),
    ],
)
def test_latents_without_a_direction_are_refused_with_a_sentence(latents, positive, words):
    with pytest.raises(BrownidError, match=words):
        fit_covariate(latents, positive)


def test_a_file_gives_the_covariates_back(tmp_path):
    path = tmp_path / "covariates.h5"
    save_covariates(path, {"pose": COVARIATE, "smile": COVARIATE}, generator="procedural")
    loaded = load_covariates(path, generator="procedural")
    assert list(loaded) == ["pose", "smile"]
    for field in dataclasses.fields(COVARIATE):
        np.testing.assert_array_equal(getattr(loaded["pose"], field.name), getattr(COVARIATE, field.name))


def test_a_file_carries_the_settings_that_made_it_and_equal_ones_are_equal_files(tmp_path):
    for name in ("one.h5", "two.h5"):
        save_covariates(tmp_path / name, {"pose": COVARIATE}, generator="procedural", settings={"iterations": 40})
    with h5py.File(tmp_path / "one.h5") as file:
        assert json.loads(file.attrs["settings"]) == {"iterations": 40}
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    good = tmp_path / "covariates.h5"
    save_covariates(good, {"pose": COVARIATE}, generator="procedural")
    with pytest.raises(BrownidError, match="'procedural', not to 'stylegan2'"):
        load_covariates(good, generator="stylegan2")

    (tmp_path / "truncated.h5").write_bytes(good.read_bytes()[:1000])
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    save_covariates(tmp_path / "incomplete.h5", {"pose": COVARIATE}, generator="g")
    with h5py.File(tmp_path / "incomplete.h5", "a") as file:
        del file["pose"].attrs["accuracy"]
    broken = dataclasses.replace(COVARIATE, normal=np.full(DIM, np.nan))
    save_covariates(tmp_path / "broken.h5", {"pose": broken}, generator="g")
    for name, change in {
        "flat": lambda file: file.__setitem__("pose", 1.0),
        "grouped": lambda file: file.create_group("pose/normal"),
        "texts": lambda file: file["pose"].attrs.__setitem__("offset", "far"),
    }.items():
        with h5py.File(good, "r") as source, h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.attrs.update(source.attrs)
            if name == "texts":
                source.copy("pose", file)
            change(file)
    for name in ("truncated", "foreign", "incomplete", "broken", "missing", "flat", "grouped", "texts"):
        with pytest.raises(BrownidError, match=f"{name}.h5"):
            load_covariates(tmp_path / f"{name}.h5")


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "covariates.h5"
    save_covariates(path, {"pose": COVARIATE}, generator="procedural", settings={"iterations": 40})
    whole = path.read_bytes()
    places = [whole.index(COVARIATE.normal.tobytes()) + 3, whole.index(b"iterations"), whole.index(b"procedural")]
    for place in [*range(0, len(whole), 53), *places]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BrownidError, match=r"covariates\.h5"):
            load_covariates(path)
