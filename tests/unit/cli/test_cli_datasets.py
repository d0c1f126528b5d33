"""`brownid score`, `audit`, `train` and `report`: whole datasets and networks by single commands."""

import csv
import json

import numpy as np
import pytest
import yaml

from brownid import __version__
from brownid.recognition.backbones import Description, backbone
from brownid.recognition.loading import load_backbone, save_backbone
from brownid.samples import png
from brownid.samples.images import write_image_shard
from brownid.training.run import train_recognition
from brownid.training.settings import TrainingSettings
from brownid.verification.bins import write_bin

SIDE, PERSONS, EACH = 32, 6, 3
TRAINING = {"family": "slim", "epochs": 1, "batch_size": 9, "embedding_dim": 16, "milestones": ()}


def picture(person, number):
    """A face of noise: the same for a person, but for a little."""
    base = np.random.default_rng(person).integers(0, 256, (SIDE, SIDE, 3))
    other = np.random.default_rng([person, number]).integers(-20, 21, base.shape)
    return np.clip(base + other, 0, 255).astype(np.uint8)


@pytest.fixture
def people(tmp_path):
    """A folder with one folder per person."""
    for person in range(PERSONS):
        for number in range(EACH):
            path = tmp_path / "people" / f"{person}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png.encode(picture(person, number)))
    return tmp_path / "people"


@pytest.fixture
def shards(tmp_path):
    """The same images as a folder of image shards."""
    rows = [(person, number) for person in range(PERSONS) for number in range(EACH)]
    write_image_shard(
        tmp_path / "shards" / "1-of-1.arrow",
        "people",
        [person for person, _ in rows],
        [str(number) for _, number in rows],
        np.stack([picture(*row) for row in rows]),
    )
    return tmp_path / "shards"


@pytest.fixture
def benchmark(tmp_path):
    """Twenty pairs, ten of them genuine."""
    pairs = [(person, person % 2 == 0) for person in range(20)]
    images = [picture(p, 0) for person, same in pairs for p in (person, person if same else person + 50)]
    write_bin(tmp_path / "lfw.bin", [png.encode(image) for image in images], [same for _, same in pairs])
    return tmp_path / "lfw.bin"


def test_a_network_is_scored_as_by_the_workflow(run, weights, benchmark, tmp_path):
    said = run("score", weights, benchmark, "-o", tmp_path / "scores").output
    assert "| lfw | 100.00 |" in said and "| 20 |" in said
    found = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert found["benchmarks"]["lfw"]["accuracy"] == 1.0
    assert (tmp_path / "scores" / "pairs.parquet").is_file()


def test_a_network_of_another_side_is_told_what_the_benchmark_has(refusal, benchmark, tmp_path):
    save_backbone(tmp_path / "large.safetensors", backbone("slim", "slim_iresnet", 48, 16))
    said = refusal("score", tmp_path / "large.safetensors", benchmark)
    assert "lfw.bin: its images have 32 x 32 pixels" in said and "reads 48 x 48" in said


def test_weights_of_several_families_are_named_with_what_fits(refusal, benchmark, tmp_path, monkeypatch):
    fitting = [Description(family, "iresnet50", 112, 512) for family in ("insightface", "nizhib")]
    monkeypatch.setattr("brownid.recognition.loading.fitting_networks", lambda path: fitting)
    said = refusal("score", tmp_path / "arc.pt", benchmark)
    assert "fit the architecture iresnet50 of several families" in said
    assert "--set network.family=insightface or --set network.family=nizhib" in said


def test_an_audit_measures_quality_and_finds_the_faces_of_a_database(run, people, weights, tmp_path):
    database = tmp_path / "database"
    database.mkdir()
    (database / "copy.png").write_bytes((people / "3" / "1.png").read_bytes())
    (database / "other.png").write_bytes(png.encode(picture(77, 0)))
    said = run("audit", people, "-w", weights, "--against", database, "-o", tmp_path / "audit").output
    assert "18 images of 6 identities" in said and "identity consistency" in said
    with open(tmp_path / "audit" / "leaks.csv", newline="") as file:
        closest = next(csv.DictReader(file))
    assert closest["reference"] == "3/1" and closest["training_image"].endswith("copy.png")
    assert float(closest["angle"]) < 1e-3
    assert json.loads((tmp_path / "audit" / "quality.json").read_text())["figures"]["images"] == 18
    assert (tmp_path / "audit" / "leaks.png").is_file()
    with open(tmp_path / "audit" / "identities.csv", newline="") as file:
        assert [row["identity"] for row in csv.DictReader(file)] == list("012345")


