"""Datasets of a configuration: the section of an entry, whose persons and images it shows, how many images it has."""

from collections.abc import Mapping
from typing import Any

DATASETS = ("references", "variations", "databases", "realigned")  # the sections whose entries have images
EXPRESSIONS = 5  # of latent editing, in addition to the neutral one


def section_of(config: Mapping, name: str, sections: tuple[str, ...]) -> str:
    """The section that has an entry of this name."""
    return next(section for section in sections if name in config.get(section, {}))


def original(config: Mapping, dataset: str) -> str:
    """The dataset whose images a realigned one shows; any other dataset itself."""
    entry = config.get("realigned", {}).get(dataset)
    return entry["images"] if entry else dataset


def namespace(config: Mapping, dataset: str) -> str:
    """The name of the entry that defines a dataset's persons: variations show the persons of their references."""
    source = original(config, dataset)
    if section_of(config, source, DATASETS) == "variations":
        return str(config["variations"][source]["references"])
    return source


def crop_of(config: Mapping, dataset: str) -> tuple[str, int]:
    """Template and side of a dataset's images."""
    images = config["realigned"].get(dataset, config["images"])
    return images["template"], images["image_size"]


def images_an_identity(entry: Mapping[str, Any]) -> int:
    """Images that a variations entry makes of each identity."""
    settings = entry["settings"]
    if entry["algorithm"] == "covariates":
        return 1 + 2 * settings["steps"] + EXPRESSIONS
    return int(settings["variations"])


def synthetic_images(config: Mapping, dataset: str) -> int:
    """Images of a dataset that is not of a database, at most: a packing may reject identities."""
    source = original(config, dataset)
    count: int = config["references"][namespace(config, source)]["identities"]
    return count * (images_an_identity(config["variations"][source]) if source in config["variations"] else 1)
