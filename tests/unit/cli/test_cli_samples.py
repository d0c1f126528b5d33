"""`brownid samples`, `plot` and `verify`."""

from dataclasses import replace

import numpy as np
import pytest

from brownid.databases.decoding import load_rgb
from brownid.release.contents import DatasetPart, ReleaseDescription
from brownid.release.package import build_release
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_image_shard
from brownid.samples.provenance import write_command
from brownid.samples.statistics import save_statistics


def test_info_counts_what_is_there(run, embedded):
    text = run("samples", "info", embedded).stdout
    for part in ("columns format", "4", "2 (samples of each: 2)", "world", "slim", "reference (2), smile (2)", "4 x 8"):
        assert part in text
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["genuine", "impostor", "nearest"]
    assert "genuine" not in run("samples", "info", embedded, "--no-angles").stdout


def test_converting_there_and_back_changes_nothing(run, embedded, tmp_path):
    run("samples", "convert", embedded, "--to", "published", "-o", tmp_path / "p.h5")
    assert "published format" in run("samples", "info", tmp_path / "p.h5").stdout
    run("samples", "convert", tmp_path / "p.h5", "--to", "columns", "-o", tmp_path / "c.h5")
    before, after = SampleCollection.load(embedded), SampleCollection.load(tmp_path / "c.h5")
    assert np.array_equal(before.latents, after.latents) and before.labels == after.labels


def test_a_part_of_a_collection_can_be_converted_and_parts_be_merged(run, embedded, tmp_path):
    for label in ("reference", "smile"):
        run("samples", "convert", embedded, "--to", "columns", "--label", label, "-o", tmp_path / f"{label}.h5")
    run("samples", "merge", tmp_path / "reference.h5", tmp_path / "smile.h5", "-o", tmp_path / "all.h5")
    assert sorted(SampleCollection.load(tmp_path / "all.h5").labels) == ["reference"] * 2 + ["smile"] * 2


def test_info_tells_how_a_collection_is_stored_and_what_is_absent(run, embedded, tmp_path):
    words = ("--precision", "float16", "--compression", "gzip", "-o", tmp_path / "small.h5")
    run("samples", "convert", embedded, "--to", "columns", *words)
    text = run("samples", "info", tmp_path / "small.h5").stdout
    assert "4 x 8, float32, stored as float16, gzip (" in text and "kB)" in text.splitlines()[0]
    assert "4 x 8, float64, not compressed (260 bytes)" in run("samples", "info", embedded).stdout
    whole = SampleCollection.load(embedded)
    latents = whole.latents.copy()
    latents[2] = np.nan
    replace(whole, latents=latents, partial=True).save(tmp_path / "partial.h5")
    assert "absent from 1 samples" in run("samples", "info", tmp_path / "partial.h5").stdout
    replace(whole, latents=None).save(tmp_path / "embeddings.h5")
    assert "latents:     none" in run("samples", "info", tmp_path / "embeddings.h5").stdout


def test_partial_samples_survive_conversion(run, embedded, tmp_path):
    whole = SampleCollection.load(embedded)
    rows = whole.embeddings.copy()
    rows[1] = np.nan
    replace(whole, embeddings=rows, partial=True).save(tmp_path / "a.h5")
    run("samples", "convert", tmp_path / "a.h5", "--to", "published", "-o", tmp_path / "b.h5")
    run("samples", "convert", tmp_path / "b.h5", "--to", "columns", "-o", tmp_path / "c.h5")
    run("samples", "merge", tmp_path / "c.h5", "-o", tmp_path / "d.h5")
    found = SampleCollection.load(tmp_path / "d.h5", partial=True)
    np.testing.assert_array_equal(found.embeddings, rows)
    assert "genuine" in run("samples", "info", tmp_path / "d.h5").stdout


def test_some_identities_can_be_converted(run, refusal, embedded, tmp_path):
    for format_ in ("columns", "published"):
        run("samples", "convert", embedded, "--to", format_, "--identities", "1", "-o", tmp_path / f"{format_}.h5")
        assert SampleCollection.load(tmp_path / f"{format_}.h5").identities.tolist() == [1, 1]
    sentence = refusal(
        "samples", "convert", embedded, "--to", "columns", "--identities", "1-5", "-o", tmp_path / "x.h5"
    )
    assert "embedded.h5: the collection has no identity 2, 3, 4, 5." in sentence


