"""A small release that the tests of this room build, damage and verify."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from brownid.exports.inventory import RECORD, write_record
from brownid.exports.joining import JoinedTrainingSet, Part
from brownid.exports.layouts import LAYOUTS
from brownid.release.contents import DatasetPart, FilePart, ModelPart, ReleaseDescription, TrainingSetPart
from brownid.release.package import build_release
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_image_shard
from brownid.samples.provenance import write_command
from brownid.samples.statistics import save_statistics
from brownid.verification.pair_scores import PairScores, write_pair_scores

DESCRIPTION = ReleaseDescription(
    name="tiny",
    description="Faces of the embedded world.",
    creator="The makers",
    licence="CC-BY-4.0",
    date="2026-01-31",
)


PEOPLE, LABELS = (0, 1, 12), ("reference", "lighting/far left")


def write_inputs(folder, people=PEOPLE, labels=LABELS, side=12):
    """Write the inputs of a release into a folder."""
    folder.mkdir(exist_ok=True)
    numbers = np.random.default_rng(3)
    identities, names = np.repeat(people, len(labels)), list(labels) * len(people)
    embeddings = numbers.standard_normal((len(names), 4))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    latents = numbers.standard_normal((len(names), 8)).astype(np.float32)
    SampleCollection(latents, embeddings.astype(np.float32), identities, names, "procedural", "slim").save(
        folder / "samples.h5"
    )
    pixels = numbers.integers(0, 256, (len(names), side, side, 3), dtype=np.uint8)
    for number, part in enumerate((slice(0, 4), slice(4, None))):
        write_image_shard(folder / f"{number}.arrow", "people", identities[part], names[part], pixels[part])
    save_statistics(folder / "stats.h5", {"timestep": [0.1, 0.2]})
    write_command(folder / "command.yml", settings={"iterations": 2}, seed=1, inputs={})
    save_file({"weight": np.eye(2, dtype=np.float32)}, folder / "model.safetensors")
    recipe = {"network": {"family": "slim", "architecture": "slim_iresnet", "image_size": 12}, "training": {"h": 0.333}}
    write_command(folder / "hyperparameters.yml", settings=recipe, seed=1, inputs={})
    (folder / "scores.json").write_text(json.dumps({"benchmarks": {"lfw": {"accuracy": 0.9}}}))
    scored = PairScores(np.array([[0, 1]]), np.array([False]), np.array([0.1], np.float32))
    write_pair_scores(folder / "pairs.parquet", {"lfw": scored}, {})
    (folder / "scores.csv").write_text("training,accuracy\nlangevin,0.87654321\n")
    for name in ("model.ckpt", "history.csv", "index.sqlite3", "train_data.png"):
        (folder / name).write_text(name)
    (folder / "plots").mkdir(exist_ok=True)
    (folder / "plots" / "roc.svg").write_text("<svg/>")


def parts_of(folder):
    """The keywords of `build_release` for the inputs in a folder."""
    return {
        "description": DESCRIPTION,
        "datasets": [
            DatasetPart(
                name="world_lang_v1",
                samples=folder / "samples.h5",
                statistics=folder / "stats.h5",
                command=folder / "command.yml",
                image_shards=(folder / "0.arrow", folder / "1.arrow"),
            )
        ],
        "models": [
            ModelPart(
                name="slim_lang/seed_1",
                checkpoint=folder / "model.ckpt",
                weights=folder / "model.safetensors",
                history=folder / "history.csv",
                hyperparameters=folder / "hyperparameters.yml",
                scores=folder / "scores.json",
                pair_scores=folder / "pairs.parquet",
                batch=folder / "train_data.png",
            )
        ],
        "files": [
            FilePart(folder / "index.sqlite3", "databases/multipie.sqlite3"),
            FilePart(folder / "plots", "figures/benchmark"),
        ],
        "score_table": folder / "scores.csv",
    }


@pytest.fixture(scope="session")
def written():
    """A function writing the inputs of a release into a folder; it returns the keywords of `build_release`."""

    def write(folder):
        write_inputs(folder)
        return parts_of(folder)

    return write


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with inputs and the release of them, that tests copy: writing waits for the disk at each file."""
    folder = tmp_path_factory.mktemp("made")
    write_inputs(folder / "material")
    build_release(folder / "release", **parts_of(folder / "material"))
    return folder


@pytest.fixture(scope="session")
def made_with_sets(tmp_path_factory):
    """A release with a training set in all layouts, that tests copy."""
    folder = tmp_path_factory.mktemp("sets")
    material = folder / "material"
    write_inputs(material)
    part = Part("world_lang_v1", (material / "0.arrow", material / "1.arrow"), material / "samples.h5")
    training_set = JoinedTrainingSet("people_set", [part])
    exports = {}
    for layout, write in LAYOUTS.items():
        exports[layout] = folder / layout / RECORD
        exports[layout].parent.mkdir()
        write(training_set, exports[layout].parent, shard_bytes=10**6, processes=1)
        write_record(exports[layout].parent, training_set, layout, 1)
    sets = [TrainingSetPart("people_set", exports)]
    build_release(folder / "release", **parts_of(material), training_sets=sets)
    return folder / "release"


@pytest.fixture
def material(made, tmp_path):
    """A function giving the inputs of a release, others with arguments; it returns the keywords of `build_release`."""

    def make(**others):
        folder = tmp_path / "material"
        if others:
            write_inputs(folder, **others)
        else:
            shutil.copytree(made / "material", folder, dirs_exist_ok=True)
        return parts_of(folder)

    return make


@pytest.fixture
def release(made, material, tmp_path):
    """A whole release in a folder."""
    material()
    shutil.copytree(made / "release", tmp_path / "release")
    return tmp_path / "release"
