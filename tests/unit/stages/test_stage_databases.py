"""Packing, projecting and scoring with inputs that are damaged, and on a disk that is full."""

import csv
import errno
import json
import os
import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny_world import FACE_MODEL, LATENT_DIM, NETWORK, SIDE

from align_database import align_database
from brownid.alignment.faces import Detection
from brownid.alignment.templates import template
from brownid.alignment.warp import realign
from brownid.covariates.within_class import load_within_class
from brownid.databases import reading
from brownid.databases.decoding import load_rgb
from brownid.databases.index import DatabaseIndex, Sample
from brownid.databases.reading import read_images, write_failures
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples import png
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards, write_image_shard
from brownid.verification.bins import read_bin, write_bin
from brownid.verification.error_rates import roc
from brownid.verification.pair_scores import read_pair_scores
from fit_covariates import fit_covariates
from fit_warm_start import fit_warm_start
from fit_within_class import fit_within_class
from prepare_benchmark import prepare_benchmark
from project_database import project_database
from realign_images import realign_images
from score_model import score_model

PROJECTION = {"iterations": 1, "maximum_loss": None, "pyramid_weight": 1.0, "embedding_weight": 0.1}


@pytest.fixture
def database(tmp_path):
    """Ten images of five persons, of which number 4 is truncated; and how to pack it."""
    samples = [Sample(f"k{i}", f"{i}.png", i // 2, {"subject": i // 2}) for i in range(10)]
    noise = np.random.default_rng(0).integers(0, 10, (SIDE, SIDE, 3), np.uint8)
    for i, sample in enumerate(samples):
        Image.fromarray(10 * i + noise).save(tmp_path / sample.path)
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:80])
    groups = {"train": [sample.key for sample in samples]}
    DatabaseIndex.create(tmp_path / "index", samples, {name: groups for name in ("P_center_lit", "U", "E_lit")})
    settings = {"namespace": "people", "root": str(tmp_path), "image_size": SIDE, "maximum_failed_share": 0.3}
    settings["alignment"] = None

    def pack(shard=1, shards=1, detector=None, threads=1, **changes):
        paths = {"images": tmp_path / f"{shard}-of-{shards}", "failures": tmp_path / f"{shard}-of-{shards}.csv"}
        options = {"shard": shard, "shards": shards, "detector": detector, "threads": threads}
        align_database(settings | changes, index=tmp_path / "index", **options, **paths)
        return paths["images"], list(csv.reader(paths["failures"].open()))[1:]

    return tmp_path, pack


def test_a_damaged_image_is_listed_with_its_path_and_the_others_are_packed(database, caplog):
    folder, pack = database
    images, failures = pack()
    assert len(ImageShards([images])) == 9
    assert [path for path, _ in failures] == ["4.png"] and "not a readable image" in failures[0][1]
    assert str(folder / "4.png") in caplog.text


def test_more_damage_than_the_share_stops_and_leaves_no_output(database):
    folder, pack = database
    with pytest.raises(BrownidError, match=r"1 of 10 images .* 0\.05 .*4\.png: not a readable image"):
        pack(maximum_failed_share=0.05)
    assert not list(folder.glob("1-of-1*"))


def test_shards_of_a_database_hold_the_images_of_the_whole(database):
    _, pack = database
    whole = ImageShards([pack()[0]])
    pieces = ImageShards([pack(shard, 3, maximum_failed_share=0.5)[0] for shard in (1, 2, 3)])
    assert whole.labels == pieces.labels
    np.testing.assert_array_equal(whole.identities, pieces.identities)
    np.testing.assert_array_equal(whole.decode(np.arange(9)), pieces.decode(np.arange(9)))


def test_neither_batches_nor_threads_change_a_byte_of_a_shard(database, monkeypatch):
    folder, pack = database
    whole = pack()[0].read_bytes()
    with DatabaseIndex.open(folder / "index") as index:
        chosen = index.samples_at(range(10))
    pixels, kept, _ = read_images(chosen, folder, SIDE, 0.3)
    rows = [sample.identity for sample in kept], [sample.key for sample in kept]
    write_image_shard(folder / "at-once", "people", *rows, pixels)
    assert (folder / "at-once").read_bytes() == whole
    monkeypatch.setattr(reading, "READ_AT_ONCE", 4)
    assert pack(threads=3)[0].read_bytes() == whole


