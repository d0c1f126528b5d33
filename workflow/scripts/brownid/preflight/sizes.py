"""How many things a configuration makes, and how wide they are: what the estimates of disk and memory start from."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.configuration import paths
from brownid.configuration.links import DATASETS
from brownid.models.catalogue import Model, model_at

USUAL_WIDTH = 512  # numbers of a latent, and of an embedding
USUAL_RESOLUTION = 256  # of a generator whose file does not say it in its name
RESOLUTIONS = {"arc2face": 512}  # of families that are published at one other resolution
EXPRESSIONS = 5  # beside the neutral one
MULTIPIE_DEFAULTS = {"cameras": 7, "flashes": 7, "expressions": 6}  # of a captured multipie database


def latent_width(spec: Mapping[str, Any]) -> int:
    """Components D of a generator's latents; those of a file are not looked up."""
    return (spec.get("random") or spec).get("latent_dim", USUAL_WIDTH)


def resolution(spec: Mapping[str, Any]) -> int:
    """Side of a generator's images in pixels; that of a file is the one in its name (ffhq-256x256)."""
    named = re.search(r"(\d+)x\1", Path(spec.get("file") or "").name)
    random = spec.get("random") or {}
    stated = random.get("resolution") or random.get("side") or spec.get("side")
    return int(named[1]) if named else stated or RESOLUTIONS.get(spec.get("family"), USUAL_RESOLUTION)


def images_an_identity(entry: Mapping[str, Any]) -> int:
    """Images that a variations entry makes of each identity."""
    settings = entry["settings"]
    if entry["algorithm"] == "covariates":
        return 1 + 2 * settings["steps"] + EXPRESSIONS
    return settings["variations"]


def identities(config: Mapping, dataset: str) -> int:
    """Identities of a references or variations entry."""
    return config["references"][paths.namespace(config, dataset)]["identities"]


def image_count(config: Mapping, dataset: str, catalogue: Mapping[str, Model]) -> int | None:
    """Images of a dataset; None for a database of unknown size."""
    dataset = paths.original(config, dataset)
    section = paths.section_of(config, dataset, DATASETS)
    entry = config[section][dataset]
    if section == "references":
        return entry["identities"]
    if section == "variations":
        return identities(config, dataset) * images_an_identity(entry)
    capture = entry.get("capture")
    if not capture:
        model = model_at(catalogue, entry["root"])
        return model.images if model else None
    if entry["kind"] != "multipie":
        return capture["people"] * capture.get("photos", 1)
    counts = [len(capture[key]) if key in capture else count for key, count in MULTIPIE_DEFAULTS.items()]
    return capture["subjects"] * (counts[0] + counts[1] + counts[2])


def gallery_size(config: Mapping, references: str, catalogue: Mapping[str, Model]) -> int:
    """Embeddings that a packing is pulled to; those of a database of unknown size count as many as its
    identities."""
    entry = config["references"][references]
    named = image_count(config, entry["gallery"], catalogue) if entry["gallery"] else None
    return entry["gallery_size"] or named or entry["identities"]


def class_count(config: Mapping, datasets: list[str], catalogue: Mapping[str, Model]) -> int:
    """Classes of a training on these datasets, databases of unknown size left out."""
    sources = {paths.namespace(config, name) for name in datasets}
    counts = 0
    for name in sources:
        if name in config["references"]:
            counts += config["references"][name]["identities"]
        else:
            capture = config["databases"][name].get("capture") or {}
            model = model_at(catalogue, config["databases"][name]["root"] or "")
            counts += capture.get("people") or capture.get("subjects") or (model and model.identities) or 0
    return counts


def training_entries(config: Mapping) -> dict[str, dict[str, Any]]:
    """The networks that a run trains, by name: datasets, family, architecture, side, settings."""
    trained = {
        name: {"datasets": [entry["database"]], "settings": entry["training"], **_shape(entry, entry["side"])}
        for name, entry in config["networks"].items()
        if entry.get("database")
    }
    side = config["images"]["side"]
    return trained | {
        name: {"datasets": entry["datasets"], "settings": entry["settings"], **_shape(entry, side)}
        for name, entry in config["training"].items()
    }


def embedding_width(network: Mapping[str, Any]) -> int:
    """Numbers of an embedding."""
    return network.get("training", {}).get("embedding_dim", USUAL_WIDTH)


def _shape(entry: Mapping[str, Any], side: int) -> dict[str, Any]:
    return {"family": entry["family"], "architecture": entry["architecture"], "side": side}
