"""The examination of files: missing, damaged, empty, to be fetched, or as published."""

from dataclasses import replace
from hashlib import sha256

import pytest

from brownid.planning.doctor import examine_databases, examine_files, examine_licences
from brownid.weights.catalogue import Model

CONTENT = b"weights"
MODEL = Model("net", "net.pth", "a network", "https://example.org", "MIT", "https://example.org/net.pth")


@pytest.fixture
def examined(tmp_path, monkeypatch):
    """The only finding about a configuration that names net.pth."""
    monkeypatch.chdir(tmp_path)

    def examine(content=None, model=MODEL, path="net.pth", **options):
        if content is not None:
            (tmp_path / "net.pth").write_bytes(content)
        config = {"networks": {"a": {"weights": path}, "b": {"weights": path}}}
        (finding,) = examine_files(config, {"net": model}, **options)
        return finding

    return examine


def test_a_missing_file_blocks_and_says_how_to_get_it(examined):
    finding = examined()
    assert finding.level == "blocks"
    assert finding.what == "the file net.pth (networks.a.weights, networks.b.weights) is missing"
    assert finding.remedy.startswith("brownid models fetch net, or from https://example.org (a network; licence: MIT)")
    assert examined(model=replace(MODEL, url=None, note="mind")).remedy.endswith("licence: MIT); mind")


def test_a_folder_in_a_file_s_place_is_named(examined, tmp_path):
    (tmp_path / "net.pth").mkdir()
    assert examined().what.endswith("is a folder, not a file")


def test_a_damaged_file_blocks_with_both_checksums(examined):
    known = replace(MODEL, sha256=sha256(CONTENT).hexdigest())
    assert examined(CONTENT, known).level == "fine"
    finding = examined(b"Weights", known)
    assert finding.level == "blocks" and known.sha256 in finding.what
    assert examined(model=known, quick=True).level == "fine"  # same size, content not read
    assert examined(b"", MODEL).what.endswith("it is empty")


def test_a_file_that_nobody_knows_is_fine_where_it_is_there(examined, tmp_path):
    (tmp_path / "other.pth").write_bytes(b"x")
    assert examined(path="other.pth") == (
        "fine",
        "Files and databases",
        "other.pth (networks.a.weights, networks.b.weights) is there; it is not in the catalogue",
        "",
    )


def test_a_file_that_the_run_will_fetch_does_not_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    catalogue = tmp_path / "models.yaml"
    catalogue.write_text(
        "net: {path: net.pth, what: a, source: https://example.org, licence: MIT, url: https://example.org/n}"
    )
    config = {"models": {"fetch": True, "catalogue": str(catalogue)}, "networks": {"a": {"weights": "net.pth"}}}
    (finding,) = examine_files(config, {"net": MODEL})
    assert finding.level == "note" and "the run will fetch it" in finding.what


def test_an_empty_folder_blocks(tmp_path):
    config = {"databases": {"faces": {"root": str(tmp_path)}}}
    (finding,) = examine_files(config, {})
    assert finding.level == "blocks" and "the folder is empty" in finding.what


DATABASE = {"kind": "people", "images": "aligned", "identity_subfolders": False}
DATABASE |= dict.fromkeys(("index", "lists", "metadata", "landmarks"))


def examined_databases(root, **entry):
    return list(examine_databases({"databases": {"faces": {**DATABASE, "root": str(root), **entry}}}))


def test_the_images_and_identities_of_a_database_are_counted_with_what_is_left_out(tmp_path, capsys):
    for name in ("ann/1.png", "ann/2.pgm", "ann/2.png", "bob/1.jpg", "bob/1.txt", "list.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone").symlink_to("nowhere")
    counted, *notes = examined_databases(tmp_path)
    assert counted == ("fine", "Files and databases", "databases.faces: 4 images of 2 identities", "")
    assert [note.level for note in notes] == ["note"] * 3
    assert "passed over 2 files: 1 .csv, 1 .txt" in notes[0].what and "gone -> nowhere" in notes[1].what
    assert "2 images would share their keys" in notes[2].what
    assert capsys.readouterr() == ("", "")


def test_a_database_that_is_projected_needs_persons_with_several_images(tmp_path):
    for name in ("ann/1.png", "ann/2.png", "bob/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    projected = {"covariates": {"mine": {"database": "faces"}}}
    entries = {"databases": {"faces": {**DATABASE, "root": str(tmp_path)}}}
    assert [finding.level for finding in examine_databases(entries)] == ["fine"]
    counted, few = examine_databases(entries | projected)
    assert (counted.level, few.level) == ("fine", "blocks")
    assert "it (covariates.mine.database) has 2 persons, 1 of them with two images or more" in few.what


def test_a_database_that_cannot_be_indexed_blocks_with_the_sentence_of_the_run(tmp_path):
    for name in ("imgs/ann/1.png", "imgs/bob/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (finding,) = examined_databases(tmp_path)
    assert finding.level == "blocks" and f"Set `root` to {tmp_path / 'imgs'}" in finding.what
    assert examined_databases(tmp_path, identity_subfolders=True)[0].what.endswith("2 images of 1 identities")
    (finding,) = examined_databases(tmp_path / "imgs", kind="recordio")
    assert finding.level == "blocks" and "no record file such as train.rec" in finding.what
    assert examined_databases(tmp_path / "absent") == []  # which `examine_files` tells


def test_each_used_licence_is_noted_once():
    config = {"networks": {"a": {"weights": "net.pth"}, "b": {"weights": "net.pth"}}}
    (finding,) = examine_licences(config, {"net": MODEL, "unused": replace(MODEL, path="unused")})
    assert finding.what == "net: MIT"
