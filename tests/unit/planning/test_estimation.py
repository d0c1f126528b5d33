"""What a run is said to take follows from its configuration by arithmetic that can be done by hand."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from brownid.cli import app
from brownid.configuration.loading import load_configuration, merged
from brownid.configuration.products import job_counts
from brownid.planning.estimate import MACHINES, generator_gflop, machine, network_gflop, recorded, stages
from brownid.runtime.errors import BrownidError
from brownid.weights.catalogue import read_catalogue

PROJECT = Path(__file__).parents[3]
TINY, PAPER = PROJECT / "tests/tiny.yaml", PROJECT / "config/paper.yaml"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(PROJECT)


def work_of(path, **changes):
    config = load_configuration({**merged([path]), **changes}, files=False)
    return {(s.rule, s.entry): s for s in stages(config, read_catalogue(config["models"]["catalogue"]))}


def test_jobs_of_the_tiny_configuration_are_those_that_snakemake_counts():
    config = load_configuration(merged([TINY]), files=False)
    jobs = job_counts(config)
    assert jobs["project_database"] == jobs["sample_references"] == 2 and jobs["pack_references"] == 1
    assert jobs["vary_references"] == jobs["index_database"] == 3 and jobs["render_images"] == 6


def test_stylegan2_at_256_pixels_costs_what_was_counted():
    assert generator_gflop({"family": "stylegan2", "file": "ffhq-256x256.pkl"}) == pytest.approx(30.07, rel=0.02)


def test_a_network_costs_as_the_area_of_its_crop():
    assert network_gflop({"architecture": "iresnet50", "image_size": 224}) == 4 * 12.62


def test_langevin_takes_three_passes_an_iteration_and_one_at_the_end():
    both = generator_gflop({"family": "stylegan2", "file": "ffhq-256x256.pkl"}) + 12.62
    stage = work_of(PAPER)["sample_references", "sg2_n10k_arc_r14_lang_v1"]
    assert stage.gflop == pytest.approx(10_000 * 301 * both)


def test_variations_take_two_passes_an_iteration_and_one_at_the_end():
    both = generator_gflop({"family": "stylegan2", "file": "ffhq-256x256.pkl"}) + 12.62
    stage = work_of(PAPER)["vary_references", "sg2_n10k_arc_r14_disp_n64_rl12"]
    assert stage.gflop == pytest.approx(640_000 * 41 * both)
    assert stage.jobs == 50


def test_each_seed_of_a_training_is_a_job_to_train_and_one_to_score():
    work = work_of(TINY)
    for rule in ("train_recognition", "score_model"):
        assert work[rule, "fr_varied"].jobs == 2
    entry = merged([TINY])["training"]["fr_varied"] | {"seeds": [1]}
    one = work_of(TINY, training={"fr_varied": entry})["train_recognition", "fr_varied"]
    assert work["train_recognition", "fr_varied"].gflop == 2 * one.gflop


def test_recorded_rates_are_work_over_seconds(tmp_path):
    work = [work_of(TINY)["vary_references", "varied"]]
    for shard in (1, 2):
        table = tmp_path / "vary_references" / f"varied.{shard}-of-2.tsv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("s\th:m:s\n2.0\t0:00:02\n")
    assert recorded(tmp_path, work) == {"vary_references": pytest.approx(work[0].gflop / 4)}


def test_a_folder_without_benchmarks_is_refused(tmp_path):
    with pytest.raises(BrownidError, match="is it logs/benchmarks of a run"):
        recorded(tmp_path, work_of(TINY).values())


def test_an_unknown_machine_is_refused_with_those_that_are_known():
    with pytest.raises(BrownidError, match="no rates for 'abacus'; known are cpu, "):
        machine("abacus")


def test_every_rate_says_whether_it_was_measured():
    assert all(named.source.startswith(("measured", "derived, not measured")) for named in MACHINES.values())


def test_the_command_says_jobs_hours_memory_disk_and_whose_rates():
    done = CliRunner().invoke(app, ["estimate", "--configfile", str(TINY), "--machine", "cpu"])
    assert done.exit_code == 0, done.output
    for word in ("Jobs ", "GPU-hours ", "GPU memory ", "Disk ", "Rates: measured"):
        assert word in done.output
