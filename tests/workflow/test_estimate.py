"""Sections may be absent: a run makes the entries that its configuration has, and the estimate counts its jobs."""

import pytest
import yaml
from conftest import TINY, pending

from brownid.configuration.loading import load_configuration, merged
from brownid.configuration.products import job_counts

WHOLE = yaml.safe_load(TINY.read_text())
RANDOM = {"algorithm": "random", "generator": "world", "network": "net", "identities": 4}
VARIED = {"algorithm": "dispersion", "references": "faces", "settings": {"variations": 2}}
LEARNED = {"datasets": ["faces", "varied"], "family": "slim", "architecture": "slim_iresnet"}
RELEASE = {"name": "small", "description": "d", "creator": "c", "licence": "l", "datasets": ["faces"]}
PICTURES = {"render_images": 1, "show_faces": 1, "build_gallery": 1, "write_report": 1}

# sections in addition to generators, networks and references, and the jobs
PARTS = [
    ({}, {"sample_references": 1, "measure_controls": 1, **PICTURES}),
    (
        {"variations": {"varied": VARIED}},
        {
            **{"sample_references": 1, "vary_references": 1, "merge_variations": 1, "measure_controls": 1},
            **{"render_images": 2, "show_faces": 2, "plot_dynamics": 1, "plot_distances": 1},
            **{"build_gallery": 2, "write_report": 1},
        },
    ),
    (
        {"training": {"learned": LEARNED | {"datasets": ["faces"]}}},
        {"sample_references": 1, "measure_controls": 1, **PICTURES, "train_recognition": 1},
    ),
    (
        {"release": RELEASE},
        {
            **{"sample_references": 1, "measure_controls": 1, **PICTURES},
            **{"export_training_set": 1, "package_release": 1, "verify_release": 1},
        },
    ),
    (
        {"references": {}, "benchmarks": {"lfw": WHOLE["benchmarks"]["lfw"]}, "scoring": {"networks": ["net"]}},
        {"capture_benchmark": 1, "score_model": 1, "tabulate_scores": 1, "write_report": 1},
    ),
    ({"references": {}, "networks": {}, "generators": {}}, {}),
]


@pytest.mark.parametrize(("sections", "jobs"), PARTS)
def test_what_a_configuration_leaves_out_is_not_made(tmp_path, sections, jobs):
    (tmp_path / "net.pt").touch()
    network = {"family": "slim", "architecture": "slim_iresnet", "weights": str(tmp_path / "net.pt"), "image_size": 32}
    config = {"seed": 1, "generators": {"world": WHOLE["generators"]["world"]}, "networks": {"net": network}}
    config |= {"references": {"faces": RANDOM}, **sections}
    path = tmp_path / "part.yaml"
    path.write_text(yaml.safe_dump({name: section for name, section in config.items() if section}))
    assert pending(tmp_path, configfiles=[path]) == jobs == job_counts(load_configuration(merged([path])))


def test_the_estimated_jobs_are_those_of_a_dry_run(tmp_path):
    assert job_counts(load_configuration(merged([TINY]), files=False)) == pending(tmp_path)
