"""A fetched file is whole and the right one, or nothing of it is there."""

import contextlib
import errno
import gzip
import http.client
import io
import os
import socket
import ssl
import threading
import time
import zlib
from dataclasses import replace
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from model_files import CHECKSUM, CONTENT, published_model, write_catalogue

from brownid.runtime.errors import BrownidError
from brownid.weights import fetching
from brownid.weights.fetching import catalogue_line, fetch
from fetch_model import fetch_model


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
        ("ftp://example.org/net", "https:// and hf:// and file:// addresses only"),
    ],
)
def test_an_address_that_gives_nothing_is_a_sentence(tmp_path, url, sentence):
    model = published_model(tmp_path, url=url)
    assert sentence in refusal(model)
    assert left_behind(model) == []


class Answer(io.BytesIO):
    """What a server says."""

    status = 200

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


@pytest.fixture
def loopback(tmp_path, monkeypatch):
    """A model at a server of this machine that gives these bytes to each request, with a pause before each of them."""
    monkeypatch.setattr(fetching, "SECURE", "http")
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def serve(*parts, pause=0.0):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def answer():
            with contextlib.suppress(OSError):  # the test is over, or the client has had enough
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        for part in parts:
                            time.sleep(pause)
                            connection.sendall(part)

        threading.Thread(target=answer, daemon=True).start()
        return published_model(tmp_path, url=f"http://127.0.0.1:{server.getsockname()[1]}/net")

    yield serve
    for server in servers:
        server.close()


def http_answer(body, **headers):
    lines = ["HTTP/1.1 200 OK", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def in_pieces(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


CHUNKED = {"Transfer_Encoding": "chunked"}
RAW = {
    "plain": http_answer(CONTENT, Content_Length=len(CONTENT)),
    "until the end": http_answer(CONTENT),
    "in pieces": http_answer(in_pieces(CONTENT), **CHUNKED),
    "in pieces with another length": http_answer(in_pieces(CONTENT), **CHUNKED, Content_Length=5),
    "gzip": http_answer(gzip.compress(CONTENT), Content_Encoding="gzip"),
    "gzip of two parts": http_answer(
        gzip.compress(CONTENT[:99]) + gzip.compress(CONTENT[99:]), Content_Encoding="GZIP"
    ),
    "zlib": http_answer(in_pieces(zlib.compress(CONTENT)), Content_Encoding="deflate", **CHUNKED),
}


@pytest.mark.parametrize("name", RAW)
def test_every_way_to_send_a_file_gives_the_file(loopback, name):
    model = loopback(RAW[name])
    assert fetch(replace(model, sha256=CHECKSUM)).sha256 == CHECKSUM
    assert Path(model.path).read_bytes() == CONTENT


BAD = {
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP as it should"),
    "nothing": (b"", "cannot be reached (Remote end closed connection without response)"),
    "a long line": (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000, "got more than 65536 bytes when reading header line"),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "got more than 100 headers"),
    "cut": (http_answer(CONTENT, Content_Length=9000), "the transfer ended after 8,000 of 9,000 bytes; try again"),
    "cut in pieces": (http_answer(b"ffff\r\nabc", **CHUNKED), "the transfer broke off (IncompleteRead"),
    "no pieces": (http_answer(b"what\r\n", **CHUNKED), "the transfer broke off ("),
    "cut gzip": (http_answer(gzip.compress(CONTENT)[:-9], Content_Encoding="gzip"), "ended within the compressed"),
    "no gzip": (http_answer(CONTENT, Content_Encoding="gzip"), "the answer is compressed and damaged"),
    "brotli": (http_answer(CONTENT, Content_Encoding="br"), "the server compresses its answer by 'br'"),
    "empty": (http_answer(b"", Content_Length=0), "the answer is empty"),
    "to a file": (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", "'file:///etc/passwd' is not"),
    "to ftp": (b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/net\r\n\r\n", "points to ftp://127.0.0.1/net, which"),
    "to a wrong port": (b"HTTP/1.1 302 Found\r\nLocation: http://a:b/\r\n\r\n", "nonnumeric port: 'b'): correct"),
    "in a circle": (b"HTTP/1.1 302 Found\r\nLocation: /net\r\n\r\n", "error message was: Found)"),
    "a part": (b"HTTP/1.1 206 Partial Content\r\n\r\nab", "the server answers 206 (Partial Content)"),
    "colours": (b"HTTP/1.1 500 \x1b[31mred\r\n\r\n", "the server answers 500 (?[31mred)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_server_that_does_something_else_is_a_sentence(loopback, name):
    answer, sentence = BAD[name]
    model = loopback(answer)
    assert sentence in refusal(model)
    assert left_behind(model) == []


@pytest.mark.parametrize("compressed", [False, True])
def test_what_has_no_end_is_stopped_where_the_catalogue_knows_no_size(loopback, monkeypatch, compressed):
    monkeypatch.setattr(fetching, "LARGEST", 1000)
    body = http_answer(gzip.compress(bytes(10**6)), Content_Encoding="gzip") if compressed else http_answer(CONTENT)
    model = loopback(body)
    assert "it is longer than 1,000 bytes, the most that is fetched of a model whose size" in refusal(model)
    assert left_behind(model) == []


def test_a_length_that_is_announced_and_too_long_is_refused_at_once(loopback):
    model = loopback(http_answer(b"x", Content_Length=10**15))
    assert f"it is longer than {fetching.LARGEST:,} bytes" in refusal(model)
    model = replace(loopback(http_answer(CONTENT, Content_Length=len(CONTENT))), size=100)
    assert "it is longer than 100 bytes. Nothing was kept" in refusal(model)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({"LONGEST": 0.1}, "the transfer is too slow"),
        ({"SILENCE": 0.1, "SLOWEST": 10**6}, "the transfer is too slow"),
        ({"SILENCE": 0.01}, "cannot be reached (timed out)"),
        ({"LONGEST_START": 0.01}, "cannot be reached (no answer in 0 s)"),
    ],
)
def test_a_slow_server_cannot_hold_a_job_for_ever(loopback, monkeypatch, limits, sentence):
    for name, value in limits.items():
        monkeypatch.setattr(fetching, name, value)
    model = loopback(http_answer(b""), *[b"x"] * 20, pause=0.02)
    assert sentence in refusal(model)
    assert left_behind(model) == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "the transfer broke off ("),
        (TimeoutError("The read operation timed out"), "the transfer broke off (The read operation timed out)"),
        (ConnectionResetError(104, "Connection reset by peer"), "the transfer broke off ("),
    ],
)
def test_a_transfer_that_breaks_off_is_a_sentence(tmp_path, serve, error, sentence):
    class Broken(Answer):
        def read1(self, size=-1):
            raise error

    model = published_model(tmp_path, url="https://example.org/net")
    serve(Broken(CONTENT))
    assert sentence in refusal(model)
    assert left_behind(model) == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (URLError(ssl.SSLCertVerificationError(1, "certificate has expired")), "see to the clock and the certificates"),
        (URLError(ssl.SSLError(1, "wrong version number")), "wrong version number"),
        (http.client.InvalidURL("URL can't contain control characters"), "correct the address"),
        (UnicodeError("label empty or too long"), "correct the address"),
    ],
)
def test_a_server_that_cannot_be_talked_to_is_a_sentence(tmp_path, serve, error, sentence):
    serve(error)
    assert sentence in refusal(published_model(tmp_path, url="https://example.org/net"))


def test_a_pipe_at_a_file_address_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    model = published_model(tmp_path, url=(tmp_path / "pipe").as_uri())
    assert "this is no regular file" in refusal(model)


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
