"""After a change exactly the affected stages run again: no fewer, and no more."""

import os
import random
from collections import Counter
from functools import partial

import pytest
import yaml
from conftest import TINY, pending

from brownid.upgrade.acceptance import accept_results

SCORED = {"score_model": 4, "tabulate_scores": 1, "compare_scores": 1}
RELEASED = {"package_release": 1, "verify_release": 1}
TRAINED = {"train_recognition": 2, "score_model": 2, "tabulate_scores": 1, "compare_scores": 1}
JUDGED = {"embed_dataset": 1, "measure_quality": 1, "tabulate_quality": 1}
VARIED = {
    **{**JUDGED, "vary_references": 2, "merge_variations": 1, "plot_dynamics": 1, "plot_distances": 1},
    **{"render_images": 2, "show_faces": 1, "measure_controls": 1, **TRAINED, "export_training_set": 2, **RELEASED},
}
MOVED = {
    **{**VARIED, "sample_references": 1, "audit_leaks": 1, "plot_dynamics": 2, "render_images": 3, "show_faces": 2},
    **{"realign_images": 1, "embed_dataset": 2, "measure_quality": 2, "export_training_set": 3},
}
PACKED_VARIED = {
    **{**JUDGED, "vary_references": 1, "merge_variations": 1, "plot_dynamics": 1, "plot_distances": 1},
    **{"render_images": 1, "show_faces": 1, "measure_controls": 1, **TRAINED, "export_training_set": 1, **RELEASED},
}
INVERTED = {
    **{**PACKED_VARIED, "invert_embeddings": 1, "measure_packing": 1, "plot_dynamics": 2, "render_images": 2},
    **{"show_faces": 2, "embed_dataset": 2, "measure_quality": 2},
}
PACKED = {**INVERTED, "pack_references": 1}
ALL_BUT_CAPTURES = {
    **{"train_network": 2, "fit_warm_start": 1, "project_database": 2, "fit_covariates": 1},
    **{"fit_within_class": 1, "show_within_class": 1},
    **{**MOVED, **PACKED, "embed_faces": 1, "sample_references": 2, "vary_references": 3, "merge_variations": 2},
    **{"plot_dynamics": 4, "plot_distances": 2, "render_images": 6, "show_faces": 5, **SCORED},
    **{"embed_dataset": 8, "measure_quality": 6, "export_training_set": 3},
}
STEERED = {**ALL_BUT_CAPTURES, "train_network": 1, "embed_dataset": 6, "measure_quality": 5, "score_model": 3}
WARPED = {**STEERED, "embed_dataset": 5, "score_model": 2}
del WARPED["train_network"]  # photographs do not depend on latents
EVERYTHING = {
    **ALL_BUT_CAPTURES,
    **{"capture_database": 3, "index_database": 3, "align_database": 3, "capture_benchmark": 1},
}
SHOWN = {  # the rules that make what the report shows
    *("show_faces", "plot_dynamics", "plot_distances", "audit_leaks", "measure_controls", "measure_packing"),
    *("tabulate_scores", "compare_scores", "tabulate_quality", "show_within_class", "fit_covariates"),
    *("train_network", "train_recognition"),
}


def with_pages(jobs):
    """The same jobs, and those of the gallery, which shows what contact sheets are of, and of the report."""
    galleries = {"build_gallery": jobs["show_faces"]} if "show_faces" in jobs else {}
    return jobs | galleries | ({"write_report": 1} if SHOWN & jobs.keys() else {})


FROM_COVARIATES = {"fit_covariates": 1, "fit_within_class": 1, "show_within_class": 1, **MOVED}
ANOTHER_JUDGE = {
    **{"train_network": 1, "embed_dataset": 7, "measure_quality": 6, "tabulate_quality": 1, "show_faces": 5},
    **{**SCORED, "score_model": 1, **RELEASED},
}

