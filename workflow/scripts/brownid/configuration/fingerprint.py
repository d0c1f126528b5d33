"""The fingerprint of a job's code: equal exactly when the job would compute the same thing.

Snakemake watches the script file alone, by its modification time. A fingerprint in a rule's `params` watches what the
job executes: the definitions (functions, classes, module constants) of the script and the library that starting the
script reaches, directly or through others, and the packages of its conda environment. In which file a definition stands
does not count; neither do comments, docstrings, sentences and bounds of settings, annotations of functions, formatting
and file times.

Of a table of families (`TABLES`) only the families that the job's settings name are followed: an edit of StyleGAN3 does
not run a job again that uses StyleGAN2. A table of which the settings name nothing is followed whole, unless they say
that they use none (`NONE`) or the table is one of options (`OPTIONAL`).
"""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from brownid.configuration.definitions import Definition, Library, Target
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import atomic_path

# The version, and what shapes messages, checks of settings, logs and process start: none of it changes a result.
UNTRACKED = frozenset(
    {"brownid", "brownid.runtime.errors", "brownid.runtime.gpus", "brownid.runtime.process", "brownid.runtime.settings"}
)
# Dictionaries from the names of families or algorithms to what implements them.
TABLES = frozenset(
    {
        Definition("brownid.alignment.detection", "DETECTORS"),
        Definition("brownid.exports.layouts", "LAYOUTS"),
        Definition("brownid.facemodel.loading", "FAMILIES"),
        Definition("brownid.recognition.backbones", "FAMILIES"),
        Definition("brownid.recognition.loading", "LOADERS"),
        Definition("sample_references", "ALGORITHMS"),
        Definition("sample_references", "NUISANCE_DIRECTIONS"),
        Definition("vary_references", "ALGORITHMS"),
    }
)
# Those of which a job uses nothing unless its settings have the key that an entry is named after.
OPTIONAL = frozenset({Definition("sample_references", "NUISANCE_DIRECTIONS")})
OPTIONS = ("nuisance_projection",)
NONE = ""  # among the families of a job: it uses no entry of a table of which it names none
# Where a module is imported by a name that no syntax tree shows, and why nothing of the library is missed there.
DYNAMIC = {
    Definition("brownid.runtime.factories", "import_factory"): "the user's own code: config/README.md says so",
    Definition("brownid.jobs.launch", "main"): "the function that `run_in_processes` was given, which is followed",
    Definition(
        "brownid.generators.diffusion.components", "library"
    ): "diffusers and transformers, which environments pin",
}

_library = cache(
    lambda folder: Library(folder, UNTRACKED, TABLES, NONE, OPTIONAL)
)  # syntax trees are read once a process


def fingerprint(
    script: str | Path,
    environment: str | Path,
    library: str | Path,
    families: Collection[str] | None = None,
    kept: str | Path | None = None,
) -> str:
    """SHA-256 (16 hexadecimal digits) of what `script` executes.

    `library` is the folder of the scripts and of the package `brownid`; `environment` is a conda environment file, of
    which the content counts, not the layout. `families` are the names that the job uses of `TABLES`, as `families_of`
    finds them; None means all of them. In the folder `kept` results are kept for other processes, under the content of
    all that they come from: Snakemake reads the workflow again for each job on a cluster, and following all definitions
    takes seconds.
    """
    chosen = None if families is None else frozenset(families)
    place = None if kept is None else Path(kept)
    return _fingerprint(Path(script), Path(environment), _library(Path(library)), chosen, place)


@cache  # many jobs run one script
def _fingerprint(
    script: Path, environment: Path, library: Library, families: frozenset[str] | None, kept: Path | None = None
) -> str:
    packages = environment.read_text(encoding="utf-8")
    if kept is None:
        return _computed(script, packages, library, families)
    origin = (_sources(library.folder), script.read_bytes(), packages, families and sorted(families))
    place = kept / sha256(repr(origin).encode()).hexdigest()
    with suppress(OSError, ValueError):
        found = place.read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{16}", found):
            return found
    computed = _computed(script, packages, library, families)
    with suppress(BrownidError), atomic_path(place) as temporary:  # where it cannot be kept, it is computed again
        temporary.write_text(computed, encoding="ascii")
    return computed


def _computed(script: Path, packages: str, library: Library, families: frozenset[str] | None) -> str:
    parts = library.reached(script.stem, families)
    contents: dict[Target, str] = {definition: part.content for definition, part in parts.items()}
    lines = sorted(
        # by content, so that two definitions of one name differ and a definition that moves stays the same
        repr((part.content, sorted((name, contents.get(target, target)) for name, target in part.references)))
        for part in parts.values()
    )
    lines.append(repr(yaml.safe_load(packages)))
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


@cache
def _sources(library: Path) -> str:
    """A checksum of all files of a library, and of their places."""
    digest = sha256()
    for path in sorted(library.rglob("*.py")):
        source = path.read_bytes()
        digest.update(f"{path.relative_to(library)} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def reached_definitions(
    script: str | Path, library: str | Path, families: Collection[str] | None = None
) -> set[Definition]:
    """The definitions that `script` can execute, its own included; the arguments are those of `fingerprint`."""
    return set(_library(Path(library)).reached(Path(script).stem, families))


def families_of(settings: object) -> set[str] | None:
    """The families, factories, algorithms, layouts and `OPTIONS` in a job's settings, at any depth; None for none.

    `NONE` is among them where an alignment is None or without a detector.
    """
    found: set[str] = set()
    waiting: list[Any] = [settings]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            found |= {
                value[key] for key in ("family", "factory", "algorithm", "layout") if isinstance(value.get(key), str)
            }
            found |= {key for key in OPTIONS if value.get(key)}
            found |= {NONE for key in ("alignment", "detector") if value.get(key, "") is None}
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return found or None
