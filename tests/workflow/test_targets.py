"""A configuration names what it wants, and a target what of it is made."""

import pytest
from conftest import TINY, dry_run, pending
from snakemake_interface_logger_plugins.common import LogEvent

OWN_STYLEGAN2 = """
seed: 1
generators: {gan: {family: stylegan2, file: gan.pkl}}
networks: {arc: {family: insightface, architecture: iresnet50, weights: arc.pth}}
references: {faces: {algorithm: langevin, generator: gan, network: arc, identities: 1000}}
variations: {faces_n16: {algorithm: dispersion, references: faces, settings: {variations: 16}}}
"""
MADE = {"sample_references": 1, "vary_references": 1, "merge_variations": 1}
RENDERED = {**MADE, "render_images": 2, "show_faces": 2}


@pytest.fixture
def own(tmp_path):
    """A folder with a configuration of one's own, and placeholders of the files that it names."""
    (tmp_path / "own.yaml").write_text(OWN_STYLEGAN2)
    for name in ("gan.pkl", "arc.pth", "lfw.bin"):
        (tmp_path / name).touch()
    return tmp_path


def test_five_lines_make_faces_of_a_stylegan2_and_neither_train_nor_score_nor_release(own):
    jobs = {**RENDERED, "plot_dynamics": 2, "plot_distances": 1, "build_gallery": 2, "write_report": 1}
    assert pending(own, configfiles=(own / "own.yaml",)) == jobs
    (own / "scored.yaml").write_text("benchmarks: {lfw: {file: lfw.bin}}")
    configfiles = (own / "own.yaml", own / "scored.yaml")
    assert pending(own, configfiles=configfiles) == jobs  # the network steers, and is not scored
    scored = pending(own, "scores", "--config", "scoring={networks: [arc]}", configfiles=configfiles)
    assert scored == {"score_model": 1, "tabulate_scores": 1}


def test_a_target_makes_its_part_of_a_run_and_no_more(own):
    configfiles = (own / "own.yaml",)
    assert pending(own, "datasets", configfiles=configfiles) == MADE
    assert pending(own, "images", configfiles=configfiles) == RENDERED
    status, said = dry_run(own, "scores", configfiles=configfiles)
    assert status == 1 and "error: The target `scores` has nothing to make" in said and "Traceback" not in said


def test_data_are_made_before_scores(tmp_path, caplog):
    status, said = dry_run(tmp_path, configfiles=(TINY,))
    assert status == 0, said
    jobs = [record for record in caplog.records if getattr(record, "event", None) == LogEvent.JOB_INFO]
    urgent = {job.rule_name for job in jobs if job.priority == 1}
    assert {"train_network", "sample_references", "vary_references", "render_images", "export_training_set"} < urgent
    assert not urgent & {"train_recognition", "capture_benchmark", "score_model", "plot_dynamics"}