# what changes in the configuration -> what runs again
CHANGES = {
    "seed: 2": EVERYTHING,
    "generators: {world: {world_seed: 2}}": EVERYTHING,
    "generators: {world: {warp: 0.4}}": WARPED,
    "images: {maximum_failed_share: 0.1}": {
        **{"align_database": 3, **ALL_BUT_CAPTURES},
    },
    "databases: {portraits: {capture: {nuisance_std: 0.5}}}": {
        **{"capture_database": 1, "index_database": 1, "align_database": 1, **MOVED, "embed_dataset": 4},
    },
    "databases: {multipie: {capture: {nuisance_std: 0.1}}}": {
        **{"capture_database": 1, "index_database": 1, "align_database": 1, "project_database": 2},
        **{**FROM_COVARIATES, **ANOTHER_JUDGE, "score_model": 3},
    },
    "networks: {steering: {training: {epochs: 2}}}": STEERED,
    "networks: {judge: {training: {epochs: 2}}}": ANOTHER_JUDGE,
    "quality: {near_duplicate_angle: 0.3}": {
        **{"measure_quality": 6, "tabulate_quality": 1, "show_faces": 5, **RELEASED},
    },
    "covariates: {directions: {warm_start: {samples: 41}}}": {
        **{"fit_warm_start": 1, "project_database": 2, **FROM_COVARIATES},
    },
    "covariates: {directions: {projection: {iterations: 4}}}": {"project_database": 2, **FROM_COVARIATES},
    "references: {rejected: {settings: {ict: 0.02}}}": {
        **{**MOVED, "sample_references": 2, "render_images": 4, "show_faces": 3},
        **{"embed_dataset": 3, "measure_quality": 3},
    },
    "references: {moved: {settings: {iterations: 3}}}": MOVED,
    "references: {moved: {nuisance_projection: {directions: 4}}}": MOVED,
    "{references: {moved: {processes: 2}, packed: {processes: 2, batch_size: 8}}, launcher: torchrun}": {},
    "{variations: {packed_varied: {batch_size: 8}}, saving: {minutes: 1.0}}": {},
    "{training: {fr_varied: {processes: 2, keep: none}}, networks: {steering: {processes: 2}}}": {},
    "references: {packed: {gallery_size: 7}}": {**PACKED, "embed_faces": 1},
    "references: {packed: {gallery: portraits}}": {**PACKED},
    "references: {packed: {settings: {gallery_coefficient: 0.6}}}": PACKED,
    "references: {packed: {inversion: {iterations: 3}}}": INVERTED,
    "variations: {packed_varied: {settings: {embedding_noise: 0.02}}}": PACKED_VARIED,
    "variations: {varied: {settings: {latent_radius: 13.0}}}": VARIED,
    "variations: {varied: {covariate_scales: {smile: 0.5}}}": VARIED,
    "realigned: {moved_arcface: {template: two_eye}}": {
        **{"realign_images": 1, **TRAINED, "export_training_set": 1, **RELEASED},
    },
    "training: {fr_varied: {settings: {margin: 0.3}}}": {**TRAINED, **RELEASED},
    "training: {fr_varied: {seeds: [2, 3, 1]}}": {
        **{"train_recognition": 1, "score_model": 1, "tabulate_scores": 1, "compare_scores": 1, **RELEASED},
    },
    "training: {fr_varied: {seeds: null}}": {"tabulate_scores": 1, "compare_scores": 1, **RELEASED},
    "benchmarks: {lfw_dev: {capture: {pairs: 40}}}": {},
    "benchmarks: {lfw: {capture: {pairs: 40}}}": {"capture_benchmark": 1, **SCORED, **RELEASED},
    "scoring: {false_accept_rates: [0.1]}": {**SCORED, **RELEASED},
    "scoring: {resamples: 101}": {"tabulate_scores": 1, "compare_scores": 1, **RELEASED},
    "scoring: {comparisons: [[steering, fr_varied]]}": {"compare_scores": 1, **RELEASED},
    "gallery: {thumbnail_size: 16}": {"build_gallery": 5, "write_report": 1, **RELEASED},
    "gallery: {datasets: [varied]}": {"write_report": 1, **RELEASED},
    "gallery: {datasets: []}": {"write_report": 1, **RELEASED},
    "audit: {pairs: 4}": {"audit_leaks": 1, **RELEASED},
    "release: {creator: somebody else, licence: CC-BY-4.0, version: 2.0.0, date: 2026-02-01}": RELEASED,
    "release: {published_limit: 36}": {},
    "release: {published_limit: 35}": RELEASED,
    "release: {layouts: [published]}": RELEASED,
    "release: {layouts: [parquet, recordio]}": {"export_training_set": 3, **RELEASED},
    "release: {shard_size: 256}": {"export_training_set": 3, **RELEASED},
    "release: {training_sets: {varied: [moved]}}": {"export_training_set": 1, **RELEASED},
}


def test_a_finished_run_has_nothing_to_do(tiny_run):
    assert pending(tiny_run) == {}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.replace(" ", ""))
def test_a_changed_value_runs_exactly_the_stages_that_use_it(tiny_run, tmp_path, change):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(change)
    assert pending(tiny_run, configfiles=(TINY, overlay)) == with_pages(CHANGES[change])


