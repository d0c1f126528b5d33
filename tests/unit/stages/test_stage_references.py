"""Sampling references: every algorithm, the leak guard, the start, and inputs that are damaged."""

import h5py
import numpy as np
import pytest
from tiny_world import FACE_MODEL, IDENTITIES

from brownid.covariates.within_class import load_within_class, save_within_class
from brownid.facemodel.loading import load_generator
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.provenance import read_command

NEAR = 2e-3  # radians: more than the angle of equal rows counts as, less than between any two faces here
MOVES = {"iterations": 2, "random_force": 0.0}


def test_random_references_are_written_with_what_made_them(references):
    collection = SampleCollection.load(references)
    assert collection.identities.tolist() == list(range(IDENTITIES))
    assert (collection.generator, collection.recognition) == ("world", "slim")
    command = read_command(references.with_name("command.yml"))
    assert command["settings"]["references"]["algorithm"] == "random" and command["seed"] == 3
    assert [path.endswith("slim.safetensors") for path in command["inputs"]] == [True]


@pytest.mark.parametrize("algorithm", ["reject", "repulse"])
def test_nobody_is_accepted_beside_a_guarded_face(tmp_path, sample, references, algorithm):
    first = SampleCollection.load(references)  # the first candidates of every algorithm, so all are guarded here
    settings = {"ict": NEAR, "fixed_distance": NEAR} | ({"steps": 0} if algorithm == "repulse" else {})
    free = sample(tmp_path, algorithm, settings)
    np.testing.assert_allclose(free.latents, first.latents, atol=1e-5)
    guarded = sample(tmp_path, algorithm, settings, guarded=references)
    assert np.linalg.norm(guarded.latents[:, None] - first.latents, axis=2).min() > 0.1
    assert str(references) in read_command(tmp_path / "command.yml")["inputs"]


def test_langevin_starts_where_it_is_told_and_from_random_latents_else(tmp_path, sample, references):
    drawn = sample(tmp_path, "langevin", MOVES)
    started = sample(tmp_path, "langevin", MOVES, start=references)
    np.testing.assert_allclose(started.latents, drawn.latents, atol=1e-2)  # rounding grows with the moves
    moved = np.linalg.norm(drawn.latents - SampleCollection.load(references).latents, axis=1)
    assert (moved > 1e-3).all()


def test_langevin_moves_differently_beside_guarded_faces(tmp_path, sample, references):
    free = sample(tmp_path, "langevin", MOVES)
    guard = tmp_path / "guard.h5"
    sample(tmp_path / "other", "langevin", MOVES | {"iterations": 1})
    (tmp_path / "other" / "samples.h5").rename(guard)
    guarded = sample(tmp_path, "langevin", MOVES, start=references, guarded=guard)
    assert np.abs(guarded.latents - free.latents).max() > 1e-3


@pytest.mark.parametrize("algorithm", ["random", "reject", "repulse", "langevin"])
def test_projected_references_have_no_component_along_the_leading_within_class_directions(
    tmp_path, sample, references, within_class, algorithm
):
    settings = {"random": {"ict": 1.4}, "langevin": MOVES}.get(algorithm, {"ict": NEAR, "fixed_distance": NEAR})
    start = references if algorithm == "langevin" else None
    projected = sample(
        tmp_path, algorithm, settings, start=start, within_class=within_class, projection={"directions": 3}
    )
    mean = load_generator(FACE_MODEL["generator"]).latent_mean.cpu().numpy()
    directions = load_within_class(within_class).directions
    found, drawn = (
        (samples.latents - mean) @ directions.T for samples in (projected, SampleCollection.load(references))
    )
    np.testing.assert_allclose(found[:, :3], 0, atol=1e-5)
    assert np.abs(drawn[:, :3]).max() > 0.1
    if algorithm != "langevin":  # the others are where they were drawn, but for that
        np.testing.assert_allclose(found[:, 3:], drawn[:, 3:], atol=1e-5)
    assert str(within_class) in read_command(tmp_path / "command.yml")["inputs"]


def test_directions_that_a_file_lacks_are_named(tmp_path, sample, within_class):
    with pytest.raises(BrownidError, match="10 leading within-class directions are wanted, but there are 8"):
        sample(tmp_path, "random", {}, within_class=within_class, projection={"directions": 10})
    save_within_class(tmp_path / "other.h5", {}, generator="sg2")
    with pytest.raises(BrownidError, match=r"other\.h5 belongs to the generator 'sg2'"):
        sample(tmp_path, "random", {}, within_class=tmp_path / "other.h5", projection={"directions": 1})


def test_a_start_with_too_few_identities_is_refused(tmp_path, sample, references):
    SampleCollection.load(references).select([0, 1]).save(tmp_path / "two.h5")
    with pytest.raises(BrownidError, match=r"two\.h5 has 2 identities, but 5 are to start from it"):
        sample(tmp_path, "langevin", MOVES, start=tmp_path / "two.h5")


def test_a_start_with_nan_is_named_and_nothing_is_written(tmp_path, sample, references):
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(references.read_bytes())
    with h5py.File(damaged, "r+") as file:
        file["latents"][2, 7] = np.nan
    with pytest.raises(BrownidError, match=r"damaged\.h5: latents of identity 2, .* NaN"):
        sample(tmp_path / "out", "langevin", MOVES, start=damaged)
    assert not (tmp_path / "out").exists()
