"""`brownid pack` and `invert`: embeddings of eight numbers apart, and faces of 32 pixels for embeddings."""

import dataclasses

import numpy as np
import pytest

from brownid.cli.inversion import draw_faces
from brownid.databases.decoding import load_rgb
from brownid.embeddings.distances import nearest_angles, row_angles
from brownid.facemodel.loading import load_face_model
from brownid.samples.collection import SampleCollection
from brownid.samples.statistics import load_statistics

WORLD = {"family": "procedural", "image_size": 32, "latent_dim": 128}
LIMITED = ["--set", "iterations=0", "--set", "maximum_angle=1"]
SMALL = ["--set", "generator.image_size=32", "--set", "generator.latent_dim=128"]
FEW = ["--set", "iterations=40", "--set", "learning_rate=0.05"]


def collection(path, embeddings, labels, recognition="slim", **more):
    places = {label: 0 for label in labels}
    identities = []
    for label in labels:
        identities.append(places[label])
        places[label] += 1
    SampleCollection(
        **{"latents": None, "embeddings": embeddings, "identities": identities, "labels": labels, **more},
        generator="",
        recognition=recognition,
    ).save(path)
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Five embeddings to start from and seven of a gallery, in one file."""
    rows = np.random.default_rng(3).normal(size=(12, 8))
    made_by = {"generator": WORLD, "seed": 4}
    path = tmp_path_factory.mktemp("both") / "both.h5"
    return collection(path, rows, ["gallery"] * 7 + ["start"] * 5, settings=made_by)


@pytest.fixture(scope="module")
def model(weights):
    network = {"template": "arcface", "precision": "float32"}
    return load_face_model({"generator": WORLD, "network": network}, weights)


@pytest.fixture(scope="module")
def random_faces(model, tmp_path_factory):
    """Twelve random faces of a world that the file names, embedded with the slim network."""
    path = tmp_path_factory.mktemp("random") / "faces.h5"
    drawn = draw_faces(model, 12, seed=5, batch_size=12)
    dataclasses.replace(drawn, generator="world", recognition="slim", settings={"generator": WORLD}).save(path)
    return path


@pytest.fixture
def targets(random_faces, tmp_path):
    """The embeddings of three of these faces, and the opposite of the first, which no face comes near to."""
    own = SampleCollection.load(random_faces).embeddings[[4, 0, 9]]
    return collection(tmp_path / "targets.h5", np.concatenate([own, -own[:1]]), ["reference"] * 4)


def test_packing_parts_neighbours_and_tells_by_how_much(run, both, tmp_path):
    out, curves, values = (tmp_path / name for name in ("packed.h5", "curves.png", "stats.h5"))
    told = run("pack", both, "-o", out, *FEW, "--plot", curves, "--statistics", values).stdout
    packed, begun = SampleCollection.load(out), SampleCollection.load(both).of_label("start")
    before, after = (nearest_angles(part.embeddings)[1] for part in (begun, packed))
    assert after.min() > before.min() and after.mean() > before.mean()
    lines = {line[:34].strip(): line[34:].split() for line in told.splitlines()}
    assert lines["nearest neighbour, smallest"] == [f"{before.min():.3f}", f"{after.min():.3f}"]
    assert lines["nearest neighbour, mean"] == [f"{before.mean():.3f}", f"{after.mean():.3f}"]
    assert lines["largest possible smallest angle"] == [f"{np.arccos(-1 / 4):.3f}"]  # the simplex of five
    assert "nearest of the gallery, mean" not in lines
    assert load_statistics(values)["iteration"][-1] == 40 and load_rgb(curves).size


def test_the_packed_are_numbered_references_of_the_same_network(run, both, tmp_path):
    run("pack", both, "-o", tmp_path / "packed.h5", "--identities", 4, *FEW)
    packed = SampleCollection.load(tmp_path / "packed.h5")
    assert packed.latents is None and packed.identities.tolist() == [0, 1, 2, 3]
    assert packed.labels == ["reference"] * 4 and packed.recognition == "slim"
    assert packed.settings["generator"] == WORLD and packed.settings["packing"]["iterations"] == 40


def test_a_gallery_keeps_the_packed_nearer_to_itself(run, both, tmp_path):
    ends = []
    for coefficient in (0.0, 2.0):
        words = ["pack", both, "--gallery", both, "--set", f"gallery_coefficient={coefficient}", *FEW, "--overwrite"]
        line = next(line for line in run(*words, "-o", tmp_path / "packed.h5").stdout.splitlines() if "gallery" in line)
        ends.append(float(line.split()[-1]))
    assert ends[1] < ends[0]


def test_no_iterations_leave_the_start_as_it_is(run, both, tmp_path):
    words = ["--set", "iterations=0", "--set", "batch=3", "--set", "repulsion=closest"]
    run("pack", both, "-o", tmp_path / "packed.h5", *words)
    packed, begun = SampleCollection.load(tmp_path / "packed.h5"), SampleCollection.load(both).of_label("start")
    unit = begun.embeddings / np.linalg.norm(begun.embeddings, axis=1, keepdims=True)
    assert row_angles(packed.embeddings, unit).max() < 1e-6


def test_bad_requests_to_pack_are_refused(refusal, both, embedded, faces, tmp_path):
    words = ["pack", both, "-o", tmp_path / "packed.h5"]
    assert "5: ask for fewer --identities" in refusal(*words, "--identities", 6)
    assert "repulsion" in refusal(*words, "--set", "repulsion=none")
    assert "batch is 6" in refusal(*words, "--set", "batch=6")
    assert "the collection has no embeddings" in refusal("pack", faces / "samples.h5", "-o", tmp_path / "packed.h5")
    assert "--overwrite" in refusal(*words, "--plot", both)
    rows = np.eye(4)
    other = collection(tmp_path / "other.h5", np.eye(8), ["reference"] * 8, recognition="another")
    assert "'slim' in" in refusal(*words, "--gallery", other)
    narrow = collection(tmp_path / "narrow.h5", rows, ["reference"] * 4, recognition="")
    assert "numbers: 8 in" in refusal(*words, "--gallery", narrow)
    assert not (tmp_path / "packed.h5").exists()


def test_targets_that_faces_have_are_found_and_others_left_out(run, random_faces, weights, targets, tmp_path):
    out, sheet = tmp_path / "found.h5", tmp_path / "found.png"
    words = ["invert", targets, "--faces", random_faces, "-w", weights, *LIMITED]
    result = run(*words, "-o", out, "--sheet", sheet)
    found, drawn = SampleCollection.load(out), SampleCollection.load(random_faces)
    np.testing.assert_array_equal(found.latents, drawn.latents[[4, 0, 9]])  # the nearest faces are those themselves
    assert found.identities.tolist() == [0, 1, 2] and found.generator == "world" and found.recognition == "slim"
    assert found.extra["target_angle"].max() < 1e-2
    np.testing.assert_allclose(found.extra["target_embedding"], drawn.embeddings[[4, 0, 9]])
    assert "3 of 4 are within 1 radians" in result.stdout and "left out: identity 3, " in result.stdout
    assert load_rgb(sheet).size


def test_the_search_comes_nearer_from_faces_that_it_draws_itself(run, weights, targets, tmp_path):
    options = [*SMALL, "--identities", "0-1", "--random-faces", 3]
    words = ["invert", targets, "-w", weights, "-o", tmp_path / "found.h5", *options]
    told = run(*words, "--set", "iterations=4", "--set", "network.name=mine").stdout.splitlines()
    begun, ended = (float(line.split()[-2]) for line in told[1:3])
    assert ended < begun and "left out" not in "".join(told)
    found = SampleCollection.load(tmp_path / "found.h5")
    assert len(found) == 2 and found.generator == "procedural" and found.recognition == "mine"
    assert found.extra["target_angle"].mean() == pytest.approx(ended, abs=1e-3)


def test_bad_requests_to_invert_are_refused(refusal, faces, random_faces, weights, targets, embedded, tmp_path):
    words = ["invert", targets, "-w", weights, "-o", tmp_path / "found.h5", "--set", "iterations=1"]
    given = [*words, "--faces", random_faces]
    assert "--random-faces" in refusal(*given, "--random-faces", 3)
    assert "no gradient" in refusal(*words, "--generator", "arc2face").lower()
    assert "the generator's have 130" in refusal(*given, "--set", "generator.latent_dim=130")
    assert "latent_weight" in refusal(*given, "--set", "latent_weight=-1")
    assert "the collection has no latents" in refusal(*words, "--faces", targets, "--set", "generator.image_size=32")
    assert "numbers: 16 in" in refusal(*words, "--faces", embedded)
    assert "those of" in refusal("invert", embedded, *words[2:], "--set", "generator.image_size=32")
    assert "None of 1 embeddings" in refusal(*given, "--identities", "3", "--set", "maximum_angle=0.5")
    assert not (tmp_path / "found.h5").exists()


def test_random_faces_of_another_network_are_refused(refusal, random_faces, weights, targets, tmp_path):
    drawn, path = SampleCollection.load(random_faces), tmp_path / "mirrored.h5"
    dataclasses.replace(drawn, embeddings=-drawn.embeddings).save(path)
    words = ["invert", targets, "-w", weights, "-o", tmp_path / "found.h5", "--faces", path]
    assert "embedded again, are 3.14 radians" in refusal(*words)
