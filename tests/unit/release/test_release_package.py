"""A release holds what it was given, in the published layout, whole or not at all."""

import dataclasses
import errno
import json
import subprocess

import numpy as np
import pytest

from brownid.exports.inventory import RECORD, write_record
from brownid.exports.joining import JoinedTrainingSet, Part
from brownid.exports.layouts import LAYOUTS
from brownid.release.contents import DatasetPart, FilePart, ReleaseDescription, TrainingSetPart
from brownid.release.package import build_release
from brownid.release.verify import verify
from brownid.runtime.errors import BrownidError
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards, write_image_shard


def files_below(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def contents(root):
    return {path: (root / path).read_bytes() for path in files_below(root)}


def test_the_layout_is_the_published_one(release):
    images = [
        f"world_lang_v1/images_arcface_12x12/{identity:05d}/{label}.png"
        for identity in (0, 1, 12)
        for label in ("lighting_far_left", "reference")
    ]
    assert files_below(release) == sorted(
        [
            "CITATION.cff",
            "LICENSE",
            "README.md",
            "checksums.sha256",
            "croissant.json",
            "databases/multipie.sqlite3",
            "figures/benchmark/roc.svg",
            "manifest.csv",
            "metadata.json",
            "scores/scores.csv",
            "trained_models/results/slim_lang/seed_1/batch.png",
            "trained_models/results/slim_lang/seed_1/history.csv",
            "trained_models/results/slim_lang/seed_1/hyperparameters.yml",
            "trained_models/results/slim_lang/seed_1/pairs.parquet",
            "trained_models/results/slim_lang/seed_1/scores.json",
            "trained_models/slim_lang/README.md",
            "trained_models/slim_lang/seed_1.ckpt",
            "trained_models/slim_lang/seed_1.safetensors",
            "world_lang_v1/command.yml",
            "world_lang_v1/samples.h5",
            "world_lang_v1/stats.h5",
            *images,
        ]
    )


def test_images_are_the_bytes_of_the_shards(release, tmp_path):
    shards = ImageShards([tmp_path / "material" / f"{number}.arrow" for number in (0, 1)])
    for index in range(len(shards)):
        name = shards.labels[index].replace("/", "_").replace(" ", "_")
        path = release / f"world_lang_v1/images_arcface_12x12/{shards.identities[index]:05d}/{name}.png"
        assert path.read_bytes() == bytes(shards.encoded(index))


def test_samples_are_those_of_the_source_in_the_published_format(release, tmp_path):
    source = SampleCollection.load(tmp_path / "material" / "samples.h5")
    published = SampleCollection.load(release / "world_lang_v1" / "samples.h5")
    np.testing.assert_array_equal(published.latents, source.latents)
    np.testing.assert_array_equal(published.embeddings, source.embeddings)
    np.testing.assert_array_equal(published.identities, source.identities)
    assert published.labels == ["reference", "lighting_far_left"] * 3


def test_checksums_satisfy_sha256sum(release):
    done = subprocess.run(["sha256sum", "--check", "--strict", "checksums.sha256"], cwd=release, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_readme_tells_datasets_scores_licence_and_how_to_load(release):
    text = (release / "README.md").read_text()
    assert "| `world_lang_v1` | 6 | 3 | not recorded, see its `command.yml` |" in text
    assert "| langevin | 0.8765 |" in text
    for part in ("CC-BY-4.0", "The makers", "brownid verify", "sha256sum -c", "Whether an audit ran is not recorded."):
        assert part in text


def test_the_loading_example_of_the_readme_runs(release, monkeypatch):
    code = (release / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(release)
    scope = {}
    exec(code, scope)
    assert scope["identity"] == "00012" and scope["image"].size == (12, 12) and scope["latent"].shape == (8,)


def test_the_metadata_is_machine_readable_and_counts(release):
    content = json.loads((release / "metadata.json").read_text())
    assert (content["name"], content["licence"], content["creator"]) == ("tiny", "CC-BY-4.0", "The makers")
    (record,) = content["datasets"]
    assert (record["samples"], record["identities"], record["image_size"], record["published"]) == (6, 3, 12, True)
    assert (record["latent_dimension"], record["latent_layers"], record["embedding_dimension"]) == (8, None, 4)
    assert content["models"] == ["slim_lang/seed_1"] and content["training_sets"] == []


def test_equal_parts_give_equal_releases(release, material, tmp_path):
    build_release(tmp_path / "again", **material())
    assert contents(tmp_path / "again") == contents(release)


def test_an_older_release_is_replaced_and_nothing_of_it_stays(release, material):
    parts = material()
    build_release(release, **(parts | {"models": (), "files": (), "score_table": None}))
    assert not (release / "trained_models").exists() and (release / "world_lang_v1").is_dir()


def test_a_release_that_fails_midway_leaves_the_old_one(release, material, monkeypatch):
    before = contents(release)

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("brownid.release.contents.write_manifest", fail)
    with pytest.raises(OSError, match="no space"):
        build_release(release, **material())
    assert contents(release) == before
    assert sorted(path.name for path in release.parent.iterdir()) == ["material", "release"]


def test_a_folder_that_is_no_release_is_left_alone(material, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(BrownidError, match="thesis: the folder holds something that is no release"):
        build_release(tmp_path / "thesis", **material())
    assert (tmp_path / "thesis" / "chapter.txt").exists()


def test_a_missing_source_stops_before_any_work(material, tmp_path):
    parts = material()
    parts["datasets"][0].command.unlink()
    with pytest.raises(BrownidError, match=r"command\.yml: there is no such file to put into the release"):
        build_release(tmp_path / "release", **parts)
    assert not (tmp_path / "release").exists()


def test_samples_without_an_image_are_named(material, tmp_path):
    parts = material()
    part = parts["datasets"][0]
    parts["datasets"] = [dataclasses.replace(part, image_shards=part.image_shards[:1])]
    with pytest.raises(
        BrownidError, match="2 samples of dataset world_lang_v1 have no image, the first is identity 12"
    ):
        build_release(tmp_path / "release", **parts)
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize(
    ("identity", "label", "what"), [(0, "reference", "occurs twice"), (5, "x", "belongs to no sample")]
)
def test_images_without_a_sample_are_named(material, tmp_path, identity, label, what):
    parts = material()
    write_image_shard(tmp_path / "more.arrow", "people", [identity], [label], np.zeros((1, 12, 12, 3), np.uint8))
    part = parts["datasets"][0]
    parts["datasets"] = [dataclasses.replace(part, image_shards=(*part.image_shards, tmp_path / "more.arrow"))]
    with pytest.raises(BrownidError, match=rf"more\.arrow: the image of identity {identity}, label '{label}' {what}"):
        build_release(tmp_path / "release", **parts)


def test_names_used_twice_are_refused(material, tmp_path):
    parts = material()
    with pytest.raises(BrownidError, match="dataset 'world_lang_v1' twice"):
        build_release(tmp_path / "release", **(parts | {"datasets": parts["datasets"] * 2}))
    with pytest.raises(BrownidError, match=r"file 'databases/multipie\.sqlite3' twice"):
        build_release(tmp_path / "release", **(parts | {"files": parts["files"][:1] * 2}))


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "scores/../../x", "scores//x", "README.md", "elsewhere/x", "scores/a\\b", ""]
)
def test_a_file_cannot_be_put_outside_the_release_folders(tmp_path, path):
    with pytest.raises(BrownidError, match=r"path|must go into"):
        FilePart(tmp_path, path)


def test_names_and_descriptions_are_checked(tmp_path):
    with pytest.raises(BrownidError, match=r"dataset name '../x' must consist of"):
        DatasetPart("../x", tmp_path, tmp_path, (tmp_path,))
    with pytest.raises(BrownidError, match="A dataset cannot be called 'scores'"):
        DatasetPart("scores", tmp_path, tmp_path, (tmp_path,))
    with pytest.raises(BrownidError, match="release 'x' needs a licence"):
        ReleaseDescription("x", "a release", "somebody", " ")


def test_a_score_table_in_markdown_is_shown_as_it_is(material, tmp_path):
    table = tmp_path / "scores.md"
    table.write_text("| entry | mean |\n| --- | ---: |\n| fr_lang | 90.12 ± 0.40 |\n", encoding="utf-8")
    build_release(tmp_path / "release", **(material() | {"score_table": table}))
    text = (tmp_path / "release/README.md").read_text(encoding="utf-8")
    assert f"\n\n{table.read_text(encoding='utf-8')}\nIn full in the tables in `scores/`." in text
    assert (tmp_path / "release/scores/scores.md").read_bytes() == table.read_bytes()
    table.write_bytes(b"\xff")
    with pytest.raises(BrownidError, match=r"scores\.md: the score table cannot be read as Markdown"):
        build_release(tmp_path / "release", **(material() | {"score_table": table}))


def test_a_score_table_with_ragged_rows_is_refused(material, tmp_path):
    parts = material()
    parts["score_table"].write_text("a,b\n1\n")
    with pytest.raises(BrownidError, match=r"scores\.csv: the score table needs a header and rows of the same length"):
        build_release(tmp_path / "release", **parts)


def test_the_record_of_accepted_results_is_part_of_the_release(material, tmp_path):
    accepted = tmp_path / "accepted.yml"
    accepted.write_text("- {stage: sample_references}\n")
    build_release(tmp_path / "release", **material(), accepted=accepted)
    assert (tmp_path / "release/accepted.yml").read_bytes() == accepted.read_bytes()
    assert "accepted.yml" in (tmp_path / "release/README.md").read_text()
    assert verify(tmp_path / "release") == []


def test_latents_of_w_plus_are_released_with_the_number_of_layers(material, tmp_path):
    given = material()
    samples = given["datasets"][0].samples
    plain = SampleCollection.load(samples)
    w_plus = np.random.default_rng(4).normal(size=(len(plain), 3, 8)).astype(np.float32)
    dataclasses.replace(plain, extra={"w_plus_latent": w_plus}).save(samples)
    build_release(tmp_path / "release", **given)
    assert verify(tmp_path / "release") == []
    (record,) = json.loads((tmp_path / "release/metadata.json").read_text())["datasets"]
    assert (record["latent_layers"], record["latent_dimension"]) == (3, 8)
    released = SampleCollection.load(tmp_path / "release/world_lang_v1/samples.h5")
    rows = [list(zip(plain.identities, plain.labels, strict=True)).index((0, label)) for label in plain.labels[:2]]
    assert sorted(map(bytes, released.extra["w_plus_latent"][:2])) == sorted(map(bytes, w_plus[rows]))
    assert 'w_plus = sample["w_plus_latent"][0]' in (tmp_path / "release/README.md").read_text()


@pytest.fixture
def exported(material, tmp_path):
    """The inputs of a release, and its dataset exported as a training set in two layouts."""
    given = material()
    (dataset,) = given["datasets"]
    training_set = JoinedTrainingSet("people", [Part(dataset.name, dataset.image_shards, dataset.samples)])
    exports = {}
    for layout in ("parquet", "recordio"):
        exports[layout] = tmp_path / "exports" / layout / RECORD
        exports[layout].parent.mkdir(parents=True)
        LAYOUTS[layout](training_set, exports[layout].parent, shard_bytes=10**6, processes=1)
        write_record(exports[layout].parent, training_set, layout, 1)
    return {**given, "training_sets": [TrainingSetPart("people", exports, "two_eye")]}


def test_exported_training_sets_are_linked_into_the_release_and_not_copied(exported, tmp_path):
    build_release(tmp_path / "release", **exported)
    files = {path for path in files_below(tmp_path / "release") if path.startswith(("data/", "recordio/"))}
    recordio = {f"recordio/people/{name}" for name in ("property", "train.idx", "train.rec", "train.tsv")}
    assert files == {"data/people/train-00000-of-00001.parquet", *recordio}
    for path in files:
        source = tmp_path / "exports" / path.replace("data/", "parquet/").replace("people/", "")
        assert source.samefile(tmp_path / "release" / path)
    (record,) = json.loads((tmp_path / "release/metadata.json").read_text())["training_sets"]
    assert (record["name"], record["rows"], record["classes"], record["image_size"]) == ("people", 6, 3, 12)
    assert record["layouts"] == ["parquet", "recordio"] and record["template"] == "two_eye"
    assert record["datasets"] == {"world_lang_v1": 6} and record["latent_dimension"] == 8


def test_exported_training_sets_are_copied_where_no_link_is_possible(exported, tmp_path, monkeypatch):
    build_release(tmp_path / "linked", **exported)

    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    build_release(tmp_path / "copied", **exported)
    assert contents(tmp_path / "copied") == contents(tmp_path / "linked")
    copied = tmp_path / "copied/data/people/train-00000-of-00001.parquet"
    assert not copied.samefile(tmp_path / "linked/data/people" / copied.name)


def test_without_the_published_layout_there_are_neither_samples_nor_single_images(exported, tmp_path):
    (dataset,) = exported["datasets"]
    exported["datasets"] = [dataclasses.replace(dataset, image_shards=(), image_size=12)]
    build_release(tmp_path / "release", **exported)
    inside = [path for path in files_below(tmp_path / "release") if path.startswith("world_lang_v1/")]
    assert inside == ["world_lang_v1/command.yml", "world_lang_v1/stats.h5"]
    (record,) = json.loads((tmp_path / "release/metadata.json").read_text())["datasets"]
    published = {"published": False, "samples": 6, "identities": 3, "latent_dimension": 8, "generator": "procedural"}
    assert published.items() <= record.items()
    assert verify(tmp_path / "release") == []


def test_exports_that_are_missing_or_differ_are_refused(exported, tmp_path):
    (training_set,) = exported["training_sets"]
    (training_set.exports["recordio"].parent / "train.rec").unlink()
    with pytest.raises(BrownidError, match=r"train\.rec: there is no such file; run the stage that exports it again"):
        build_release(tmp_path / "release", **exported)
    record = json.loads(training_set.exports["recordio"].read_text())
    record["training_set"]["rows"] = 7
    record["files"] = []
    training_set.exports["recordio"].write_text(json.dumps(record))
    with pytest.raises(BrownidError, match="exports of the training set 'people' differ"):
        build_release(tmp_path / "release", **exported)
    training_set.exports["recordio"].unlink()
    with pytest.raises(BrownidError, match=r"export\.json: there is no such file to put into the release"):
        build_release(tmp_path / "release", **exported)
    assert not (tmp_path / "release").exists()


def test_a_gallery_in_a_release_has_a_page_of_what_is_there(written, tmp_path):
    parts = written(tmp_path / "material")
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails/data.js").write_text("gallery.dataset({});")
    parts["files"] = [*parts["files"], FilePart(tmp_path / "thumbnails", "gallery/varied")]
    build_release(tmp_path / "release", **parts)
    assert 'DATASETS = ["varied"]' in (tmp_path / "release/gallery/index.html").read_text()
    assert "open `gallery/index.html`" in (tmp_path / "release/README.md").read_text()
    linked = tmp_path / "release/gallery/varied/data.js"
    assert linked.stat().st_ino == (tmp_path / "thumbnails/data.js").stat().st_ino, "thumbnails take no room twice"
