"""A fetched file is whole and the right one, or nothing of it is there."""

import errno
import io
from dataclasses import replace
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from model_files import CHECKSUM, CONTENT, published_model, write_catalogue

from brownid.errors import BrownidError
from brownid.jobs.fetch_model import fetch_model
from brownid.models import fetching
from brownid.models.fetching import catalogue_line, fetch


def refusal(model):
    with pytest.raises(BrownidError) as caught:
        fetch(model)
    return str(caught.value)


def left_behind(model):
    """Everything below the folder of the model's path."""
    folder = Path(model.path).parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_fetched_and_checked(tmp_path):
    model = published_model(tmp_path, sha256=CHECKSUM, size=len(CONTENT))
    fetched = fetch(model)
    assert fetched == (Path(model.path), CHECKSUM, False)
    assert Path(model.path).read_bytes() == CONTENT
    assert left_behind(model) == ["net.bin"]


def test_a_file_that_is_there_stays(tmp_path):
    model = published_model(tmp_path, sha256=CHECKSUM)
    fetch(model)
    assert fetch(replace(model, url="file:///nowhere")).was_there
    unverifiable = replace(model, sha256=None, url="file:///nowhere")
    Path(model.path).write_bytes(b"of the user's own")
    assert fetch(unverifiable).was_there
    assert Path(model.path).read_bytes() == b"of the user's own"


def test_a_damaged_file_that_is_there_is_replaced(tmp_path):
    model = published_model(tmp_path, sha256=CHECKSUM)
    Path(model.path).parent.mkdir()
    Path(model.path).write_bytes(CONTENT[:-1])
    assert not fetch(model).was_there
    assert Path(model.path).read_bytes() == CONTENT


def test_a_mismatch_names_both_checksums_and_leaves_nothing_behind(tmp_path):
    model = published_model(tmp_path, sha256="0" * 64)
    said = refusal(model)
    assert CHECKSUM in said and "0" * 64 in said and model.url in said
    assert left_behind(model) == []


def test_a_mismatch_leaves_what_was_there(tmp_path):
    model = published_model(tmp_path, sha256="0" * 64)
    Path(model.path).parent.mkdir()
    Path(model.path).write_bytes(b"older")
    refusal(model)
    assert Path(model.path).read_bytes() == b"older" and left_behind(model) == ["net.bin"]


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size_is_refused(tmp_path, size):
    model = published_model(tmp_path, size=size)
    assert f"{size:,}" in refusal(model)
    assert left_behind(model) == []


def test_without_a_known_checksum_the_line_for_the_catalogue_is_given(tmp_path):
    model = published_model(tmp_path)
    assert catalogue_line(model, fetch(model).sha256) == f'sha256: "{CHECKSUM}"'
    assert catalogue_line(replace(model, sha256=CHECKSUM), CHECKSUM) is None


def test_an_interrupted_copy_leaves_nothing(tmp_path, monkeypatch):
    model = published_model(tmp_path)

    def interrupted(*_):
        yield CONTENT[:100]
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(model)
    assert left_behind(model) == []


def test_a_full_disk_leaves_nothing_and_is_a_sentence(tmp_path, monkeypatch):
    model = published_model(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", model.path)
        yield b""

    monkeypatch.setattr(fetching, "progress", full)
    with pytest.raises(BrownidError, match="make room there"):
        fetch(model)
    assert left_behind(model) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (None, "net has no address that a program may fetch: put it at"),
        ("file:///nowhere/at/all", "net: file:///nowhere/at/all: cannot read the file: No such file"),
        ("file://elsewhere/a/b", "a file address names no other machine"),
        ("ftp://example.org/net", "https:// and file:// addresses only"),
    ],
)
def test_an_address_that_gives_nothing_is_a_sentence(tmp_path, url, sentence):
    model = published_model(tmp_path, url=url)
    assert sentence in refusal(model)
    assert left_behind(model) == []


class Answer(io.BytesIO):
    """What a server says."""

    def __init__(self, content, kind="application/octet-stream", length=None):
        super().__init__(content)
        self.headers = Message()
        self.headers["Content-Type"] = kind
        if length is not None:
            self.headers["Content-Length"] = str(length)


@pytest.fixture
def serve(monkeypatch):
    """Let every https address give this answer, or raise it."""

    def to(answer):
        def opened(self, request, timeout):
            assert timeout > 0
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr("urllib.request.OpenerDirector.open", opened)

    return to


def test_a_file_from_a_server_is_fetched(tmp_path, serve):
    model = published_model(tmp_path, url="https://example.org/net", sha256=CHECKSUM)
    serve(Answer(CONTENT, length=len(CONTENT)))
    assert fetch(model).sha256 == CHECKSUM


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(CONTENT, length=len(CONTENT) + 1), "the transfer ended after 8,000 of 8,001 bytes; try again"),
        (Answer(b"<html>", "text/html; charset=utf-8"), "answers with a web page instead of the file"),
        (HTTPError("https://example.org/net", 404, "Not Found", Message(), None), "the server answers 404 (Not Found)"),
        (URLError("Name or service not known"), "cannot be reached (Name or service not known): fetch on a machine"),
    ],
    ids=["cut", "page", "404", "offline"],
)
def test_a_server_that_gives_no_whole_file_is_a_sentence(tmp_path, serve, answer, sentence):
    model = published_model(tmp_path, url="https://example.org/net")
    serve(answer)
    assert sentence in refusal(model)
    assert left_behind(model) == []


def test_a_redirection_to_anything_but_https_is_refused():
    handler = fetching._SecureRedirects()
    request = fetching.urllib.request.Request("https://example.org/net")
    with pytest.raises(BrownidError, match="which is not https"):
        handler.redirect_request(request, None, 302, "Found", Message(), "http://example.org/net")
    following = handler.redirect_request(request, None, 302, "Found", Message(), "https://example.org/other")
    assert following.full_url == "https://example.org/other"


def test_the_job_fetches_the_model_of_a_path_and_logs_what_to_add(tmp_path, caplog):
    model = published_model(tmp_path)
    catalogue = write_catalogue(tmp_path / "models.yaml", net={"path": model.path, "url": model.url})
    with caplog.at_level("INFO", "brownid"):
        fetch_model(model.path, catalogue=catalogue)
    assert Path(model.path).read_bytes() == CONTENT
    assert f'add to net in the catalogue, so that every later fetch is checked: sha256: "{CHECKSUM}"' in caplog.text
    with pytest.raises(BrownidError, match="no model of the catalogue"):
        fetch_model(tmp_path / "other", catalogue=catalogue)
