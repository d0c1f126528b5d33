"""The tiny run makes a sound release by way of every rule, and mistakes stop it with a sentence."""

import json
import re
import shutil
from itertools import pairwise

import pandas as pd
import pytest
from conftest import PROJECT, TINY, snakemake
from typer.testing import CliRunner

from brownid.cli import app
from brownid.release.verify import verify
from brownid.samples.collection import SampleCollection
from brownid.verification.bins import read_bin


def test_the_release_is_sound(tiny_run):
    assert verify(tiny_run / "results/release/tiny") == []


def test_a_training_set_is_exported_from_the_run_and_from_its_release_alike(tiny_run, tmp_path):
    sources = {
        "run": ["varied", "--directory", tiny_run, "--configfile", TINY],
        "release": [tiny_run / "results/release/tiny", "--set", "varied"],
    }
    for name, words in sources.items():
        options = ["--to", "recordio", "-o", tmp_path / name]
        done = CliRunner().invoke(app, ["export", *map(str, [*words, *options])], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in sources]
    assert contents[0] == contents[1] and contents[0]["property"] == b"6,32,32\n"
    assert b"\tmoved/00000/reference.png\t0\n" in contents[0]["train.tsv"]


def test_every_rule_has_run(tiny_run):
    text = "".join(path.read_text() for path in (PROJECT / "workflow/rules").glob("*.smk"))
    rules = set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
    own = {"prepare_benchmark"}  # needs files of the user's, see below
    assert rules - own == {path.stem for path in (tiny_run / "logs").iterdir()} - {"benchmarks"}


def test_every_log_begins_with_version_and_threads(tiny_run):
    for log in (tiny_run / "logs").rglob("*.log"):
        assert re.match(r"[\d:]+ brownid \d", log.read_text()), log


def test_the_shards_of_a_dataset_make_up_all_its_identities(tiny_run):
    references = SampleCollection.load(tiny_run / "results/references/moved/samples.h5")
    variations = SampleCollection.load(tiny_run / "results/variations/varied/samples.h5")
    assert sorted(variations.identities) == sorted(2 * list(references.identities))


def test_scores_are_there_for_every_network_and_benchmark(tiny_run):
    table = pd.read_csv(tiny_run / "results/tables/evaluation/scores.csv")
    assert set(table.network) == {"fr_varied/seed_1", "fr_varied/seed_2", "steering", "judge"}
    assert table.accuracy.between(0, 1).all()
    scores = json.loads((tiny_run / "results/scores/evaluation/fr_varied/seed_1.json").read_text())
    assert scores["benchmarks"]["lfw"]["pairs"] == 20


def test_the_judge_measures_every_dataset_and_the_genuine_database(tiny_run):
    table = pd.read_csv(tiny_run / "results/tables/quality.csv", index_col="dataset")
    assert set(table.index) == {"rejected", "moved", "packed", "varied", "packed_varied", "strangers"}
    pairs = table.loc[
        ["varied", "packed_varied", "strangers"], ["genuine_mean", "nearest_impostor_mean", "wasserstein"]
    ]
    assert pairs.notna().all().all()
    assert (tiny_run / "results/release/tiny/scores/quality.csv").exists()


def test_development_benchmarks_are_scored_when_asked_for_and_alone(copied_run):
    assert not list((copied_run / "results/benchmarks").glob("lfw_dev*"))
    shutil.rmtree(copied_run / "results/scores")
    (copied_run / "results/benchmarks/lfw.32.bin").unlink()
    status, said = snakemake(copied_run, "development")
    assert status == 0, said
    assert set(pd.read_csv(copied_run / "results/tables/development/scores.csv").benchmark) == {"lfw_dev"}
    assert not (copied_run / "results/scores/evaluation").exists()
    assert not (copied_run / "results/benchmarks/lfw.32.bin").exists()


def test_the_controls_compare_with_the_ground_truth(tiny_run):
    controls = pd.read_csv(tiny_run / "results/tables/controls.csv")
    assert set(controls.control) == {
        *("nearest-neighbour angle", "angle to the reference", "cosine with the true direction"),
        *("true nuisance within an identity", "true identity drift"),
    }
    assert controls.value.notna().all()


@pytest.mark.parametrize(
    ("overlay", "sentence"),
    [
        ("references: {moved: {settings: {iteratons: 3}}}", "there is no key 'iteratons'; did you mean 'iterations'?"),
        ("references: {moved: {settings: {random_force: 1e-2}}}", "'1e-2' is not of type number"),
        ("variations: {varied: {references: mooved}}", "there is no entry 'mooved' under references"),
        ("references: {rejected: {algorithm: langevin, start: moved}}", "in a circle"),
    ],
)
def test_a_wrong_configuration_stops_before_any_work(tmp_path, overlay, sentence):
    (tmp_path / "overlay.yaml").write_text(overlay)
    status, said = snakemake(tmp_path, configfiles=(TINY, tmp_path / "overlay.yaml"))
    assert status != 0
    assert sentence in said
    assert not (tmp_path / "results").exists()


def test_a_benchmark_of_ones_own_is_prepared(copied_run, tmp_path):
    people = sorted((copied_run / "results/databases/strangers/images").glob("*/000.png"))[:11]
    paths = [path.relative_to(copied_run).as_posix() for path in people]
    lines = [f"{first},{second},{number % 2}" for number, (first, second) in enumerate(pairwise(paths))]
    (copied_run / "pairs.csv").write_text("\n".join(["path1,path2,same", *lines]))
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("benchmarks: {own: {folder: ., pairs: pairs.csv, alignment: {template: ffhq}}}")
    status, said = snakemake(copied_run, "--until", "prepare_benchmark", configfiles=(TINY, overlay))
    assert status == 0, said
    assert len(read_bin(copied_run / "results/benchmarks/own.two_eye_32.bin")[1]) == 10
    assert (copied_run / "results/benchmarks/own.two_eye_32.failures.csv").read_text() == "path,reason\n"


def test_a_damaged_input_fails_with_its_name_and_leaves_no_output(copied_run):
    weights = copied_run / "results/networks/steering/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    status, said = snakemake(
        copied_run, "--keep-going", "--forcerun", "sample_references", "--until", "sample_references"
    )
    assert status != 0
    assert "error: " in said and "weights.safetensors" in said
    assert not (copied_run / "results/references/rejected/samples.h5").exists()
