"""The files and folders of the user's that a configuration names, and whether they exist."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from brownid.errors import BrownidError
from brownid.models.catalogue import advice, fetched_paths, read_catalogue, same_path
from brownid.models.folders import generator_files

# section -> the keys of an entry that name a file, or several by role
OWN_FILES = {
    "generators": ("file",),
    "networks": ("weights",),
    "benchmarks": ("file", "pairs"),
    "databases": ("index", "metadata", "landmarks"),
    "detectors": ("file", "files"),
    "covariates": ("vgg16",),
}
OWN_FOLDERS = {"generators": ("folder", "base"), "databases": ("root", "lists"), "benchmarks": ("folder",)}


class OwnPath(NamedTuple):
    """A file or folder of the user's that an entry names."""

    place: str  # the key in the configuration
    path: str
    is_folder: bool

    @property
    def exists(self) -> bool:
        """Whether it is there, as what it should be."""
        return Path(self.path).is_dir() if self.is_folder else Path(self.path).is_file()


def own_paths(config: Mapping) -> list[OwnPath]:
    """Every file and folder of the user's that a configuration names, in the order of its entries."""
    named = [*_named(config, OWN_FILES, is_folder=False), *_named(config, OWN_FOLDERS, is_folder=True)]
    for name, spec in config.get("generators", {}).items():
        inside = generator_files(spec) if spec.get("folder") else []
        named += [OwnPath(f"generators.{name}", path, is_folder=False) for path in inside]
    return named


def check_files(config: Mapping) -> None:
    """Raise a `BrownidError` naming the first of the user's files and folders that does not exist.

    Snakemake would notice a missing input only when the stage that reads it has to run. Files that the configuration
    asks to fetch may be missing.
    """
    missing = [own for own in own_paths(config) if not own.exists]
    if not missing:
        return
    own_catalogue = config.get("models", {}).get("catalogue")
    catalogue = read_catalogue(own_catalogue)
    fetched = fetched_paths(config)
    for own in missing:
        if same_path(own.path) not in fetched:
            what = "folder" if own.is_folder else "file"
            below = "" if Path(own.path).is_absolute() else f" in {Path.cwd()}"
            steps = advice(catalogue, own.path, own_catalogue)
            raise BrownidError(f"{own.place}: there is no {what} {own.path}{below}{steps}")


def _named(config: Mapping, keys: Mapping[str, tuple[str, ...]], is_folder: bool) -> Iterator[OwnPath]:
    for section, names in keys.items():
        for entry_name, entry in config.get(section, {}).items():
            for key in names:
                place, value = f"{section}.{entry_name}.{key}", entry.get(key)
                if isinstance(value, Mapping):
                    yield from (OwnPath(f"{place}.{role}", path, is_folder) for role, path in value.items() if path)
                elif value:
                    yield OwnPath(place, value, is_folder)
