"""Is a file the one that the catalogue describes?"""

import hashlib
import http.client
import io
import re
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from brownid import __version__
from brownid.runtime.errors import BrownidError, one_line, refused_write
from brownid.runtime.files import atomic_path, sha256
from brownid.runtime.process import progress
from brownid.weights import hub
from brownid.weights.catalogue import SCHEMES, Model


def mismatch(model: Model, size: int, checksum: str | None) -> str | None:
    """Difference between a file of this size and SHA-256 (None: any) and the model's; None if equal."""
    if model.size is not None and size != model.size:
        return f"it has {size:,} bytes, not {model.size:,}"
    if model.sha256 is not None and checksum not in (None, model.sha256):
        return f"its SHA-256 is {checksum}, not {model.sha256}"
    return None


def damage(model: Model, path: str | Path | None = None, content: bool = True) -> str | None:
    """Difference between the file at `path` (None: the model's own) and the model's; None if equal.

    A folder is never damaged, as nothing is known of its content. The file is read in full only where a checksum is
    known, its size is right, and its `content` matters.
    """
    path = Path(path or model.path)
    if model.folder:
        return None
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    wrong_size = model.size is not None and size != model.size
    to_compare = model.sha256 is not None and content and not wrong_size
    return mismatch(model, size, sha256(path) if to_compare else None)


CHUNK = 1024 * 1024  # bytes
SILENCE = 60.0  # seconds without an answer after which a transfer has failed
LONGEST_START = 300.0  # seconds until an answer begins, redirections included
LONGEST = 12 * 3600.0  # seconds that a transfer may take
SLOWEST = 1024  # bytes per second, on average from the first `SILENCE` on
LARGEST = 32 * 1024**3  # bytes of a file whose size the catalogue does not know
SECURE = "https"
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # told by the first bytes
ENCODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True, "deflate": True}  # whether it is decompressed
WEB_PAGES = ("text/html", "application/xhtml+xml")


class Fetched(NamedTuple):
    """Result of a fetch."""

    path: Path
    sha256: str  # of what was fetched; empty where the file was there already
    was_there: bool


class _Source(NamedTuple):
    stream: io.BufferedIOBase
    length: int | None  # bytes that it announces
    compressed: bool = False


def fetch(model: Model, path: str | Path | None = None) -> Fetched:
    """Bring a model to `path` (None: its own), and check size and checksum before it appears there.

    A file that is there stays as it is where it is right, or where no checksum is known to tell. Raises `BrownidError`
    where the model has no address, the address cannot be read, or what it gives is another file; then nothing is left
    behind and a file that was there stays.
    """
    path = Path(path or model.path)
    if model.folder:
        return _fetch_repository(model, path)
    if path.is_dir():
        raise BrownidError(f"{path}: a folder of this name exists; the model {model.name} is a file.")
    if path.exists() and damage(model, path) is None:
        return Fetched(path, "", was_there=True)
    if model.url is None:
        raise _by_hand(model, path)
    with atomic_path(path) as temporary, _opened(model, model.url, path) as source:
        size, checksum = _copy(model, source, temporary)
        wrong = mismatch(model, size, checksum)
        if wrong is not None:
            raise BrownidError(
                f"{model.url} is not the model {model.name}: {wrong}. Nothing was kept; see {model.source}, and "
                "correct the catalogue if a new version was published."
            )
    return Fetched(path, checksum, was_there=False)


def _by_hand(model: Model, path: Path) -> BrownidError:
    return BrownidError(
        f"{model.name} has no address that a program may fetch: put it at {path} from {model.source} "
        f"(licence: {model.licence})."
    )


def _fetch_repository(model: Model, path: Path) -> Fetched:
    """Bring a repository of the Hub to a folder; one that holds something stays as it is."""
    if path.exists() and (path.is_file() or any(path.iterdir())):
        return Fetched(path, "", was_there=True)
    if model.url is None:
        raise _by_hand(model, path)
    with atomic_path(path) as temporary:
        hub.download_repository(f"{model.name}: {model.url}", model.url, temporary)
        if not any(temporary.iterdir()):
            raise BrownidError(f"{model.url}: the repository is empty; see {model.source}.")
    return Fetched(path, "", was_there=False)