def test_another_shape_of_the_same_configuration_runs_nothing(tiny_run, tmp_path):
    def reversed_keys(value):
        return {k: reversed_keys(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    shuffled = tmp_path / "shuffled.yaml"
    shuffled.write_text(yaml.safe_dump(reversed_keys(yaml.safe_load(TINY.read_text())), sort_keys=False))
    assert pending(tiny_run, configfiles=(shuffled,)) == {}


def test_new_entries_add_their_own_jobs_only(tiny_run, tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(
        "variations:\n"
        "  edited: {algorithm: covariates, references: moved, covariates: directions, settings: {steps: 2}}\n"
        "  within: {algorithm: within_class, references: moved, covariates: directions, settings: {iterations: 2}}\n"
    )
    assert pending(tiny_run, configfiles=(TINY, overlay)) == {
        **{"vary_references": 2, "merge_variations": 2, "render_images": 2, "show_faces": 2, "plot_distances": 2},
        **{"plot_dynamics": 1, "measure_controls": 1, **RELEASED},
        **{"embed_dataset": 2, "measure_quality": 2, "tabulate_quality": 1, "build_gallery": 2, "write_report": 1},
    }


def test_a_clone_elsewhere_with_copied_results_runs_nothing(copied_run, clone):
    assert pending(copied_run, project=clone, configfiles=(clone / "tests/tiny.yaml",)) == {}


def test_file_times_do_not_matter(copied_run):
    files = [path for path in (copied_run / "results").rglob("*") if path.is_file()]
    random.Random(0).shuffle(files)
    for age, path in enumerate(files):
        os.utime(path, (2_000_000_000 + age, 2_000_000_000 + age))
    assert pending(copied_run) == {}


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path} no longer has {old!r}"
    path.write_text(text.replace(old, new))


def test_comments_docstrings_logs_threads_and_code_that_no_job_executes_run_nothing(tiny_run, clone):
    library = clone / "workflow/scripts/brownid"
    edit(library / "generators/stylegan3/resampling.py", "0.07886", "0.07887")
    edit(library / "exports/recordio.py", "bytes(-len(content) % ALIGNMENT)", "bytes(0)")
    rules = clone / "workflow/rules/references.smk"
    edit(rules, '"logs/sample_references/', '"logs/elsewhere/')
    edit(rules, "attempt: 8000", "attempt: 7000")
    edit(clone / "workflow/rules/variations.smk", "threads: 1", "threads: 2")
    edit(
        library / "dynamics/langevin.py",
        '"""Langevin dynamics',
        '# a remark\n"""LANGEVIN dynamics',
    )
    edit(clone / "envs/torch.yaml", "dependencies:", "# a remark\ndependencies:")
    assert pending(tiny_run, project=clone) == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        # references that are sampled by another algorithm stay as they are, although the script is the same
        pytest.param("dynamics/langevin.py", "timestep.sqrt() * noise", "timestep * noise", MOVED, id="langevin"),
        # neither the random faces that a packing begins with, nor other references
        pytest.param(
            "hyperface/energy.py", "gradient.zero_()", "gradient.fill_(0.0)", PACKED, marks=pytest.mark.nightly
        ),
        pytest.param(
            "verification/accuracy.py", "0, 4, 0.01", "0, 4, 0.02", {**SCORED, **RELEASED}, marks=pytest.mark.nightly
        ),
        # nothing that follows from the directions of the same projection
        pytest.param(
            "covariates/within_class.py",
            "1e-10",
            "1e-9",
            {"fit_within_class": 1, "show_within_class": 1, **MOVED},
            marks=pytest.mark.nightly,
        ),
        # no other layout
        pytest.param(
            "exports/parquet.py",
            "ROWS_PER_GROUP = 256",
            "ROWS_PER_GROUP = 128",
            {"export_training_set": 3, **RELEASED},
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_code_edit_in_the_library_runs_the_stages_that_execute_it(tiny_run, clone, file, old, new, stages):
    edit(clone / "workflow/scripts/brownid" / file, old, new)
    assert pending(tiny_run, project=clone) == with_pages(stages)


def test_results_of_older_code_can_be_kept(copied_run, clone):
    edit(clone / "workflow/scripts/brownid/dynamics/langevin.py", "timestep.sqrt() * noise", "timestep * noise")
    edit(clone / "workflow/scripts/brownid/verification/accuracy.py", "0, 4, 0.01", "0, 4, 0.02")
    accept = partial(accept_results, [clone / "tests/tiny.yaml"], directory=copied_run, project=clone)
    planned = accept(stages=["sample_references"], dry_run=True)
    assert Counter(result.job.rule for result in planned.running) == with_pages(SCORED | RELEASED)
    accept(stages=["sample_references"])
    assert pending(copied_run, project=clone, configfiles=(clone / "tests/tiny.yaml",)) == with_pages(SCORED | RELEASED)


@pytest.mark.nightly
def test_another_package_version_in_an_environment_runs_its_stages(tiny_run, clone):
    edit(clone / "envs/plots.yaml", "matplotlib =", "matplotlib =9.")
    assert pending(tiny_run, project=clone) == {
        **{"tabulate_scores": 1, "compare_scores": 1, "plot_dynamics": 4, "plot_distances": 2, "show_faces": 5},
        **{"audit_leaks": 1, "measure_quality": 6, "tabulate_quality": 1, "export_training_set": 3, **RELEASED},
        **{"build_gallery": 5, "write_report": 1},
    }


def test_two_configurations_in_one_folder_do_not_mix(tiny_run, tmp_path):
    other = yaml.safe_load(TINY.read_text())
    other["references"]["moved"]["settings"]["repulsion_coefficient"] = 2.0
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    assert pending(tiny_run, configfiles=(tmp_path / "other.yaml",)) == with_pages(MOVED)
    assert pending(tiny_run) == {}
