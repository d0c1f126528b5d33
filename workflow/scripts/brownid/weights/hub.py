"""Files and repositories of the Hugging Face Hub at `hf://` addresses, brought by the package huggingface_hub.

`hf://OWNER/NAME/FILE` is a file of a model repository, `hf://datasets/OWNER/NAME/FILE` one of a dataset repository, and
without FILE the address is the whole repository. A token, which gated repositories ask for, is read by huggingface_hub
alone (`hf auth login`).
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from brownid.runtime.errors import FULL, BrownidError, one_line, pip_install

SCHEME = "hf"
OWN_FOLDER = ".cache"  # what huggingface_hub keeps in a folder that it downloads into

_TOKEN = re.compile(r"hf_\w+")


class Address(NamedTuple):
    """An address of the Hub, taken apart."""

    kind: str  # model or dataset
    repository: str  # OWNER/NAME
    file: str  # path in the repository, or empty for all of it


def parse(url: str) -> Address:
    """The parts of an `hf://` address; ValueError for one that names no repository."""
    found = re.fullmatch(rf"{SCHEME}://(datasets/)?([\w.-]+/[\w.-]+)(?:/(.+))?", url)
    if found is None or ".." in (found[3] or "").split("/"):
        raise ValueError(f"{url!r} is not {SCHEME}://OWNER/NAME/FILE or {SCHEME}://datasets/OWNER/NAME/FILE")
    return Address("dataset" if found[1] else "model", found[2], found[3] or "")


def file_size(place: str, url: str) -> int | None:
    """Bytes of the file of an address; None where the Hub does not say."""
    kind, repository, file = parse(url)
    with _sentences(place):
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        return get_hf_file_metadata(hf_hub_url(repository, file, repo_type=kind)).size


def download_file(place: str, url: str, folder: Path) -> Path:
    """Download the file of an address into a folder; its path."""
    kind, repository, file = parse(url)
    with _sentences(place):
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(repository, file, repo_type=kind, local_dir=folder))


def download_repository(place: str, url: str, folder: Path) -> None:
    """Download all files of a repository into a new folder."""
    kind, repository, _ = parse(url)
    with _sentences(place):
        from huggingface_hub import snapshot_download

        snapshot_download(repository, repo_type=kind, local_dir=folder)
    shutil.rmtree(folder / OWN_FOLDER, ignore_errors=True)


@contextmanager
def _sentences(place: str) -> Iterator[None]:
    """Turn a missing package, and errors of the Hub and of the network, into a sentence without tokens.

    A full disk or quota is no error of the Hub, and is raised as it comes.
    """
    try:
        from huggingface_hub.errors import EntryNotFoundError, HTTPError
    except ImportError:
        message = f"{place}: addresses of the Hugging Face Hub need the package huggingface_hub"
        raise BrownidError(f"{message}: {pip_install('huggingface_hub')}.") from None
    try:
        yield
    except (HTTPError, EntryNotFoundError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in FULL:
            raise
        said = _TOKEN.sub("hf_…", one_line(error)).rstrip(".")
        raise BrownidError(
            f"{place}: the Hugging Face Hub refuses this or does not answer ({said}): check the network, and for a "
            "gated repository who you are by `hf auth whoami` (`hf auth login`)."
        ) from error