def test_photographs_without_a_face_are_listed_with_the_reason(database, monkeypatch):
    folder, pack = database
    points = template("arcface", SIDE)

    class Finder:
        def detect(self, image):
            return [Detection((0, 0, SIDE, SIDE), 0.9, points)] if image.mean() > 20 else []

    monkeypatch.setattr(reading, "detector", lambda spec: Finder())
    alignment = {"to": "arcface", "template": None, "detector": {"family": "yunet"}}
    images, failures = pack(alignment=alignment, detector={"family": "yunet", "file": "any"}, maximum_failed_share=0.4)
    assert [reason for _, reason in failures[:2]] == ["no face was detected"] * 2 and failures[2][0] == "4.png"
    shards = ImageShards([images])
    assert shards.labels == ["k2", "k3", "k5", "k6", "k7", "k8", "k9"]
    np.testing.assert_array_equal(shards.decode([0])[0], load_rgb(folder / "2.png"))  # its landmarks fit already


def test_realigned_images_keep_their_persons_and_labels(database, tmp_path):
    _, pack = database
    source = pack()[0]
    settings = {"namespace": "people", "from": "two_eye", "to": "arcface", "image_size": 2 * SIDE}
    realign_images(settings, source=source, images=tmp_path / "moved")
    before, after = ImageShards([source]), ImageShards([tmp_path / "moved"])
    assert after.image_size == 2 * SIDE and after.labels == before.labels and after.namespaces == before.namespaces
    np.testing.assert_array_equal(after.identities, before.identities)
    expected = realign(before.decode(np.arange(9)), "two_eye", "arcface", 2 * SIDE)
    np.testing.assert_array_equal(after.decode(np.arange(9)), expected)


def test_a_full_disk_is_one_sentence_and_leaves_no_partial_file(database, monkeypatch):
    folder, pack = database
    before = set(folder.iterdir())

    def refuse(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BrownidError, match="No space left on device"):
        pack()
    assert set(folder.iterdir()) == before


def test_projection_lists_what_failed_and_the_fit_says_when_it_is_too_much(database, weights, caplog):
    folder, _ = database
    warm = FACE_MODEL | {"warm_start": {"samples": 30, "pixel_side": 4}}
    fit_warm_start(warm, weights=weights, warm_start=folder / "warm")
    settings = FACE_MODEL | {"projection": PROJECTION, "root": str(folder), "maximum_failed_share": 0.3}
    shards = [(folder / f"{shard}.h5", folder / f"{shard}.csv") for shard in (1, 2)]
    for shard, (samples, failures) in enumerate(shards, start=1):
        options = {"shard": shard, "shards": 2, "samples": samples, "failures": failures}
        project_database(settings, index=folder / "index", weights=weights, warm_start=folder / "warm", **options)
    loaded = [SampleCollection.load(samples) for samples, _ in shards]
    assert [label for part in loaded for label in part.labels] == [f"k{i}" for i in (0, 1, 2, 3, 5, 6, 7, 8, 9)]
    assert loaded[0].latents.shape == (4, LATENT_DIM)
    outputs = {name: folder / name for name in ("covariates", "summary", "failures")}
    caplog.clear()
    with pytest.raises(BrownidError, match=r"1 of 10 photographs to project failed"):
        fit_covariates(
            {"generator_name": "world", "maximum_failed_share": 0.05},
            shard_samples=[samples for samples, _ in shards],
            shard_failures=[failures for _, failures in shards],
            index=folder / "index",
            **outputs,
        )
    assert "4.png: not a readable image" in caplog.text
    assert not any(path.exists() for path in outputs.values())


def test_persons_of_any_database_are_projected_as_many_as_asked_for(database, weights):
    folder, _ = database
    settings = FACE_MODEL | {"projection": PROJECTION, "root": str(folder), "maximum_failed_share": 0.5}
    options = {"index": folder / "index", "weights": weights, "warm_start": None, "shard": 1, "shards": 1}

    def project(persons, images_per_person):
        selection = {"persons": persons, "images_per_person": images_per_person}
        outputs = {"samples": folder / "samples.h5", "failures": folder / "failures.csv"}
        project_database(settings | {"selection": selection}, **options, **outputs)
        found = SampleCollection.load(outputs["samples"])
        return dict(zip(found.labels, found.latents, strict=True)), set(found.identities.tolist())

    two, persons = project(2, None)
    assert len(two) == 4 and len(persons) == 2
    more, more_persons = project(3, None)
    assert two.keys() < more.keys() and len(more_persons) == 3, "a larger selection contains a smaller one"
    np.testing.assert_allclose([more[key] for key in two], list(two.values()), atol=1e-5)