def test_an_image_that_cannot_be_read_moves_no_other_photograph(run, people, weights, tmp_path, monkeypatch):
    database = tmp_path / "database"
    database.mkdir()
    (database / "a_broken.png").write_bytes(b"no image")
    (database / "copy.png").write_bytes(png.encode(picture(3, 1)))
    (database / "other.png").write_bytes(png.encode(picture(77, 0)))
    drawn = []
    monkeypatch.setattr("brownid.figures.faces.image_pairs", lambda *given, title: drawn.append(given[:3]))
    run("audit", people, "-w", weights, "--against", database, "-o", tmp_path / "audit")
    ((_, photographs, angles),) = drawn
    assert len(photographs) == len(angles)
    assert np.array_equal(photographs[0], picture(3, 1)) and angles[0] < 1e-3


def test_an_audit_against_embeddings_needs_no_images(run, refusal, people, weights, tmp_path):
    run("embed", people, "-w", weights, "-o", tmp_path / "people.h5")
    said = run("audit", people, "-w", weights, "--against", tmp_path / "people.h5").output
    assert "closest of 18 images" in said and "0.000 (1.000)" in said
    save_backbone(tmp_path / "wide.safetensors", backbone("slim", "slim_iresnet", SIDE, 24))
    said = refusal("audit", people, "-w", tmp_path / "wide.safetensors", "--against", tmp_path / "people.h5")
    assert "its embeddings have 16 numbers, those of the network 24" in said


def test_the_images_must_have_the_side_that_the_judge_reads(refusal, people, tmp_path):
    save_backbone(tmp_path / "large.safetensors", backbone("slim", "slim_iresnet", 48, 16))
    said = refusal("audit", people, "-w", tmp_path / "large.safetensors")
    assert "its images have 32 pixels a side" in said and "reads 48" in said


def test_training_on_a_folder_shards_or_by_the_library_gives_the_same_weights(run, people, shards, tmp_path):
    settings = [
        word
        for name, value in TRAINING.items()
        for word in ("--set", f"{name}={list(value) if value == () else value}")
    ]
    for source in (people, shards):
        said = run("train", source, "-o", tmp_path / f"of-{source.name}", *settings, "--threads", 1).output
        assert "18 images of 6 identities, 1 epochs" in said
    train_recognition(
        [shards / "1-of-1.arrow"],
        TrainingSettings(**TRAINING),
        seed=1,
        image_size=SIDE,
        output=tmp_path / "weights.safetensors",
        history=tmp_path / "history.csv",
    )
    expected = (tmp_path / "weights.safetensors").read_bytes()
    made = tmp_path / "of-people"
    assert [(tmp_path / f"of-{name}" / "weights.safetensors").read_bytes() for name in ("people", "shards")] == [
        expected
    ] * 2
    assert sorted(path.name for path in made.iterdir()) == [
        *("batch.png", "checkpoint.ckpt", "command.yml", "history.csv", "weights.safetensors"),
    ]
    assert load_backbone(made / "weights.safetensors").description.image_size == SIDE


def test_the_state_of_a_training_belongs_to_the_version(run, shards, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("brownid.training.run.train_recognition", lambda *_, **named: given.update(named))
    run("train", shards, "-o", tmp_path / "out")
    assert given["code"] == __version__ and given["state"] == tmp_path / "out" / "state"


def test_copies_of_a_killed_training_are_removed_and_the_record_names_the_source(run, people, tmp_path, monkeypatch):
    left = tmp_path / "trained" / ".images" / "00007.arrow"
    left.parent.mkdir(parents=True)
    left.touch()
    given = {}

    def training(shards, *_, threads, **__):
        given.update(shards=[shard.name for shard in shards], threads=threads, left=left.exists())

    monkeypatch.setattr("brownid.training.run.train_recognition", training)
    monkeypatch.setattr("brownid.jobs.workers.available_processors", lambda: 3)
    run("train", people, "-o", tmp_path / "trained")
    assert given == {"shards": ["00000.arrow"], "threads": 3, "left": False}
    assert [path.name for path in (tmp_path / "trained").iterdir()] == ["command.yml"]
    record = yaml.safe_load((tmp_path / "trained" / "command.yml").read_text())
    assert record["settings"]["source"] == str(people) and list(record["inputs"]) == [f"{people}: 00000"]


def test_trained_weights_are_not_replaced(refusal, people, tmp_path):
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "weights.safetensors").touch()
    assert "exists already" in refusal("train", people, "-o", tmp_path / "trained")


def test_a_report_needs_results(refusal, tmp_path):
    said = refusal("report", "--directory", tmp_path)
    assert said.endswith("run the workflow first, or name the folder that holds it by --directory.")
    assert ".html or .zip" in refusal("report", "-o", tmp_path / "report.pdf")
