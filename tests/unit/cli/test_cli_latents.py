"""`brownid project` and `edit` in a world of 32 pixels."""

import numpy as np
import pytest

from brownid.covariates.directions import load_covariates
from brownid.covariates.settings import WarmStartSettings
from brownid.covariates.warm_start import fit_warm_start
from brownid.databases.decoding import load_rgb
from brownid.facemodel.loading import load_generator
from brownid.samples.collection import SampleCollection

WORLD = ["--set", "generator.image_size=32", "--set", "generator.latent_dim=128"]


@pytest.fixture(scope="module")
def warm_start(weights, tmp_path_factory):
    """A warm start fitted on a few faces of the world."""
    from brownid.facemodel.loading import crop_for
    from brownid.facemodel.model import GeneratorFaceModel
    from brownid.recognition.loading import load_backbone

    generator = load_generator({"family": "procedural", "image_size": 32, "latent_dim": 128})
    model = GeneratorFaceModel(generator, crop_for(generator, "arcface", 32), load_backbone(weights))
    path = tmp_path_factory.mktemp("warm") / "warm_start.safetensors"
    settings = WarmStartSettings(samples=32, pixel_side=4)
    fit_warm_start(model, settings, seed=1).save(path)
    return path


def test_projection_comes_closer_and_writes_latents_and_picture(run, faces, weights, tmp_path):
    image, out = faces / "images" / "00000.png", tmp_path / "latents.h5"
    words = ["project", image, "-w", weights, *WORLD]
    short = run(*words, "--set", "iterations=1", "--picture", tmp_path / "a.png")
    long = run(
        *words, "--set", "iterations=12", "-o", out, "--picture", tmp_path / "b.png", "--set", "generator.name=world"
    )
    losses = [float(result.stdout.split("loss ")[1].split(",")[0]) for result in (short, long)]
    assert losses[1] < losses[0] and "mean latent" in long.stderr
    found = SampleCollection.load(out)
    assert found.latents.shape == (1, 128) and found.generator == "world" and len(found.embeddings) == 1
    assert load_rgb(tmp_path / "b.png").shape[1] > 3 * 112


def test_a_warm_start_is_used(run, faces, weights, warm_start, tmp_path):
    words = ["project", faces / "images", "-w", weights, *WORLD, "--set", "iterations=1", "--warm-start", warm_start]
    result = run(*words, "-o", tmp_path / "latents.h5")
    assert "mean latent" not in result.stderr
    assert len(SampleCollection.load(tmp_path / "latents.h5")) == 3


def test_bad_requests_to_project_are_refused(refusal, faces, weights, warm_start, tmp_path):
    words = ["project", faces / "images" / "00000.png", "-w", weights, "--set", "iterations=1"]
    out = ["-o", tmp_path / "latents.h5"]
    assert "--picture FILE.png" in refusal(*words)
    assert "none: cannot be read" in refusal(*words, *WORLD, "--warm-start", tmp_path / "none", *out)
    other = ["--set", "generator.image_size=32", "--set", "generator.latent_dim=130"]
    assert "predicts latents of 128" in refusal(*words, *other, "--warm-start", warm_start, *out)
    assert "learning_rate" in refusal(*words, *WORLD, "--set", "learning_rate=0", *out)
    assert "--overwrite" in refusal(*words, *WORLD, "-o", faces / "samples.h5")
    assert not (tmp_path / "latents.h5").exists()


def test_editing_everything_gives_one_neutral_latent_two_sweeps_and_five_expressions(run, faces, covariates, tmp_path):
    out, sheet = tmp_path / "edited.h5", tmp_path / "edited.png"
    run(
        "edit", faces / "samples.h5", covariates, "--identities", "0-1", "--set", "steps=3", "-o", out, "--sheet", sheet
    )
    edited = SampleCollection.load(out)
    assert len(edited) == 2 * (1 + 3 + 3 + 5) and edited.labels[:3] == ["neutral", "pose_0", "pose_1"]
    neutral = edited.of_label("neutral").latents
    fitted = load_covariates(covariates)
    assert np.allclose(fitted["pose"].distance(neutral), 0, atol=1e-5)
    assert np.allclose(fitted["smile"].distance(neutral), -1, atol=1e-5)
    assert load_rgb(sheet).shape[1] > 12 * 112


def test_only_names_the_edits_to_make(run, faces, covariates, tmp_path):
    out = tmp_path / "poses.h5"
    run("edit", faces / "samples.h5", covariates, "--only", "pose", "--only", "smile", "--set", "steps=2", "-o", out)
    edited = SampleCollection.load(out)
    assert edited.labels == ["pose_0", "pose_1", "smile"] * 3 and edited.generator == "procedural"
    run("generate", "--samples", out, "--sheet", tmp_path / "sheet.png")  # the edits know their generator


def test_bad_requests_to_edit_are_refused(refusal, faces, covariates, embedded, tmp_path):
    words, out = ["edit", faces / "samples.h5", covariates], ["-o", tmp_path / "edited.h5"]
    assert "--sheet FILE.png" in refusal(*words)
    assert "no such edit" in refusal(*words, "--only", "age", *out)
    assert "steps is 1" in refusal(*words, "--set", "steps=1", *out)
    assert "belongs to the generator 'procedural'" in refusal("edit", embedded, covariates, *out)
    assert "there is no such file" in refusal("edit", faces / "samples.h5", tmp_path / "none.h5", *out)
    assert not (tmp_path / "edited.h5").exists()
