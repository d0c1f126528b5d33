"""Are the files and databases there that a configuration names, are they what they should be, and who licenses them?"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from brownid.configuration import paths, stages
from brownid.configuration.files import OwnPath, own_paths
from brownid.databases.index import DatabaseIndex
from brownid.databases.kinds import OWN_FILES, index_images
from brownid.errors import BrownidError
from brownid.models.catalogue import Model, fetch_command, fetched_paths, model_at, same_path
from brownid.models.checking import damage
from brownid.preflight.finding import Finding
from brownid.runtime import logger

FILES, LICENCES = "Files and databases", "Licences"


def examine_files(config: Mapping, catalogue: Mapping[str, Model], quick: bool = False) -> Iterator[Finding]:
    """A finding for each file and folder that the configuration names; `quick` compares sizes only."""
    fetched, own_catalogue = fetched_paths(config), config.get("models", {}).get("catalogue")
    for path, places in _places(config).items():
        named_by = ", ".join(own.place for own in places)
        model, own = model_at(catalogue, path), places[0]
        if not own.exists:
            yield _missing(own, named_by, model, same_path(path) in fetched, own_catalogue)
            continue
        reason = _wrong(model, Path(path), quick)
        if reason is not None:
            yield Finding("blocks", FILES, f"{path} ({named_by}): {reason}", _how_to_get(model, path, own_catalogue))
        elif model is None:
            yield Finding("fine", FILES, f"{path} ({named_by}) is there; it is not in the catalogue")
        elif model.sha256 and not quick:
            yield Finding("fine", FILES, f"{path} ({named_by}) is there, as published")
        else:
            yield Finding("fine", FILES, f"{path} ({named_by}) is there; no checksum was compared")


def examine_databases(config: Mapping) -> Iterator[Finding]:
    """The images and identities of each database of the user's own, as the run will index it, and what it warns of."""
    missing = {own.place.rsplit(".", 1)[0] for own in own_paths(config) if not own.exists}
    for name, entry in config["databases"].items():
        place = f"databases.{name}"
        if entry["root"] is None or place in missing:
            continue
        with _warnings() as warnings, TemporaryDirectory() as folder:
            index = Path(folder) / "index.sqlite"
            try:
                files = {key: paths.database_files(config, name, key) for key in OWN_FILES}
                index_images(stages.index_database(config, name), files, index)
                with DatabaseIndex.open(index) as database:
                    images, identities = database.counts()
                yield Finding("fine", FILES, f"{place}: {images} images of {identities} identities")
            except BrownidError as error:
                yield Finding("blocks", FILES, f"{place}: {error}")
        yield from (Finding("note", FILES, f"{place}: {warning}") for warning in warnings)


def examine_licences(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Finding]:
    """The licence of each catalogued file and database that the configuration names."""
    for model in dict.fromkeys(model_at(catalogue, path) for path in _places(config)):
        if model is not None:
            yield Finding("note", LICENCES, f"{model.name}: {model.licence}", f"see {model.source}")


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is logged as a warning within the block, which is not printed."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    collector = Collector(logging.WARNING)
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield messages
    finally:
        logger.propagate = True
        logger.removeHandler(collector)


def _places(config: Mapping) -> dict[str, list[OwnPath]]:
    """The keys that name each path."""
    places: dict[str, list[OwnPath]] = {}
    for own in own_paths(config):
        places.setdefault(own.path, []).append(own)
    return places


def _missing(
    own: OwnPath, named_by: str, model: Model | None, will_be_fetched: bool, own_catalogue: str | None
) -> Finding:
    what = "folder" if own.is_folder else "file"
    if will_be_fetched:
        return Finding("note", FILES, f"{own.path} ({named_by}) is missing: the run will fetch it from {model.url}")
    there = "a file" if own.is_folder else "a folder"
    found = f"is {there}, not a {what}" if Path(own.path).exists() else "is missing"
    steps = _how_to_get(model, own.path, own_catalogue)
    return Finding("blocks", FILES, f"the {what} {own.path} ({named_by}) {found}", steps)


def _wrong(model: Model | None, path: Path, quick: bool) -> str | None:
    if path.is_dir():
        return None if any(path.iterdir()) else "the folder is empty"
    if model is None:
        return None if path.stat().st_size else "it is empty"
    return damage(model, path, content=not quick)


def _how_to_get(model: Model | None, path: str, own_catalogue: str | None) -> str:
    if model is None:
        return f"put it at {path}, or correct the configuration; the catalogue does not know it"
    page = f"{model.source} ({model.what}; licence: {model.licence})"
    steps = f"{fetch_command(model, own_catalogue)}, or from {page}" if model.url else f"put it there from {page}"
    return f"{steps}; {model.note}" if model.note else steps
