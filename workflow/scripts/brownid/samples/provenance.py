"""command.yml: what made a result, in full, and nothing else; equal runs give equal files, so it holds no date."""

import dataclasses
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import brownid
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path
from brownid.runtime.text import read_yaml

REVISION_VARIABLE = "BROWNID_REVISION"  # for trees copied without .git; a suffix "-dirty" means edited since
UNKNOWN = "unknown"
GIT_SECONDS = 30
ACCEPTED = "results/accepted.yml"  # results of older code that were accepted under newer code, and when


def write_command(
    path: str | Path,
    *,
    settings: object,
    seed: int | None,
    inputs: Mapping[str, str],
    command: str = "",
) -> None:
    """Write command.yml; the file appears whole or not at all.

    `settings` is every resolved parameter (a mapping, or a dataclass), `inputs` maps each input to its SHA-256,
    `command` names the stage or command line. Keys are sorted, so that their order in a config does not matter.
    """
    revision, clean = code_revision()
    content = {
        "command": command,
        "settings": _plain(settings, path),
        "seed": seed,
        "inputs": _plain(inputs, path),
        "revision": revision,
        "tree_clean": clean,
        "versions": versions(),
    }
    _write(path, content)


def add_acceptance(path: str | Path, entry: Mapping[str, object]) -> None:
    """Add to a command.yml that its results were accepted under other code; the file keeps its time.

    `entry` says under which, and when. Only the last entry of the same code counts.
    """
    content, time = read_command(path), os.stat(path)
    before = [other for other in content.get("accepted", []) if other["code"] != entry["code"]]
    _write(path, {**content, "accepted": [*before, dict(entry)]})
    os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))


def record_acceptances(path: str | Path, entries: Sequence[Mapping[str, object]]) -> None:
    """Append to the list of results that were accepted under other code."""
    before = read_yaml(path) if Path(path).exists() else []
    _write(path, [*before, *map(dict, entries)])


def _write(path: str | Path, content: object) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_command(path: str | Path) -> dict[str, Any]:
    """The content of a command.yml; anything else is a BrownidError naming the file."""
    content = read_yaml(path)
    missing = {"settings", "seed", "inputs", "revision", "versions"} - set(content if isinstance(content, dict) else ())
    if missing:
        raise BrownidError(f"{path}: this is no record of a command, it lacks {', '.join(sorted(missing))}.")
    return content


def code_revision() -> tuple[str, bool | str]:
    """The git revision of this code, and whether its tree was clean; "unknown" where that cannot be known."""
    given = os.environ.get(REVISION_VARIABLE, "").strip()
    if given:
        return given.removesuffix("-dirty"), not given.endswith("-dirty")
    # A package installed somewhere below another project's repository must not take that project's revision.
    revision = _git("rev-parse", "HEAD") if _git("ls-files", "__init__.py") else None
    status = _git("status", "--porcelain") if revision else None
    return revision or UNKNOWN, UNKNOWN if status is None else status == ""


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "brownid": brownid.__version__,
        "python": platform.python_version(),
        **{name: _package_version(name) for name in ("numpy", "torch")},
    }


def _package_version(name: str) -> str:
    try:
        return version(name)  # of the metadata, so that torch need not be imported
    except PackageNotFoundError:
        return UNKNOWN


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(brownid.__file__).parent), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _plain(value: object, path: str | Path) -> Any:
    """Settings as YAML's own types, mappings sorted by key."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, path) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item, path) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item, path) for item in value)
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise BrownidError(f"{path}: the setting {value!r} of type {type(value).__name__} cannot be recorded.")
