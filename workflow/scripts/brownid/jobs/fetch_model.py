"""Fetch the model that belongs at a path."""

from pathlib import Path

from brownid.errors import BrownidError
from brownid.models.catalogue import OWN_CATALOGUE, model_at, read_catalogue
from brownid.models.fetching import catalogue_line, fetch, trust
from brownid.runtime import logger


def fetch_model(path: Path, *, catalogue: Path | None) -> None:
    """Fetch the file that a catalogue (None: the project's own) lists for `path`, and log what is known of it."""
    model = model_at(read_catalogue(catalogue), path)
    if model is None:
        raise BrownidError(f"{path}: no model of the catalogue {catalogue or OWN_CATALOGUE} has this path.")
    logger.info("%s: %s; licence: %s", model.name, model.source, model.licence)
    fetched = fetch(model, path)
    if fetched.was_there:
        logger.info("%s is there already", path)
        return
    logger.info("fetched %s: %s", path, trust(model))
    line = catalogue_line(model, fetched.sha256)
    if line is not None:
        logger.info("add to %s in the catalogue, so that every later fetch is checked: %s", model.name, line)
