"""How much room the results of a configuration take, and whether it is there."""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from brownid.configuration import paths
from brownid.configuration.hyperface import packed_references
from brownid.estimation.counting import embedded_databases
from brownid.models.catalogue import Model
from brownid.preflight import networks, sizes
from brownid.preflight.finding import Finding, amount

DISK = "Disk (estimates, formulas in brownid/preflight/disk.py)"
BESIDE_NUMBERS = 20  # bytes of a sample beside its latent and embedding: identity, label, chunk index
PUBLISHED_FACTOR = 1.75  # a published collection (a group a sample) over its numbers: 7040 bytes for 4096, counted
PNG_SHARE = (
    0.5  # of the raw bytes, 18.8 kB at 112 pixels: assumed for natural faces (the embedded world: 0.38, counted)
)
BLOCK = 4096  # bytes: a file takes whole blocks
RESULTS = Path("results")


def expected(config: Mapping, catalogue: Mapping[str, Model]) -> tuple[Counter[str], list[str]]:
    """Bytes by kind of result, and the databases of an unknown number of images.

    samples: (4 (D + E) + 20) bytes each, variations twice (as parts and merged), 4 E for an image of a leak guard; for
    HyperFace the random faces that the packing begins with, and 4 E for the packed embedding twice;
    images: 0.5 · side² · 3 each;
    release: each image in whole blocks, 1.75 · 4 (D + E) a sample; networks: weights, checkpoint with the head, state
    with momentum; state of the dynamics: latents and embeddings twice.
    """
    room: Counter[str] = Counter()
    release = config["release"] or {}
    encoded = round(PNG_SHARE * 3 * config["images"]["side"] ** 2)
    for section, copies in (("references", 1), ("variations", 2)):
        for name in config[section]:
            numbers = _numbers_a_sample(config, name)
            count = sizes.image_count(config, name, catalogue) or 0
            room["samples"] += copies * count * (numbers + BESIDE_NUMBERS)
            room["images"] += count * encoded
            room["state of interrupted jobs"] += 2 * count * numbers
            if name in release.get("datasets", ()):
                room["release"] += count * (-(-encoded // BLOCK) * BLOCK + round(PUBLISHED_FACTOR * numbers))
    for name in packed_references(config):
        entry = config["references"][name]
        width = sizes.embedding_width(config["networks"][entry["network"]])
        room["samples"] += 2 * entry["identities"] * networks.FLOAT32 * width
        if not paths.is_embedding_conditioned(config, name):
            faces = entry["identities"] + (entry["gallery_size"] or entry["identities"])
            room["samples"] += faces * (_numbers_a_sample(config, name) + BESIDE_NUMBERS)
    uncounted = []
    guards = Counter(database for _, database in embedded_databases(config))
    for name in _packed(config):
        count = sizes.image_count(config, name, catalogue)
        if count is None:
            uncounted.append(name)
        else:
            room["images"] += count * encoded
            room["samples"] += guards[name] * count * networks.FLOAT32 * sizes.USUAL_WIDTH
    for name, entry in sizes.training_entries(config).items():
        kept = 2 * _weights(config, entry, catalogue)  # the weights, and the checkpoint with the head
        room["networks"] += kept
        room["state of interrupted jobs"] += 2 * _weights(config, entry, catalogue)
        room["release"] += kept if name in release.get("models", ()) else 0
    return room, uncounted


def examine_disk(config: Mapping, catalogue: Mapping[str, Model], free: float | None = None) -> list[Finding]:
    """Whether the results fit into `free` bytes (None: what is free where they go)."""
    room, uncounted = expected(config, catalogue)
    free = _free_below(RESULTS) if free is None else free
    total = sum(room.values())
    parts = ", ".join(f"{kind} {amount(size)}" for kind, size in room.most_common())
    what = f"results need about {amount(total)} of {amount(free)} that are free: {parts}"
    findings = [Finding("fine", DISK, what)]
    if total > free:
        findings = [Finding("blocks", DISK, what, "make room, or run with --directory on a larger disk")]
    if uncounted:
        findings.append(
            Finding("note", DISK, f"not in it: the images of {', '.join(uncounted)}, whose number is unknown")
        )
    return findings


def _numbers_a_sample(config: Mapping, dataset: str) -> int:
    """Bytes of a sample's latent and embedding, 4 (D + E)."""
    source = config["variations"].get(dataset, {}).get("references", dataset)
    entry = config["references"][source]
    width = sizes.latent_width(config["generators"][entry["generator"]])
    return networks.FLOAT32 * (width + sizes.embedding_width(config["networks"][entry["network"]]))


def _packed(config: Mapping) -> list[str]:
    """The databases whose images are packed, and the realigned datasets."""
    guards = [database for _, database in embedded_databases(config)]
    trained = [name for entry in sizes.training_entries(config).values() for name in entry["datasets"]]
    names = {*guards, *trained, *(paths.original(config, name) for name in [*guards, *trained])}
    return sorted(name for name in names if name in config["databases"] or name in config["realigned"])


def _weights(config: Mapping, entry: Mapping, catalogue: Mapping[str, Model]) -> int:
    classes = sizes.class_count(config, entry["datasets"], catalogue)
    parameters = networks.network_parameters(entry)
    return round(networks.FLOAT32 * (parameters + classes * entry["settings"]["embedding_dim"]))


def _free_below(path: Path) -> int:
    """Bytes that are free on the disk that a path is on, or will be."""
    path = path.resolve()
    return shutil.disk_usage(next(place for place in [path, *path.parents] if place.exists())).free
