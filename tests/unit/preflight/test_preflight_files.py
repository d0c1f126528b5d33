"""The examination of files: missing, damaged, empty, to be fetched, or as published."""

from dataclasses import replace
from hashlib import sha256

import pytest

from brownid.models.catalogue import Model
from brownid.preflight.files import examine_files, examine_licences

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


def test_each_used_licence_is_noted_once():
    config = {"networks": {"a": {"weights": "net.pth"}, "b": {"weights": "net.pth"}}}
    (finding,) = examine_licences(config, {"net": MODEL, "unused": replace(MODEL, path="unused")})
    assert finding.what == "net: MIT"