def catalogue_line(model: Model, checksum: str) -> str | None:
    """The line for the model's section of the catalogue after the first fetch, where its checksum was not known."""
    return f'sha256: "{checksum}"' if checksum and not model.sha256 else None


def trust(model: Model) -> str:
    """Verification status of a fetched file or folder, as a sentence."""
    if model.sha256:
        return "its SHA-256 is the catalogue's"
    if model.folder:
        return "the catalogue knows no SHA-256 of its files, so nothing vouches for the content but the address"
    return "its SHA-256 was not known before, so nothing vouches for the content but the address"


def _copy(model: Model, source: _Source, target: Path) -> tuple[int, str]:
    """The size and SHA-256 of what was written to `target`."""
    digest, size = hashlib.sha256(), 0
    limit = LARGEST if model.size is None else model.size
    total = None if source.length is None or source.compressed else -(-source.length // CHUNK)
    chunks = _received(model, source)
    chunks = _decompressed(model, chunks) if source.compressed else chunks
    with open(target, "wb") as file:
        for chunk in progress(chunks, f"fetch {model.name}", "MiB", total):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                raise _too_long(model, limit)
    if not size:
        raise BrownidError(f"{model.url}: the answer is empty; try again, or see {model.source}.")
    return size, digest.hexdigest()


def _check_length(model: Model, length: int | None) -> None:
    """Refuse, before its content is fetched, a file that is announced with too many bytes (None: not announced)."""
    limit = LARGEST if model.size is None else model.size
    if length is not None and length > limit:
        raise _too_long(model, limit)


def _too_long(model: Model, limit: int) -> BrownidError:
    known = "" if model.size is not None else ", the most that is fetched of a model whose size the catalogue lacks"
    return BrownidError(
        f"{model.url} is not the model {model.name}: it is longer than {limit:,} bytes{known}. Nothing was kept; see "
        f"{model.source}."
    )


def _received(model: Model, source: _Source) -> Iterator[bytes]:
    """Content of a source in chunks of about `CHUNK` bytes; incomplete or too slow transfers are errors."""
    started, size, waiting = time.monotonic(), 0, bytearray()
    while part := _read(model, source):
        size += len(part)
        waiting += part
        seconds = time.monotonic() - started
        if seconds > LONGEST or (seconds > SILENCE and size < SLOWEST * seconds):
            raise BrownidError(
                f"{model.url}: the transfer is too slow, {size:,} bytes in {seconds:.0f} s; try again, or fetch the "
                "file by hand."
            )
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    if source.length is not None and size != source.length:
        raise BrownidError(f"{model.url}: the transfer ended after {size:,} of {source.length:,} bytes; try again.")
    if waiting:
        yield bytes(waiting)


def _decompressed(model: Model, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The content of a body that a server compressed without being asked to, in chunks of at most `CHUNK` bytes."""
    stream, fed = zlib.decompressobj(GZIP_OR_ZLIB), False
    try:
        for chunk in chunks:
            while chunk:
                if stream.eof:  # gzip allows several parts, one after the other
                    stream = zlib.decompressobj(GZIP_OR_ZLIB)
                fed = True
                content = stream.decompress(chunk, CHUNK)
                chunk = stream.unused_data if stream.eof else stream.unconsumed_tail
                if content:
                    yield content
    except zlib.error as error:
        raise BrownidError(f"{model.url}: the answer is compressed and damaged ({error}); try again.") from None
    if fed and not stream.eof:
        raise BrownidError(f"{model.url}: the transfer ended within the compressed answer; try again.")


def _read(model: Model, source: _Source) -> bytes:
    """Received bytes, at most one chunk; waits at most `SILENCE` for a slow server."""
    try:
        return source.stream.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise BrownidError(f"{model.url}: the transfer broke off ({one_line(error)}); try again.") from error


@contextmanager
def _opened(model: Model, url: str, path: Path) -> Iterator[_Source]:
    """The content at an address; what the Hub's client keeps while it downloads lies next to `path`."""
    place = f"{model.name}: {url}"
    if url.startswith(f"{hub.SCHEME}://"):
        _check_length(model, hub.file_size(place, url))
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            try:
                file = hub.download_file(place, url, Path(folder))
            except OSError as error:
                refusal = refused_write(error, path, Path(folder))
                if refusal is None:
                    raise
                raise refusal from error
            with open(file, "rb") as stream:
                yield _Source(stream, file.stat().st_size)
        return
    if url.startswith("file://"):
        file = _file_of(url)
        if file.exists() and not file.is_file():  # a pipe would be waited for, a device could be without end
            raise BrownidError(f"{place}: this is no regular file.")
        try:
            stream = open(file, "rb")  # noqa: SIM115 (closed below)
            length = file.stat().st_size
        except OSError as error:
            raise BrownidError(f"{place}: cannot read the file: {error.strerror}.") from error
        with stream:
            yield _Source(stream, length)
        return
    if not url.startswith(f"{SECURE}://"):
        raise BrownidError(f"{place}: models are fetched from {' and '.join(SCHEMES)} addresses only.")
    try:
        opener = urllib.request.build_opener(_SecureRedirects)
        request = urllib.request.Request(url, headers={"User-Agent": f"brownid/{__version__}"})
        answer = _answered(opener, request)
    except urllib.error.HTTPError as error:
        raise BrownidError(f"{place}: the server answers {error.code} ({one_line(error.reason)}).") from error
    # ValueError: an address with a wrong port or host name, from the catalogue or a redirection
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreached(place, error) from error
    with answer:
        if answer.status != http.client.OK:  # 206, a part of the file, for example
            raise BrownidError(f"{place}: the server answers {answer.status} ({one_line(answer.reason)}).")
        if answer.headers.get_content_type() in WEB_PAGES:
            raise BrownidError(f"{place}: the server answers with a web page instead of the file; fetch it by hand.")
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            raise BrownidError(
                f"{place}: the server compresses its answer by {encoding!r}, which is not known; fetch it by hand."
            )
        source = _Source(answer, _length(answer), ENCODINGS[encoding])
        _check_length(model, None if source.compressed else source.length)
        yield source


def _answered(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> http.client.HTTPResponse:
    """The answer once its header has arrived; TimeoutError after `LONGEST_START`.

    In a thread of its own: a server that sends a byte of its header now and then is never silent.
    """
    results: list[http.client.HTTPResponse | Exception] = []

    def ask() -> None:
        try:
            results.append(opener.open(request, timeout=SILENCE))
        except Exception as error:  # raised again below
            results.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LONGEST_START)
    if not results:
        raise TimeoutError(f"no answer in {LONGEST_START:.0f} s")
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def _length(answer: http.client.HTTPResponse) -> int | None:
    """The bytes of the body that an answer announces; None where it announces none, or those of each piece."""
    length = answer.headers.get("Content-Length", "").strip()
    pieces = answer.headers.get("Transfer-Encoding")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) and not pieces else None


def _unreached(place: str, error: Exception) -> BrownidError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        remedy = "see to the clock and the certificates of this machine (SSL_CERT_FILE)"
    elif isinstance(error, http.client.InvalidURL | UnicodeError):
        remedy = "correct the address"
    elif isinstance(error, http.client.HTTPException):
        remedy = "the server does not speak HTTP as it should; try again, or fetch it by hand"
    else:
        remedy = "fetch on a machine with internet access, a login node for example"
    return BrownidError(f"{place}: cannot be reached ({one_line(reason)}): {remedy}.")


def _file_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise BrownidError(f"{url}: a file address names no other machine; write file:///absolute/path.")
    return Path(url2pathname(parts.path))


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme.lower() != SECURE:
            raise BrownidError(
                f"{req.full_url}: the server points to {newurl}, which is not {SECURE}; fetch it by hand."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