def test_merging_checks_settings_and_completeness_unless_told(run, refusal, embedded, tmp_path):
    whole = SampleCollection.load(embedded)
    first, second, out = tmp_path / "first.h5", tmp_path / "second.h5", tmp_path / "out.h5"
    replace(whole.select([0]), settings={"seed": 1}).save(first)
    replace(whole.rows([2]), settings={"seed": 2}).save(second)
    assert "second.h5 was made with other settings than" in refusal("samples", "merge", first, second, "-o", out)
    lacking = refusal("samples", "merge", first, second, "--any-settings", "-o", out)
    assert "second.h5: identity 1 lacks the label 'smile'" in lacking
    run("samples", "merge", first, second, "--any-settings", "--incomplete", "--precision", "float16", "-o", out)
    assert len(SampleCollection.load(out)) == 3


def test_bad_requests_about_collections_are_refused(refusal, embedded, faces, tmp_path):
    damaged, out = tmp_path / "damaged.h5", tmp_path / "out.h5"
    damaged.write_bytes(embedded.read_bytes()[:1000])
    assert "damaged.h5" in refusal("samples", "info", damaged)
    convert = ("samples", "convert", embedded, "-o", out)
    assert "no such format" in refusal(*convert, "--to", "csv")
    assert "no sample has the label 'x'" in refusal(*convert, "--to", "columns", "--label", "x")
    assert "the precision 'half' is unknown" in refusal(*convert, "--to", "columns", "--precision", "half")
    assert "published format has neither" in refusal(*convert, "--to", "published", "--compression", "gzip")
    assert "cannot be joined" in refusal("samples", "merge", embedded, faces / "samples.h5", "-o", out)
    assert "more than one part" in refusal("samples", "merge", embedded, embedded, "-o", out)
    assert "--overwrite" in refusal("samples", "merge", embedded, "-o", damaged)
    assert not out.exists()


def test_overwrite_replaces_a_file(run, embedded, tmp_path):
    (tmp_path / "out.h5").write_text("old")
    run("samples", "merge", embedded, "-o", tmp_path / "out.h5", "--overwrite")
    assert len(SampleCollection.load(tmp_path / "out.h5")) == 4


def test_statistics_are_drawn(run, refusal, embedded, tmp_path):
    save_statistics(tmp_path / "stats.h5", {"dist_avg": [1.0, 1.1], "timestep": [0.1, 0.2]})
    run("plot", "statistics", tmp_path / "stats.h5", "-o", tmp_path / "stats.png")
    assert load_rgb(tmp_path / "stats.png").std() > 0
    assert "there is no such file" in refusal("plot", "statistics", tmp_path / "none.h5", "-o", tmp_path / "n.png")


def test_distances_are_drawn_and_printed(run, refusal, embedded, faces, tmp_path):
    figure = tmp_path / "distances.png"
    text = run("plot", "distances", embedded, "--training", embedded, "-o", figure, "--title", "two people").stdout
    assert "to training" in text and "0.000" in text and load_rgb(figure).std() > 0
    assert "no embeddings" in refusal("plot", "distances", faces / "samples.h5", "-o", tmp_path / "n.png")


@pytest.fixture
def release(embedded, tmp_path):
    """A release of one dataset of four samples."""
    collection = SampleCollection.load(embedded)
    images = np.random.default_rng(5).integers(0, 255, (4, 32, 32, 3), np.uint8)
    write_image_shard(tmp_path / "1-of-1.parquet", "people", collection.identities, collection.labels, images)
    write_command(tmp_path / "command.yml", settings={}, seed=1, inputs={})
    part = DatasetPart(
        name="people", samples=embedded, image_shards=[tmp_path / "1-of-1.parquet"], command=tmp_path / "command.yml"
    )
    description = ReleaseDescription(name="tiny", description="Noise.", creator="Nobody", licence="CC0-1.0")
    build_release(tmp_path / "tiny", description=description, datasets=[part])
    return tmp_path / "tiny"


def test_verify_passes_a_whole_release_and_names_a_changed_file(run, refusal, release):
    listed = len((release / "manifest.csv").read_text().splitlines()) - 1
    assert f"all {listed} files" in run("verify", release).stdout
    (release / ".DS_Store").touch()
    assert "passed over what file managers and the like left: .DS_Store." in run("verify", release).stdout
    image = next(release.rglob("*.png"))
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    assert image.name in refusal("verify", release)


def test_verify_refuses_what_is_no_release(refusal, tmp_path):
    assert "no such folder" in refusal("verify", tmp_path / "none")
    assert "no release" in refusal("verify", tmp_path)
