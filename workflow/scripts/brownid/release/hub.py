"""Repositories of the Hugging Face Hub for a release: one of the dataset, and one of models per training entry.

The dataset repository is the release as it is, so that `brownid verify` works on a copy from the Hub. A model
repository has the networks of one entry, which differ in the seed alone, with their card, results and licence: the Hub
expects one repository per model.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brownid.release.contents import CHECKSUMS, MANIFEST, manifest_entries
from brownid.release.metadata import METADATA, read_metadata
from brownid.release.verify import verify
from brownid.runtime.errors import BrownidError, one_line, pip_install
from brownid.runtime.files import atomic_path
from brownid.runtime.text import read_json

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CARD, LICENCE, CITATION = "README.md", "LICENSE", "CITATION.cff"
MODELS, RESULTS = "trained_models", "results"
MADE_BY_THE_HUB = {".gitattributes"}
LINKED_FROM = 2**20  # bytes
MOST_FILES = 100_000  # that the Hub advises in a repository
TOKEN = re.compile(r"hf_\w+")
DATASET, MODEL = "dataset", "model"


@dataclass(frozen=True)
class Repository:
    """One repository as it is to be."""

    name: str  # OWNER/NAME
    kind: str  # DATASET or MODEL
    files: Mapping[str, Path]  # path in the repository -> file

    @property
    def url(self) -> str:
        """Its address on the Hub."""
        return f"https://huggingface.co/{'datasets/' if self.kind == DATASET else ''}{self.name}"

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Number and bytes of the files, by file or folder at the top of the repository."""
        found: dict[str, tuple[int, int]] = {}
        for path, file in self.files.items():
            top, slash, _ = path.partition("/")
            count, size = found.get(top + slash, (0, 0))
            found[top + slash] = count + 1, size + file.stat().st_size
        return found


def repositories(release: str | Path, name: str, models: bool = True) -> list[Repository]:
    """The repositories of a release: `name` (OWNER/NAME), and NAME-ENTRY of each training entry where `models`.

    BrownidError for a name that the Hub refuses, and for a release that does not verify, has no licence, or has more
    files than the Hub takes.
    """
    root = Path(release)
    if name.count("/") != 1:
        raise BrownidError(f"--repo {name}: name a repository as OWNER/NAME.")
    problems = verify(root)
    if problems:
        raise BrownidError(
            f"{root}: this release is not sound, so it is not published: {problems[0].rstrip('.')} ({len(problems)} in "
            f"all: brownid verify {root})."
        )
    files = {path: root / path for path in (*(entry.path for entry in manifest_entries(root)), MANIFEST, CHECKSUMS)}
    _check_licence(root, files)
    if len(files) > MOST_FILES:
        raise BrownidError(
            f"{root}: this release has {len(files)} files, and a repository of the Hub should have at most "
            f"{MOST_FILES}: package it without the layout 'published' (release.layouts)."
        )
    found = [Repository(name, DATASET, files)]
    entries = dict.fromkeys(model.partition("/")[0] for model in read_metadata(root).models) if models else {}
    found += [Repository(f"{name}-{entry}", MODEL, _files_of_entry(entry, files)) for entry in entries]
    for repository in found:
        _check_name(repository.name)
    return found


def _check_licence(root: Path, files: Mapping[str, Path]) -> None:
    licence = read_json(root / METADATA).get("licence")
    if not isinstance(licence, str) or not licence.strip() or LICENCE not in files:
        raise BrownidError(
            f"{root}: this release has no licence, without which nobody may use it: set release.licence and package it "
            "again."
        )


def _check_name(name: str) -> None:
    with _library():
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise BrownidError(f"--repo {name}: the Hub refuses this name: {one_line(error)}") from None


@contextmanager
def _library() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise BrownidError(
            "Publishing needs the package huggingface_hub: run `make hub` in the clone, or "
            f"`{pip_install('huggingface_hub')}`."
        ) from None


def _files_of_entry(entry: str, files: Mapping[str, Path]) -> dict[str, Path]:
    """The files of a model repository: what stands below the entry, its results, and the licence."""
    chosen = {path: files[path] for path in (LICENCE, CITATION) if path in files}
    for path, file in files.items():
        if path.startswith((f"{MODELS}/{entry}/", f"{MODELS}/{entry}.")):
            chosen[path.removeprefix(f"{MODELS}/").removeprefix(f"{entry}/")] = file
        elif path.startswith(f"{MODELS}/{RESULTS}/{entry}/"):
            chosen[f"{RESULTS}/{path.removeprefix(f'{MODELS}/{RESULTS}/{entry}/')}"] = file
    return chosen


def prepare(planned: Sequence[Repository], folder: str | Path) -> None:
    """Write repositories as folders OWNER/NAME below a new folder, which appears whole.

    Large files are hard links where the file system has them. Small ones, which one may edit, are copies.
    """
    with atomic_path(folder) as temporary:
        for repository in planned:
            for path, file in repository.files.items():
                target = temporary / repository.name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(file, target)


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        if file.stat().st_size < LINKED_FROM:
            raise OSError
        os.link(file, target)
    except OSError:  # small, or on another file system
        shutil.copyfile(file, target)


def upload(planned: Sequence[Repository], api: "HfApi", *, message: str, private: bool, replace: bool) -> None:
    """Upload repositories; those that are there already are refused unless `replace`, before anything is uploaded.

    Files of an earlier version are then deleted; the history of the repository keeps them. An upload that was
    interrupted is continued by `replace`.
    """
    with _answers("the Hub"):
        api.whoami()
    for repository in planned:
        with _answers(repository.name):
            there = api.repo_exists(repository.name, repo_type=repository.kind)
            old = set(api.list_repo_files(repository.name, repo_type=repository.kind)) if there else set()
        if old - MADE_BY_THE_HUB and not replace:
            raise BrownidError(
                f"{repository.name}: this repository holds files already; add --replace to make this release its "
                "newest version, or choose another --repo."
            )
    for repository in planned:
        with tempfile.TemporaryDirectory(prefix="brownid-") as temporary, _answers(repository.name):
            folder = Path(temporary)
            for path, file in repository.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).symlink_to(file.resolve())
            api.create_repo(repository.name, repo_type=repository.kind, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=repository.name,
                repo_type=repository.kind,
                folder_path=folder,
                commit_message=message,
                delete_patterns="*" if replace else None,
            )


@contextmanager
def _answers(what: str) -> Iterator[None]:
    """Turn errors of the Hub and of the network into a sentence without tokens."""
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        said = TOKEN.sub("hf_…", one_line(error)).rstrip(".")
        raise BrownidError(
            f"{what}: the Hub refuses this or does not answer ({said}): check the network, and who you are by `hf auth "
            "whoami` (`hf auth login`)."
        ) from None