def test_the_fit_pools_persons_in_w_and_w_plus_and_counts_what_it_left_out(tmp_path):
    """Two persons on a line, one person whose second photograph failed, and one with a single photograph."""
    samples = [Sample(f"k{i}", f"{i}.png", identity) for i, identity in enumerate([1, 1, 2, 2, 3, 3, 4])]
    latents = np.array([[0.0, 1], [2, 1], [5, 0], [7, 0], [9, 9]], np.float32)
    SampleCollection(
        latents=latents,
        embeddings=None,
        identities=[1, 1, 2, 2, 3],
        labels=[sample.key for sample in samples[:5]],
        generator="world",
        recognition="slim",
        extra={"w_plus_latent": np.stack([latents - 3, latents + 3], axis=1)},
    ).save(tmp_path / "samples.h5")
    write_failures(tmp_path / "shard.csv", [("5.png", "no face")])
    DatabaseIndex.create(tmp_path / "index", samples, {"all": {"all": None}})
    outputs = {name: tmp_path / name for name in ("within_class", "table", "failures")}
    fit_within_class(
        {"generator_name": "world", "maximum_failed_share": 0.3, "selected": True},
        shard_samples=[tmp_path / "samples.h5"],
        shard_failures=[tmp_path / "shard.csv"],
        index=tmp_path / "index",
        **outputs,
    )
    found = load_within_class(outputs["within_class"], generator="world")
    np.testing.assert_allclose(found.directions, [[1, 0]], atol=1e-6)
    np.testing.assert_allclose(found.eigenvalues, [2])
    in_both_layers = load_within_class(outputs["within_class"], space="w_plus").directions
    np.testing.assert_allclose(in_both_layers, [[0.5**0.5, 0, 0.5**0.5, 0]], atol=1e-6)
    row, w_plus = csv.DictReader(outputs["table"].open())
    assert (row["space"], w_plus["space"], w_plus["dimensions"]) == ("w", "w_plus", "4")
    assert (row["persons"], row["images"], row["excluded_persons"], row["failed_images"]) == ("2", "4", "2", "1")
    assert (row["rank"], row["directions_90"], float(row["variance"])) == ("1", "1", 2)
    assert outputs["failures"].read_text().splitlines() == ["path,reason", "5.png,no face"]


def test_too_few_persons_are_refused_before_anything_is_projected(database, weights):
    folder, _ = database
    samples = [Sample(f"k{i}", f"{i}.png", max(0, i - 1)) for i in range(10)]
    DatabaseIndex.create(folder / "few", samples, {"all": {"all": None}})
    outputs = {"samples": folder / "samples.h5", "failures": folder / "failures.csv"}
    with pytest.raises(BrownidError, match=r"few has 9 persons, 1 of them with two images or more, and a within-class"):
        settings = FACE_MODEL | {"projection": PROJECTION, "selection": {}}
        project_database(settings, index=folder / "few", weights=weights, warm_start=None, shard=1, shards=1, **outputs)


SCORING = {
    "model": "slim",
    "network": NETWORK,
    "scoring": {"false_accept_rates": [0.1], "precision": "float32"},
    "maximum_failed_share": 0.1,
    "benchmarks": ["lfw"],
}


def test_scores_carry_their_settings_and_the_checksums_of_their_inputs(tmp_path, weights, benchmark_file):
    made = {"scores": tmp_path / "scores.json", "pairs": tmp_path / "pairs.parquet"}
    score_model(SCORING, weights=weights, benchmarks=[benchmark_file], **made)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["settings"] == SCORING and scores["model"] == "slim"
    assert scores["inputs"] == {str(path): sha256(path) for path in (weights, benchmark_file)}
    assert scores["benchmarks"]["lfw"]["pairs"] == 20
    provenance = json.loads(pq.read_schema(made["pairs"]).metadata[b"brownid"])
    assert provenance == {key: scores[key] for key in ("model", "settings", "inputs")}
    [pairs] = read_pair_scores(made["pairs"]).values()
    curve = roc(pairs.similarity, pairs.same)
    assert scores["benchmarks"]["lfw"]["auc"] == pytest.approx(curve.area, abs=1e-6)


