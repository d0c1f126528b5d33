"""Fetching a model: from its address to its path, whole and checked, or not at all."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from brownid import __version__
from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.models.catalogue import SCHEMES, Model
from brownid.models.checking import damage, mismatch
from brownid.runtime import progress

CHUNK = 1024 * 1024  # bytes
SILENCE = 60.0  # seconds without an answer after which a transfer has failed
WEB_PAGES = ("text/html", "application/xhtml+xml")


class Fetched(NamedTuple):
    """What a fetch came to."""

    path: Path
    sha256: str  # of what was fetched; empty where the file was there already
    was_there: bool


class _Source(NamedTuple):
    stream: BinaryIO
    length: int | None  # bytes that it announces


def fetch(model: Model, path: str | Path | None = None) -> Fetched:
    """Bring a model to `path` (None: its own), and check size and checksum before it appears there.

    A file that is there stays as it is where it is right, or where no checksum is known to tell. Raises `BrownidError`
    where the model has no address, the address cannot be read, or what it gives is another file; then nothing is left
    behind and a file that was there stays.
    """
    path = Path(path or model.path)
    if path.is_dir():
        raise BrownidError(f"{path}: a folder of this name exists; the model {model.name} is a file.")
    if path.exists() and damage(model, path) is None:
        return Fetched(path, "", was_there=True)
    if model.url is None:
        raise BrownidError(
            f"{model.name} has no address that a program may fetch: put it at {path} from {model.source} "
            f"(licence: {model.licence})."
        )
    with _opened(model) as source, atomic_path(path) as temporary:
        size, checksum = _copy(model, source, temporary)
        wrong = mismatch(model, size, checksum)
        if wrong is not None:
            raise BrownidError(
                f"{model.url} is not the model {model.name}: {wrong}. Nothing was kept; see {model.source}, and "
                "correct the catalogue if the file was published anew."
            )
    return Fetched(path, checksum, was_there=False)


def catalogue_line(model: Model, checksum: str) -> str | None:
    """The line for the model's section of the catalogue after the first fetch, where its checksum was not known."""
    return None if model.sha256 else f'sha256: "{checksum}"'


def trust(model: Model) -> str:
    """How much is known of a fetched file, as a sentence."""
    if model.sha256:
        return "its SHA-256 is the catalogue's"
    return "its SHA-256 was not known before, so nothing vouches for the content but the address"


def _copy(model: Model, source: _Source, target: Path) -> tuple[int, str]:
    """The size and SHA-256 of what was written to `target`."""
    digest, size = hashlib.sha256(), 0
    total = None if source.length is None else -(-source.length // CHUNK)
    with open(target, "wb") as file:
        chunks = iter(lambda: _read(model, source), b"")
        for chunk in progress(chunks, f"fetch {model.name}", "MiB", total):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if model.size is not None and size > model.size:
                raise BrownidError(
                    f"{model.url} is not the model {model.name}: it is longer than {model.size:,} bytes. "
                    f"Nothing was kept; see {model.source}."
                )
    if source.length is not None and size != source.length:
        raise BrownidError(f"{model.url}: the transfer ended after {size:,} of {source.length:,} bytes; try again.")
    return size, digest.hexdigest()


def _read(model: Model, source: _Source) -> bytes:
    try:
        return source.stream.read(CHUNK)
    except http.client.HTTPException as error:
        raise BrownidError(f"{model.url}: the transfer broke off ({error!r}); try again.") from error
    except (TimeoutError, ConnectionError) as error:
        raise BrownidError(f"{model.url}: the transfer broke off ({error}); try again.") from error


@contextmanager
def _opened(model: Model) -> Iterator[_Source]:
    url, place = model.url, f"{model.name}: {model.url}"
    if url.startswith("file://"):
        path = _file_of(url)
        try:
            stream = open(path, "rb")  # noqa: SIM115 (closed below)
            length = path.stat().st_size
        except OSError as error:
            raise BrownidError(f"{place}: cannot read the file: {error.strerror}.") from error
        with stream:
            yield _Source(stream, length)
        return
    if not url.startswith("https://"):
        raise BrownidError(f"{place}: models are fetched from {' and '.join(SCHEMES)} addresses only.")
    opener = urllib.request.build_opener(_SecureRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": f"brownid/{__version__}"})
    try:
        answer = opener.open(request, timeout=SILENCE)
    except urllib.error.HTTPError as error:
        raise BrownidError(f"{place}: the server answers {error.code} ({error.reason}).") from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise BrownidError(
            f"{place}: cannot be reached ({reason}): fetch on a machine with internet access, a login node for example."
        ) from error
    with answer:
        if answer.headers.get_content_type() in WEB_PAGES:
            raise BrownidError(f"{place}: the server answers with a web page instead of the file; fetch it by hand.")
        length = answer.headers.get("Content-Length")
        yield _Source(answer, int(length) if length and length.isdecimal() else None)


def _file_of(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise BrownidError(f"{url}: a file address names no other machine; write file:///absolute/path.")
    return Path(url2pathname(parts.path))


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https only."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not newurl.startswith("https://"):
            raise BrownidError(f"{req.full_url}: the server points to {newurl}, which is not https; fetch it by hand.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
