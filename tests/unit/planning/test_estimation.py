"""What a run is said to take follows from its configuration by arithmetic that can be done by hand."""

from pathlib import Path

import pytest
from test_timings import TIMINGS
from typer.testing import CliRunner

from brownid.cli import app
from brownid.configuration.loading import load_configuration, merged
from brownid.configuration.products import job_counts
from brownid.planning.estimate import _hours_each, recorded
from brownid.planning.machines import MACHINES, machine, measured_machine
from brownid.planning.timings import write_timings
from brownid.planning.work import Stage, generator_gflop, network_gflop, stages
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


def test_a_training_in_several_processes_takes_the_same_gpu_hours_in_less_time(tmp_path):
    config = merged([TINY])
    (name,) = list(config["training"])[:1]
    config["training"][name]["processes"] = 4
    shared = work_of(TINY, training=config["training"])["train_recognition", name]
    alone = work_of(TINY)["train_recognition", name]
    assert shared == alone._replace(processes=4)
    assert _hours_each(shared, 8.0, machine("h100")) == _hours_each(alone, 8.0, machine("h100")) / 4
    assert _hours_each(shared, 8.0, machine("cpu")) == _hours_each(alone, 8.0, machine("cpu")), "they share the cores"
    (tmp_path / "train_recognition").mkdir()
    (tmp_path / "train_recognition" / "a.tsv").write_text("s\n10\n")
    rate = recorded(tmp_path, [alone])["train_recognition"]
    assert recorded(tmp_path, [shared])["train_recognition"] == rate / 4


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


SHARDS = Stage("render_images", "faces", 1, 1e6, encoded=1e6)


def test_a_shard_takes_as_long_as_the_slower_of_rendering_and_encoding():
    h200 = MACHINES["h200"]
    rendering, encoding = 1e6 / h200.float32 / 3600, 1e6 / h200.encoding / 3600
    assert rendering < encoding == h200.hours(SHARDS, cores=1)
    assert h200.hours(SHARDS._replace(gflop=1e9), cores=1) == pytest.approx(1e9 / h200.float32 / 3600)


def test_eight_cores_encode_faster_than_an_h200_renders_stylegan2():
    paper = work_of(PAPER)["render_images", "sg2_n10k_arc_r14_disp_n64_rl12"]
    hours = MACHINES["h200"].hours(paper, cores=8)
    assert hours == MACHINES["h200"].hours(paper, cores=1000) and paper.encoded / hours / 3600 > 2500
    assert MACHINES["h200"].hours(paper, cores=2) > hours


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float32"])
def test_what_computes_in_bfloat16_goes_at_its_rate(precision):
    def with_precision(section):
        return {name: {**entry, "precision": precision} for name, entry in merged([PAPER])[section].items()}

    name, half = "sg2_n10k_arc_r14_lang_v1", precision != "float32"
    work = work_of(PAPER, generators=with_precision("generators"), networks=with_precision("networks"))
    assert work["sample_references", name].bfloat16 == work["render_images", name].bfloat16 == half
    stage, h200 = Stage("x", "y", 1, 1e6, bfloat16=half), MACHINES["h200"]
    assert h200.hours(stage, cores=1) == pytest.approx(1e6 / (h200.bfloat16 if half else h200.float32) / 3600)


def test_a_cpu_computes_and_encodes_in_turn():
    cpu = MACHINES["cpu"]
    assert cpu.hours(SHARDS, cores=8) == pytest.approx((1e6 / cpu.float32 + 1e6 / cpu.encoding / 2) / 3600)


def test_noise_is_drawn_once_an_iteration_where_the_generator_has_random_maps():
    work = work_of(PAPER)
    assert work["sample_references", "sg2_n10k_arc_r14_lang_v1"].drawn == 10_000 * 101
    assert work["vary_references", "sg2_n10k_arc_r14_disp_n64_rl12"].drawn == 640_000 * 21
    assert not any(stage.drawn for stage in work_of(TINY).values())


def test_training_decodes_each_image_in_each_epoch_and_scoring_each_once():
    work = work_of(TINY)
    training = work["train_recognition", "fr_varied"]
    images = training.gflop / 3 / network_gflop({"architecture": "slim_iresnet", "image_size": 32})
    assert training.decoded == pytest.approx(images * (32 / 112) ** 2)
    scored = work["score_model", "fr_varied"]
    assert scored.decoded == pytest.approx(
        scored.gflop / 2 / network_gflop({"architecture": "slim_iresnet", "image_size": 32}) * (32 / 112) ** 2
    )


def test_measured_timings_are_rates(tmp_path):
    write_timings(tmp_path / "device.yaml", TIMINGS)
    found = measured_machine(tmp_path / "device.yaml")
    work = work_of(PAPER)
    langevin = work["sample_references", "sg2_n10k_arc_r14_lang_v1"]
    passes = langevin.gflop / (generator_gflop({"family": "stylegan2", "file": "256x256"}) + 12.62)
    seconds = passes / 2 / TIMINGS.force_pass_images_per_second + langevin.drawn / TIMINGS.noise_images_per_second
    assert found.hours(langevin, cores=1) == pytest.approx(seconds / 3600)
    packing = Stage("pack_references", "packed", 1, 100 * 3 * 10_000**2 * 512 / 1e9)
    assert found.hours(packing, cores=1) == pytest.approx(100 / TIMINGS.packing_iterations_per_second / 3600)
    assert (found.encoding, found.decoding) == (1000.0, 2500.0)
    assert found.source.startswith("measured on Made-up GPU")


def test_the_command_takes_timings_and_says_what_waits_for_cores(tmp_path):
    write_timings(tmp_path / "device.yaml", TIMINGS)
    words = ["estimate", "--configfile", str(PAPER), "--device", str(tmp_path / "device.yaml"), "--cores"]
    few, many = (CliRunner().invoke(app, [*words, cores]) for cores in ("1", "64"))
    assert few.exit_code == many.exit_code == 0, few.output
    assert "render_images" in "".join(line for line in few.output.splitlines() if "by the cores" in line)
    assert "by the cores" not in many.output and "million images to encode" in many.output
    assert "Noise maps" in few.output and "measured on Made-up GPU" in few.output
    both = CliRunner().invoke(app, [*words, "8", "--machine", "h200"])
    assert both.exit_code == 1 and "Name a machine (h200) or its timings" in both.output


def test_the_command_says_jobs_hours_memory_disk_and_whose_rates():
    done = CliRunner().invoke(app, ["estimate", "--configfile", str(TINY), "--machine", "cpu"])
    assert done.exit_code == 0, done.output
    for word in ("Jobs ", "GPU-hours ", "GPU memory ", "Disk ", "Rates: measured"):
        assert word in done.output
