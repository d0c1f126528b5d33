"""Fetch the model that belongs at a path."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from pathlib import Path

from brownid.runtime.errors import BrownidError
from brownid.weights.catalogue import OWN_CATALOGUE, model_at, read_catalogue
from brownid.weights.fetching import catalogue_line, fetch, trust


def fetch_model(model: Path, *, catalogue: Path | None) -> None:
    """Fetch the file that a catalogue (None: the project's own) lists for a path, and log what is known of it."""
    listed = model_at(read_catalogue(catalogue), model)
    if listed is None:
        raise BrownidError(f"{model}: no model of the catalogue {catalogue or OWN_CATALOGUE} has this path.")
    logger.info("%s: %s; licence: %s", listed.name, listed.source, listed.licence)
    fetched = fetch(listed, model)
    if fetched.was_there:
        logger.info("%s is there already", model)
        return
    logger.info("fetched %s: %s", model, trust(listed))
    line = catalogue_line(listed, fetched.sha256)
    if line is not None:
        logger.info("add to %s in the catalogue, so that every later fetch is checked: %s", listed.name, line)


if __name__ == "__main__":
    run(fetch_model, snakemake, catalogue=snakemake.config["models"]["catalogue"])
