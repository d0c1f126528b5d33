"""Numbers of samples and images of a configuration, and memory of its networks."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.configuration import paths
from brownid.configuration.datasets import DATASETS, synthetic_images
from brownid.weights.catalogue import Model, model_at

USUAL_WIDTH = 512  # numbers of a latent, and of an embedding
STYLEGAN3_LAYERS = 14  # between the input and the colours, of the published ones
USUAL_RESOLUTION = 256  # of a generator whose file does not say it in its name
RESOLUTIONS = {"arc2face": 512}  # of families that are published at one other resolution
MULTIPIE_DEFAULTS = {"cameras": 7, "flashes": 7, "expressions": 6}  # of a captured multipie database


def latent_width(spec: Mapping[str, Any]) -> int:
    """Components D of a generator's latents; those of a file are not looked up."""
    return (spec.get("random") or spec).get("latent_dim", USUAL_WIDTH)


def layers(spec: Mapping[str, Any]) -> int:
    """Latents L per image in W+; 1 for a generator without W+, and for one of the user's own."""
    if spec.get("family") == "stylegan2":
        return 2 * (resolution(spec).bit_length() - 2)
    if spec.get("family") == "stylegan3":
        return (spec.get("random") or {}).get("layers", STYLEGAN3_LAYERS) + 2
    return 1


def resolution(spec: Mapping[str, Any]) -> int:
    """Side of a generator's images in pixels; that of a file is the one in its name (ffhq-256x256)."""
    named = re.search(r"(\d+)x\1", Path(spec.get("file") or "").name)
    random = spec.get("random") or {}
    stated = random.get("resolution") or random.get("image_size") or spec.get("image_size")
    return int(named[1]) if named else stated or RESOLUTIONS.get(spec.get("family", ""), USUAL_RESOLUTION)


def image_count(config: Mapping, dataset: str, catalogue: Mapping[str, Model]) -> int | None:
    """Images of a dataset; None for a database of unknown size."""
    dataset = paths.original(config, dataset)
    section = paths.section_of(config, dataset, DATASETS)
    entry = config[section][dataset]
    if section in ("references", "variations"):
        return synthetic_images(config, dataset)
    capture = entry.get("capture")
    if not capture:
        model = model_at(catalogue, entry["root"])
        return model.images if model else None
    if entry["kind"] != "multipie":
        return capture["people"] * capture.get("photos", 1)
    counts = [len(capture[key]) if key in capture else count for key, count in MULTIPIE_DEFAULTS.items()]
    return capture["subjects"] * (counts[0] + counts[1] + counts[2])


def thumbnails(config: Mapping, dataset: str) -> int:
    """Images of a dataset that the gallery shows, at most: with variations also the references."""
    varied = config["variations"].get(dataset)
    count = synthetic_images(config, dataset)
    if varied is not None:
        count += config["references"][varied["references"]]["identities"]
    return min(count, config["gallery"]["most_images"])


def thumbnail_side(config: Mapping) -> int:
    """Pixels of a side of the gallery's thumbnails, which are not enlarged."""
    return min(config["gallery"]["thumbnail_size"], config["images"]["image_size"])


def projected_images(config: Mapping, covariates: str, catalogue: Mapping[str, Model]) -> int | None:
    """Images that a covariates entry projects at most; None for all of a database of unknown size."""
    entry = config["covariates"][covariates]
    capture = config["databases"][entry["database"]].get("capture") or {}
    limits = {
        "persons": [entry["persons"], person_count(config, entry["database"], catalogue)],
        "images": [entry["images_per_person"], capture.get("photos")],
    }
    persons, each = (min(filter(None, known), default=None) for known in limits.values())
    bounds = [image_count(config, entry["database"], catalogue), persons and each and persons * each]
    return min(filter(None, bounds), default=None)


def person_count(config: Mapping, database: str, catalogue: Mapping[str, Model]) -> int | None:
    """Persons of a database; None where their number is unknown."""
    entry = config["databases"][database]
    capture, model = entry.get("capture") or {}, model_at(catalogue, entry["root"] or "")
    return capture.get("people") or capture.get("subjects") or (model.identities if model else None)


