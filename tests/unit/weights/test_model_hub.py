"""Files and repositories of the Hugging Face Hub are fetched as other files are: whole and checked, or not at all."""

import errno
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from model_files import CHECKSUM, CONTENT, published_model

from brownid.runtime.errors import BrownidError
from brownid.weights import hub
from brownid.weights.fetching import fetch, trust

FILE, REPOSITORY = "hf://Idiap/faces/a/net.bin", "hf://datasets/Idiap/faces"


@pytest.fixture
def published(monkeypatch):
    """A Hub whose repositories hold these files; `asked` lists what was asked for. No token is given to it."""
    files, asked = {"a/net.bin": CONTENT, "README.md": b"card"}, []

    def put(folder, name):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
        return str(path)

    def hf_hub_download(repo_id, filename, *, repo_type, local_dir):
        asked.append((repo_type, repo_id, filename))
        if filename not in files:
            raise huggingface_hub.errors.EntryNotFoundError("404 for hf_secret")
        return put(local_dir, filename)

    def get_hf_file_metadata(url):
        name = url.partition("/resolve/main/")[2]
        return SimpleNamespace(size=len(files[name]) if name in files else None)

    def snapshot_download(repo_id, *, repo_type, local_dir):
        asked.append((repo_type, repo_id))
        Path(local_dir, ".cache").mkdir(parents=True)
        for name in files:
            put(local_dir, name)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", get_hf_file_metadata)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return files, asked


def test_a_file_is_fetched_and_checked(tmp_path, published):
    model = published_model(tmp_path, url=FILE, sha256=CHECKSUM, size=len(CONTENT))
    assert fetch(model) == (Path(model.path), CHECKSUM, False)
    assert Path(model.path).read_bytes() == CONTENT
    assert fetch(model).was_there
    assert published[1] == [("model", "Idiap/faces", "a/net.bin")]


def test_another_file_is_refused_and_leaves_nothing(tmp_path, published):
    model = published_model(tmp_path, url=FILE, sha256="0" * 64)
    with pytest.raises(BrownidError, match=r"its SHA-256 is .* Nothing was kept"):
        fetch(model)
    assert not Path(model.path).exists()


def test_a_file_that_is_too_long_is_not_downloaded(tmp_path, published):
    model = published_model(tmp_path, url=FILE, size=len(CONTENT) - 1)
    with pytest.raises(BrownidError, match=rf"it is longer than {len(CONTENT) - 1:,} bytes\. Nothing was kept"):
        fetch(model)
    assert published[1] == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_that_of_the_model_and_no_error_of_the_hub(tmp_path, published, monkeypatch, number):
    model = published_model(tmp_path, url=FILE)
    folders = []

    def full(*_, local_dir, **__):
        folders.append(local_dir)
        raise OSError(number, os.strerror(number), str(local_dir / "part"))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(BrownidError, match="make room there") as caught:
        fetch(model)
    assert str(caught.value).startswith(f"{model.path}: ") and "Hub" not in str(caught.value)
    parent = Path(model.path).parent
    assert [folder.parent for folder in folders] == [parent] and not list(parent.iterdir())


def test_a_repository_is_fetched_whole_and_never_replaced(tmp_path, published):
    model = replace(published_model(tmp_path, url=REPOSITORY), folder=True)
    assert not fetch(model).was_there
    folder = Path(model.path)
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["README.md", "net.bin"]
    assert not (folder / ".cache").exists() and "knows no SHA-256 of its files" in trust(model)
    (folder / "README.md").write_text("of the user's own")
    assert fetch(model).was_there and (folder / "README.md").read_text() == "of the user's own"
    assert published[1] == [("dataset", "Idiap/faces")]


def test_an_empty_repository_is_refused(tmp_path, published):
    published[0].clear()
    model = replace(published_model(tmp_path, url=REPOSITORY), folder=True)
    with pytest.raises(BrownidError, match="the repository is empty"):
        fetch(model)
    assert not Path(model.path).exists()


def test_a_refusal_of_the_hub_is_a_sentence_without_tokens(tmp_path, published):
    model = published_model(tmp_path, url="hf://Idiap/faces/other.bin")
    with pytest.raises(BrownidError) as caught:
        fetch(model)
    assert "net: hf://Idiap/faces/other.bin: the Hugging Face Hub refuses this" in str(caught.value)
    assert "hf_…" in str(caught.value) and "hf_secret" not in str(caught.value)


def test_without_the_package_the_command_that_installs_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    with pytest.raises(BrownidError, match=r"need the package huggingface_hub: .* install huggingface_hub"):
        fetch(published_model(tmp_path, url=FILE))


def test_an_address_is_taken_apart():
    assert hub.parse(FILE) == ("model", "Idiap/faces", "a/net.bin")
    assert hub.parse(REPOSITORY) == ("dataset", "Idiap/faces", "")
