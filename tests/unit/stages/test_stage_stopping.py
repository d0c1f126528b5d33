"""SIGTERM ends every stage with a status that is not 0 and without its outputs: no handler swallows the exception."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from packed_jobs import INVERSION, PACKING, packing_settings, vary
from PIL import Image
from tiny_world import FACE_MODEL, IDENTITIES, NETWORK, SIDE

import align_database
import audit_leaks
import brownid
import build_gallery
import capture_benchmark
import capture_database
import embed_dataset
import embed_faces
import export_training_set
import fit_warm_start
import index_database
import invert_embeddings
import measure_controls
import measure_packing
import merge_variations
import pack_references
import package_release
import prepare_benchmark
import project_database
import realign_images
import render_images
import sample_references
import score_model
import train_recognition
import vary_references
from brownid.databases.index import DatabaseIndex, Sample
from brownid.jobs.resume import TERMINATED
from brownid.release.origins import Origins
from brownid.samples.images import write_image_shard
from brownid.samples.provenance import write_command

# Stages of seconds at full size, and those whose loops stages above share (copying, computing checksums, downloading).
SHORT = {
    *("fit_covariates", "fit_within_class", "show_within_class", "plot_distances", "plot_dynamics", "show_faces"),
    *("write_report", "tabulate_scores", "compare_scores", "measure_quality", "tabulate_quality"),
}
SHARED = {"verify_release", "fetch_model"}
ENTRY = {key: value for key, value in FACE_MODEL.items() if key != "seed"}
ALIGNED = {"root": "", "image_size": SIDE, "alignment": None, "not_square": None, "maximum_failed_share": 0.3}
VARIED = FACE_MODEL | {"variations": {"algorithm": "dispersion", "settings": {"variations": 2, "iterations": 2}}}
TRAINING = {"embedding_dim": 16, "epochs": 2, "batch_size": 8}
WORLD = {"seed": 3, "generator": FACE_MODEL["generator"]}
SCORING = {
    "model": "slim",
    "network": NETWORK,
    "scoring": {"false_accept_rates": [0.1], "precision": "float32"},
    "benchmarks": ["lfw"],
}
PROJECTION = {"iterations": 2, "maximum_loss": None, "pyramid_weight": 1.0, "embedding_weight": 0.1}


class StoppedError(BaseException):
    """What a process without a handler of its own ends by."""


@pytest.fixture(scope="module")
def given(tmp_path_factory, weights, references, covariates, faces, targets, packed, benchmark_file):
    """The inputs that the stages share, by name."""
    folder = tmp_path_factory.mktemp("inputs")
    pixels = np.random.default_rng(0).integers(0, 256, (10, SIDE, SIDE, 3), np.uint8)
    numbers = np.arange(10) % IDENTITIES
    labels = ["reference" if number < IDENTITIES else "other" for number in range(10)]
    write_image_shard(folder / "images.arrow", "people", numbers, labels, pixels)
    samples = [Sample(f"k{i}", f"{i}.png", i // 2, {}) for i in range(10)]
    for sample, image in zip(samples, pixels, strict=True):
        Image.fromarray(image).save(folder / sample.path)
    keys = {"train": [sample.key for sample in samples]}
    DatabaseIndex.create(folder / "index", samples, {name: keys for name in ("P_center_lit", "U", "E_lit")})
    lines = [f"{i}.png,{(i + step) % 10}.png,{step % 2}" for step in (1, 2) for i in range(10)]
    (folder / "pairs.csv").write_text("\n".join(["path1,path2,same", *lines]))
    (folder / "people" / "person").mkdir(parents=True)
    Image.fromarray(pixels[0]).save(folder / "people" / "person" / "1.png")
    only = slice(IDENTITIES)
    write_image_shard(folder / "references.arrow", "people", numbers[only], labels[only], pixels[only])
    vary(folder, references, weights, VARIED)
    write_command(folder / "command.yml", settings={}, seed=3, inputs={})
    (folder / "scores.csv").write_text("network,benchmark\n")
    return {
        "folder": folder,
        "images": folder / "images.arrow",
        "weights": weights,
        "references": references,
        "covariates": covariates,
        "faces": faces,
        "targets": targets,
        "packed": packed,
        "benchmark": benchmark_file,
        "statistics": targets.with_name("packing.h5"),
        "varied": folder / "1.h5",
    }


def outputs(folder, *names):
    return {name: folder / name for name in names}


def references_entry(algorithm, **settings):
    return {"algorithm": algorithm, "identities": IDENTITIES, "settings": settings, "truncation": 0.7}


STAGES = {
    "build_gallery": lambda given, out: build_gallery.build_gallery(
        {"dataset": "people", "thumbnail_size": 32, "most_images": 9}, images=[given["images"]], identities=None,
        data=out / "images" / "data.js",
    ),
    "sample_references": lambda given, out: sample_references.sample_references(
        FACE_MODEL | {"references": references_entry("langevin", iterations=2)},
        weights=given["weights"], start=None, guarded=None, within_class=None, state=out / "state",
        **outputs(out, "samples", "statistics", "command"),
    ),
    "vary_references": lambda given, out: vary_references.vary_references(
        VARIED, references=given["references"], weights=given["weights"], covariates=None, shard=1, shards=1,
        state=out / "state", **outputs(out, "samples", "statistics"),
    ),
    "merge_variations": lambda given, out: merge_variations.merge_variations(
        VARIED, shard_samples=[given["varied"]], shard_statistics=[given["varied"].with_suffix(".stats.h5")],
        references=given["references"], weights=given["weights"], covariates=None, generator=[],
        **outputs(out, "samples", "statistics", "command"),
    ),
    "embed_faces": lambda given, out: embed_faces.embed_faces(
        FACE_MODEL | {"faces": {"gallery": 4}, "truncation": 0.7}, weights=given["weights"], samples=out / "samples"
    ),
    "pack_references": lambda given, out: pack_references.pack_references(
        packing_settings(**PACKING), start=given["faces"], gallery=given["faces"], state=out / "state",
        **outputs(out, "samples", "statistics", "command"),
    ),
    "invert_embeddings": lambda given, out: invert_embeddings.invert_embeddings(
        FACE_MODEL | {"inversion": INVERSION, "maximum_rejected_share": 1.0}, targets=given["targets"],
        packing_statistics=given["statistics"], faces=given["faces"], weights=given["weights"], state=out / "state",
        **outputs(out, "samples", "statistics", "command", "table"),
    ),
    "measure_packing": lambda given, out: measure_packing.measure_packing(
        {"references": "packed", "network": NETWORK | {"precision": "float32"}}, start=given["faces"],
        targets=given["targets"], samples=given["packed"], statistics=given["statistics"], images=[given["images"]],
        weights=given["weights"], **outputs(out, "table", "figure", "iterations"),
    ),
    "measure_controls": lambda given, out: measure_controls.measure_controls(
        {"seed": 3, "references": {"drawn": ENTRY | {"start": None, "truncation": 0.7}}, "variations": {},
         "covariates": {}, "datasets": ["drawn"], "networks": ["slim"]},
        samples=[given["references"]], covariates=[], within_class=[], weights=[given["weights"]], table=out / "table",
    ),
    "embed_dataset": lambda given, out: embed_dataset.embed_dataset(
        {"dataset": "people", "name": "slim", "network": NETWORK | {"precision": "float32", "mirror": False},
         "maximum_failed_share": 0.2},
        images=[given["images"]], weights=given["weights"], state=out / "state", **outputs(out, "samples", "failures"),
    ),
    "train_recognition": lambda given, out: train_recognition.train_recognition(
        {"seed": 3, "network": NETWORK, "training": TRAINING}, images=[given["images"]], state=out / "state",
        code="", threads=1, **outputs(out, "weights", "checkpoint", "history", "command", "batch"),
    ),
    "fit_warm_start": lambda given, out: fit_warm_start.fit_warm_start(
        FACE_MODEL | {"warm_start": {"samples": 8, "pixel_side": 4}}, weights=given["weights"], warm_start=out / "warm"
    ),
    "project_database": lambda given, out: project_database.project_database(
        FACE_MODEL | ALIGNED | {"root": str(given["folder"]), "projection": PROJECTION},
        index=given["folder"] / "index", weights=given["weights"], warm_start=None, shard=1, shards=1,
        state=out / "state", **outputs(out, "samples", "failures"),
    ),
    "align_database": lambda given, out: align_database.align_database(
        ALIGNED | {"namespace": "people", "root": str(given["folder"])}, index=given["folder"] / "index", shard=1,
        shards=1, **outputs(out, "images", "failures"),
    ),
    "index_database": lambda given, out: index_database.index_database(
        {"kind": "people", "root": str(given["folder"] / "people")}, manifest=None, published_index=[],
        lists=[], metadata=[], landmarks=[], index=out / "index",
    ),
    "capture_database": lambda given, out: capture_database.capture_database(
        WORLD | {"kind": "people", "capture": {"first_person": 0, "people": 2, "photos": 2}}, manifest=out / "manifest"
    ),
    "capture_benchmark": lambda given, out: capture_benchmark.capture_benchmark(
        WORLD | {"capture": {"kind": "lfw", "first_person": 0, "pairs": 20, "people": 20}},
        **outputs(out, "benchmark", "persons"),
    ),
    "prepare_benchmark": lambda given, out: prepare_benchmark.prepare_benchmark(
        ALIGNED | {"folder": str(given["folder"])}, pairs=given["folder"] / "pairs.csv",
        **outputs(out, "benchmark", "persons", "failures"),
    ),
    "render_images": lambda given, out: render_images.render_images(
        WORLD | {"namespace": "people", "template": "two_eye", "image_size": SIDE}, samples=given["references"],
        shard=1, shards=1, images=out / "images",
    ),
    "realign_images": lambda given, out: realign_images.realign_images(
        {"namespace": "people", "from": "two_eye", "to": "arcface", "image_size": SIDE}, source=given["images"],
        images=out / "images",
    ),
    "score_model": lambda given, out: score_model.score_model(
        SCORING | {"maximum_failed_share": 0.1}, weights=given["weights"], benchmarks=[given["benchmark"]],
        **outputs(out, "scores", "pairs"),
    ),
    "audit_leaks": lambda given, out: audit_leaks.audit_leaks(
        {"references": "drawn", "audit": {"pairs": 2}}, references=given["references"], guarded=given["references"],
        reference_images=[given["images"]], guarded_images=[given["images"]], **outputs(out, "table", "figure"),
    ),
    "export_training_set": lambda given, out: export_training_set.export_training_set(
        {"training_set": "drawn", "layout": "recordio",
         "parts": [{"name": "people", "images": [given["folder"] / "references.arrow"], "samples": None}]},
        record=out / "drawn" / "export.json",
    ),
    "package_release": lambda given, out: package_release.package_release(
        {"release": {"name": "tiny", "description": "d", "creator": "c", "licence": "CC-BY-4.0", "version": "1.0.0",
                     "date": None},
         "images": {"template": "two_eye", "image_size": SIDE}, "templates": {}, "origins": Origins().plain(),
         "parts": {"datasets": {"drawn": {"samples": given["references"], "command": given["folder"] / "command.yml",
                                          "images": [given["folder"] / "references.arrow"],
                                          "statistics": given["statistics"]}},
                   "training_sets": {}, "models": {}, "databases": {}, "covariates": [], "packings": [],
                   "galleries": {}, "tables": [],
                   "figures": [], "score_table": given["folder"] / "scores.csv"}},
        manifest=out / "release" / "manifest",
    ),
}  # fmt: skip


def signal_at_the_first_tick(monkeypatch):
    """Send SIGTERM at the first item of the first loop that reports progress, or else at the first write."""

    def ticking(items, *_):
        for item in items:
            send()
            yield item

    def send(*_):
        monkeypatch.undo()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("brownid.runtime.process._logged", ticking)
    monkeypatch.setattr("brownid.runtime.files._remove_left_behind", send)


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_ends_a_stage_without_its_outputs_and_not_with_status_0(given, tmp_path, monkeypatch, caplog, stage):
    caplog.set_level("INFO", logger="brownid")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        signal_at_the_first_tick(monkeypatch)
        with pytest.raises((SystemExit, StoppedError)) as stopped:
            STAGES[stage](given, tmp_path)
        assert signal.getsignal(signal.SIGTERM) is _stop
    finally:
        signal.signal(signal.SIGTERM, before)
    if isinstance(stopped.value, SystemExit):
        assert stopped.value.code == TERMINATED
        assert "SIGTERM: " in caplog.text
    assert {path.name for path in tmp_path.iterdir()} <= {
        "state",
        "images",
    }  # of a capture, whose manifest is the output


def _stop(*_):
    raise StoppedError


def test_every_stage_is_stopped_here_or_short():
    scripts = Path(brownid.__file__).parents[1].glob("*.py")
    assert {script.stem for script in scripts} == STAGES.keys() | SHORT | SHARED
