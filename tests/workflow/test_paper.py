"""The published configuration makes a sensible plan on placeholders of the files that it names."""

from pathlib import Path

import yaml
from conftest import PROJECT, pending

from brownid.configuration.files import own_paths
from brownid.configuration.loading import load_configuration

PAPER = PROJECT / "config" / "paper.yaml"
LEFT_OUT = ("models/vgg16.pt", "models/stylegan2-ffhq-256x256.pkl")  # and to be fetched

PLAN = {
    "fetch_model": 2,
    "index_database": 3,  # Multi-PIE, FFHQ, WebFace
    "pack_database": 8 + 32,
    "embed_database": 1,  # FFHQ, the leak guard
    "project_database": 100,
    "fit_covariates": 1,
    "sample_references": 3,
    "vary_references": 50 + 50 + 150,
    "merge_variations": 3,
    "render_images": 4 + 12 + 4 + 50 + 50 + 150,
    "train_recognition": 5,
    "score_model": 6,  # and the published network
    "tabulate_scores": 1,
    "plot_dynamics": 6,
    "plot_distances": 3,
    "show_faces": 6,
    "audit_leaks": 1,
    "package_release": 1,
    "verify_release": 1,
}


def test_the_published_configuration_dry_runs_on_placeholders(tmp_path):
    config = yaml.safe_load(PAPER.read_text())
    for own in own_paths(load_configuration(config, PROJECT / "workflow/schemas/config.schema.yaml", files=False)):
        place = tmp_path / own.path
        assert not Path(own.path).is_absolute()
        if own.is_folder:
            place.mkdir(parents=True)
        elif own.path not in LEFT_OUT:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    (tmp_path / "fetch.yaml").write_text("models: {fetch: true}")
    assert pending(tmp_path, configfiles=(PAPER, tmp_path / "fetch.yaml")) == PLAN