def gallery_size(config: Mapping, references: str, catalogue: Mapping[str, Model]) -> int:
    """Embeddings that attract a packing; those of a database of unknown size count as many as its
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
            counts += person_count(config, name, catalogue) or 0
    return counts


def training_entries(config: Mapping) -> dict[str, dict[str, Any]]:
    """The networks that a run trains, by name: datasets, settings, processes, family, architecture, side."""

    def shared(entry: Mapping) -> dict[str, Any]:
        return {key: entry[key] for key in ("processes", "shard_head_from")}

    trained = {
        name: {
            "datasets": [entry["database"]],
            "settings": entry["training"],
            **shared(entry),
            **_shape(entry, entry["image_size"]),
        }
        for name, entry in config["networks"].items()
        if entry.get("database")
    }
    image_size = config["images"]["image_size"]
    return trained | {
        name: {
            "datasets": entry["datasets"],
            "settings": entry["settings"],
            **shared(entry),
            **_shape(entry, image_size),
        }
        for name, entry in config["training"].items()
    }


def seed_count(config: Mapping, name: str) -> int:
    """Networks that a training or networks entry trains: one per seed."""
    return len(paths.trained_models(config, name)) if name in config["training"] else 1


def embedding_width(network: Mapping[str, Any]) -> int:
    """Numbers of an embedding."""
    return network.get("training", {}).get("embedding_dim", USUAL_WIDTH)


def _shape(entry: Mapping[str, Any], image_size: int) -> dict[str, Any]:
    return {"family": entry["family"], "architecture": entry["architecture"], "image_size": image_size}


FLOAT32 = 4  # bytes
# MB per image, float32: what autograd keeps of one crop of 112 pixels, counted
FOR_BACKWARD_AT_112: dict[str, dict[str, float]] = {
    "insightface": {"iresnet18": 46, "iresnet34": 61, "iresnet50": 71, "iresnet100": 112},
    "nizhib": {"iresnet34": 61, "iresnet50": 71, "iresnet100": 112},
    "adaface": {"ir_18": 50, "ir_34": 70, "ir_50": 83, "ir_101": 138},
    "slim": {"slim_iresnet": 1.8, "slim_iresnet_wide": 2.7, "slim_plain": 0.9},
}
PARAMETERS = {  # millions, with embeddings of 512 numbers and crops of 112 pixels, counted
    "insightface": {"iresnet18": 24.0, "iresnet34": 34.1, "iresnet50": 43.6, "iresnet100": 65.2},
    "nizhib": {"iresnet34": 34.1, "iresnet50": 43.6, "iresnet100": 65.2},
    "adaface": {"ir_18": 24.0, "ir_34": 34.1, "ir_50": 43.6, "ir_101": 65.2},
    "slim": {"slim_iresnet": 0.25, "slim_iresnet_wide": 0.52, "slim_plain": 3.3},
}
STYLEGAN2_KEPT = 1.05  # numbers that autograd keeps for each number of a layer's output, counted at 64 to 256 pixels
STYLEGAN3_AT_256 = 880e6  # bytes per image, config t with channel_base 16384, counted; grows as the side
STYLEGAN3_RADIAL = 2.0  # config r has twice the channels
PROCEDURAL_KEPT = 300  # numbers that autograd keeps for each pixel, counted at 56 and 112 pixels
GENERATOR_WEIGHTS = 120e6  # bytes; StyleGAN2-256 has 100 MB with its buffers
FULL_CHANNELS_FROM = 512  # pixels: NVIDIA's smaller FFHQ generators have half the channel_base


def network_activations(network: Mapping[str, Any]) -> float | None:
    """Bytes that a backward pass through an FR network needs for one image: as the area of the crop.

    `network` has a family, an architecture and a side; None for one of the user's own, and for ONNX, which has none.
    """
    counted = FOR_BACKWARD_AT_112.get(network.get("family", ""), {}).get(network.get("architecture", ""))
    return None if counted is None else counted * 1e6 * (network["image_size"] / 112) ** 2


def network_parameters(network: Mapping[str, Any]) -> float:
    """Parameters of an FR network that has activations."""
    return PARAMETERS[network["family"]][network["architecture"]] * 1e6


def generator_weights(spec: Mapping[str, Any]) -> float:
    """Bytes of a generator's weights and buffers."""
    return 0.0 if spec.get("family") == "procedural" else GENERATOR_WEIGHTS


def generator_activations(spec: Mapping[str, Any]) -> float | None:
    """Bytes that a backward pass through a generator needs for one image; None for a generator of the user's own.

    StyleGAN2: 4 bytes × 1.05 × Σ_r (layers at r) · c(r) · r², with c(r) = min(channel_base / r, channel_max) channels.
    """
    image_size, family = resolution(spec), spec.get("family")
    if family == "procedural":
        return FLOAT32 * PROCEDURAL_KEPT * image_size**2
    if family == "stylegan2":
        sizes = spec.get("random") or {}
        base = sizes.get("channel_base", 32768 if image_size >= FULL_CHANNELS_FROM else 16384)
        largest = sizes.get("channel_max", 512)
        sides = [2**power for power in range(2, image_size.bit_length())]
        numbers = sum((1 if r == 4 else 2) * min(base // r, largest) * r * r for r in sides)
        return FLOAT32 * STYLEGAN2_KEPT * numbers
    if family == "stylegan3":
        radial = STYLEGAN3_RADIAL if "stylegan3-r" in str(spec.get("file")) else 1.0
        return STYLEGAN3_AT_256 * radial * image_size / 256
    return None
