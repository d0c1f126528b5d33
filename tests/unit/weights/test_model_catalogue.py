"""The catalogue of external files: complete, unambiguous, and refused with a sentence where it is wrong."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from model_files import write_catalogue

from brownid.configuration.loading import check_files
from brownid.configuration.paths import fetched_models
from brownid.planning.doctor import examine_files
from brownid.runtime.errors import BrownidError
from brownid.weights.catalogue import advice, fetched_paths, model_at, read_catalogue


def test_the_project_s_own_catalogue_can_be_read_and_every_address_is_safe():
    models = read_catalogue()
    assert {"stylegan2-ffhq-256x256", "nizhib-iresnet50", "yunet", "multipie", "lfw"} <= set(models)
    for model in models.values():
        assert model.url is None or model.url.startswith("hf://" if model.folder else ("https://", "hf://"))
        assert urlsplit(model.source).scheme == "https"
        assert model.path.startswith(("models/", "data/"))


def test_a_model_is_found_by_its_path_however_that_is_written(tmp_path):
    catalogue = read_catalogue(write_catalogue(tmp_path / "a.yaml", net={}))
    assert model_at(catalogue, "./models//net").name == "net"
    assert model_at(catalogue, Path("models/net").absolute()).name == "net"
    assert model_at(catalogue, "models/other") is None


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"licence": None}, "net: the key 'licence' is missing"),
        ({"sha265": "00"}, "net: there is no key 'sha265'; did you mean 'sha256'"),
        ({"sha256": "abc"}, "net.sha256: 'abc' is no SHA-256"),
        (
            {"url": "http://example.org/net"},
            "net.url: 'http://example.org/net' must begin with https:// or hf:// or file://",
        ),
        ({"url": "hf://owner"}, "net.url: 'hf://owner' is not hf://OWNER/NAME/FILE or hf://datasets/OWNER/NAME/FILE."),
        ({"url": "hf://a/b/../c"}, "net.url: 'hf://a/b/../c' is not hf://OWNER/NAME/FILE"),
        ({"url": "hf://a/b"}, "net.url: 'hf://a/b' does not fit: a file has the address of a file, or none."),
        ({"url": "hf://a/b/c", "folder": True}, "a folder has the address of a whole repository, or none."),
        ({"url": "https://example.org/x", "folder": True}, "a folder has the address of a whole repository, or none."),
        ({"path": 5}, "net.path: 5 is no text"),
        ({"what": [1]}, "net.what: [1] is no text"),
        ({"folder": "maybe"}, "net.folder: 'maybe' is neither true nor false"),
        ({"size": -1}, "net.size: -1 is no positive whole number"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, entry, sentence):
    with pytest.raises(BrownidError) as caught:
        read_catalogue(write_catalogue(tmp_path / "a.yaml", net=entry))
    assert sentence in str(caught.value)


def test_two_models_cannot_have_one_path(tmp_path):
    with pytest.raises(BrownidError, match="net and other have the same path"):
        read_catalogue(write_catalogue(tmp_path / "a.yaml", net={"path": "a/b"}, other={"path": "a//b"}))


@pytest.mark.parametrize("content", ["- a list", "a: {b", "a: 1"])
def test_what_is_no_catalogue_is_refused(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(BrownidError, match=r"a\.yaml"):
        read_catalogue(path)
    with pytest.raises(BrownidError, match="cannot read the file"):
        read_catalogue(tmp_path / "missing.yaml")


def test_only_a_configuration_that_asks_for_it_fetches_and_only_what_has_an_address(tmp_path):
    path = write_catalogue(tmp_path / "a.yaml", net={"url": "https://example.org/net"}, other={})
    assert fetched_paths({"models": {"fetch": False, "catalogue": str(path)}}) == []
    assert fetched_paths({"models": {"fetch": True, "catalogue": str(path)}}) == ["models/net"]
    assert fetched_paths({}) == []


def test_the_advice_about_a_missing_file_says_how_to_get_it(tmp_path):
    path = write_catalogue(tmp_path / "a.yaml", net={"url": "https://example.org/net"}, other={})
    catalogue = read_catalogue(path)
    assert "run `brownid models fetch net` there, or put it there from https://example.org (MIT)" in advice(
        catalogue, "models/net"
    )
    assert advice(catalogue, "models/other") == "; put it there from https://example.org (MIT)"
    assert advice(catalogue, "unknown") == ""


def test_a_path_that_the_configuration_writes_in_another_way_is_fetched_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_catalogue(tmp_path / "a.yaml", net={"path": "./models/net", "url": "https://example.org/net"})
    config = {"models": {"fetch": True, "catalogue": str(path)}, "networks": {"a": {"weights": "models//net"}}}
    check_files(config)
    (finding,) = examine_files(config, read_catalogue(path))
    assert finding.level == "note" and "will fetch it" in finding.what
    for written in ("models/net", "models//net"):
        assert re.fullmatch(fetched_models(config), written)


def test_a_catalogue_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"net: \xff")
    with pytest.raises(BrownidError, match=r"a\.yaml: no (YAML that can be read|text in UTF-8)"):
        read_catalogue(tmp_path / "a.yaml")