def test_images_that_failed_in_a_benchmark_of_ones_own_are_among_the_scores(database, weights, tmp_path):
    lines = [f"{i}.png,{(i + step) % 10}.png,{step % 2}" for step in (1, 2) for i in range(10)]
    (tmp_path / "pairs.csv").write_text("\n".join(["path1,path2,same", *lines]))
    settings = {"folder": str(tmp_path), "image_size": SIDE, "alignment": None, "maximum_failed_share": 0.1}
    names = {"benchmark": "lfw.bin", "persons": "lfw.persons.csv", "failures": "lfw.failures.csv"}
    paths = {key: tmp_path / name for key, name in names.items()}
    prepare_benchmark(settings, pairs=tmp_path / "pairs.csv", **paths)
    outputs = {"scores": tmp_path / "scores.json", "pairs": tmp_path / "pairs.parquet"}
    listed = {"failures": [paths["failures"]], "persons": [paths["persons"]]}
    score_model(SCORING, weights=weights, benchmarks=[paths["benchmark"]], **listed, **outputs)
    (failure,) = json.loads((tmp_path / "scores.json").read_text())["benchmarks"]["lfw"]["failures"]
    assert failure["image"] == "4.png" and "not a readable image" in failure["reason"]


@pytest.fixture
def crops(tmp_path):
    """How a folder with one pair of 30 x 30 crops on arcface, or the .bin file of them, is prepared."""
    pixels = np.random.default_rng(7).integers(0, 256, (2, 30, 30, 3), np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "pairs.csv").write_text("path1,path2,same\na.png,b.png,1\n")
    write_bin(tmp_path / "lfw.bin", [png.encode(image) for image in pixels], [True])

    def prepare(image_size, form, template="arcface", **changes):
        alignment = {"to": template, "template": "arcface"}
        settings = {
            "folder": str(tmp_path),
            "image_size": image_size,
            "alignment": alignment,
            "maximum_failed_share": 0.0,
        }
        given = {"folder": {"pairs": tmp_path / "pairs.csv"}, "bin": {"pairs": None, "source": tmp_path / "lfw.bin"}}
        names = {"benchmark": "out.bin", "persons": "out.persons.csv", "failures": "out.failures.csv"}
        paths = {key: tmp_path / name for key, name in names.items()}
        prepare_benchmark(settings | changes, **given[form], **paths)
        return [png.decode(image) for image in read_bin(tmp_path / "out.bin")[0]]

    return prepare, pixels


@pytest.mark.parametrize("form", ["folder", "bin"])
def test_crops_of_a_benchmark_are_moved_to_what_a_network_reads(crops, form):
    prepare, pixels = crops
    np.testing.assert_array_equal(prepare(20, form, "two_eye"), realign(pixels, "arcface", "two_eye", 20))
    np.testing.assert_array_equal(prepare(30, form), pixels)


@pytest.mark.parametrize("form", ["folder", "bin"])
def test_small_crops_are_no_benchmark_of_a_network_that_reads_large_ones_unless_that_is_meant(crops, form):
    prepare, pixels = crops
    with pytest.raises(
        BrownidError, match=r"2 of 2 images .* it is 30 x 30 pixels, and the network reads 60: set `enl"
    ):
        prepare(60, form)
    np.testing.assert_array_equal(prepare(60, form, enlarge=True), realign(pixels, "arcface", "arcface", 60))


def test_code_in_a_benchmark_is_refused_by_name_and_not_executed(tmp_path, weights):
    class Code:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    (tmp_path / "lfw.bin").write_bytes(pickle.dumps(([b"", Code()], [True])))
    with pytest.raises(BrownidError, match=r"lfw\.bin was refused, nothing in it was executed"):
        made = {"scores": tmp_path / "scores.json", "pairs": tmp_path / "pairs.parquet"}
        score_model(SCORING, weights=weights, benchmarks=[tmp_path / "lfw.bin"], **made)
    assert [path.name for path in tmp_path.iterdir()] == ["lfw.bin"]
