"""The configurations of the project make sensible plans, on placeholders of the files that they name."""

from pathlib import Path

import yaml
from conftest import PROJECT, pending

from brownid.configuration.loading import load_configuration, merged, own_paths
from brownid.configuration.products import job_counts

PAPER, HYPERFACE = (PROJECT / "config" / name for name in ("paper.yaml", "hyperface.yaml"))
EMBEDDED, FULL = (PROJECT / "config" / name for name in ("config.yaml", "embedded-full.yaml"))
LEFT_OUT = ("models/vgg16.pt", "models/stylegan2-ffhq-256x256.pkl")  # and to be fetched

PLAN = {
    "fetch_model": 2,
    "index_database": 3,  # Multi-PIE, FFHQ, WebFace
    "align_database": 8 + 32,
    "embed_dataset": 1,  # FFHQ, the leak guard
    "project_database": 100,
    "fit_covariates": 1,
    "fit_within_class": 1,
    "show_within_class": 1,
    "sample_references": 3,
    "vary_references": 3 * 50 + 2 * 150,  # Dispersion, DisCo and within-class; the last two of 30 000 identities too
    "merge_variations": 5,
    "render_images": 4 + 12 + 4 + 3 * 50 + 2 * 150,
    "train_recognition": 7,
    "score_model": 8,  # and the published network
    "tabulate_scores": 1,
    "plot_dynamics": 8,
    "plot_distances": 5,
    "show_faces": 8,
    "build_gallery": 8,
    "write_report": 1,
    "audit_leaks": 1,
    "export_training_set": 7,
    "package_release": 1,
    "verify_release": 1,
}

PACKED_PLAN = {
    "sample_references": 4,  # random faces of two generators, 10 000 and 50 000
    "embed_faces": 1,
    "pack_references": 6,
    "invert_embeddings": 6,
    "measure_packing": 6,
    "vary_references": 4 * 50 + 2 * 250,
    "merge_variations": 6,
    "render_images": 4 * (4 + 50) + 2 * (20 + 250),
    "train_recognition": 6,
    "score_model": 8,
    "tabulate_scores": 1,
    "plot_dynamics": 7,
    "plot_distances": 6,
    "show_faces": 12,
    "build_gallery": 12,
    "write_report": 1,
    "export_training_set": 4,
    "package_release": 1,
    "verify_release": 1,
}


def place(configuration, folder, left_out=()):
    """Make empty files and folders where a configuration looks for the user's own."""
    config = yaml.safe_load(configuration.read_text())
    for own in own_paths(load_configuration(config, files=False)):
        there = folder / own.path
        assert not Path(own.path).is_absolute()
        if own.is_folder:
            there.mkdir(parents=True, exist_ok=True)
        elif own.path not in left_out:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch()


def test_the_published_configuration_dry_runs_on_placeholders(tmp_path):
    place(PAPER, tmp_path, LEFT_OUT)
    (tmp_path / "fetch.yaml").write_text("models: {fetch: true}")
    assert pending(tmp_path, configfiles=(PAPER, tmp_path / "fetch.yaml")) == PLAN


def test_the_published_packings_dry_run_on_placeholders(tmp_path):
    place(HYPERFACE, tmp_path)
    assert pending(tmp_path, configfiles=(HYPERFACE,)) == PACKED_PLAN


def test_the_published_datasets_keep_their_crop_and_others_use_the_measured_points():
    given = [yaml.safe_load(path.read_text()) for path in (PAPER, HYPERFACE)]
    paper, hyperface = (load_configuration(config, files=False) for config in given)
    assert paper["generators"]["sg2"]["template"] == "ffhq_published"
    assert paper["databases"]["ffhq"]["alignment"]["template"] == "ffhq_published"
    assert {entry["template"] for entry in hyperface["generators"].values()} == {"ffhq"}


def test_the_larger_run_of_the_embedded_world_dry_runs_and_keeps_the_entries_of_the_default_run(tmp_path):
    default, full = (load_configuration(merged(files)) for files in ([EMBEDDED], [EMBEDDED, FULL]))
    for section in ("generators", "databases", "networks", "covariates", "references", "variations", "training"):
        assert {name: full[section][name] for name in default[section]} == default[section]
    assert pending(tmp_path, configfiles=(EMBEDDED, FULL)) == job_counts(full)
