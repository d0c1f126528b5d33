"""Disk and GPU memory that a configuration needs, compared with what is available."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from brownid.configuration import paths, products
from brownid.configuration.datasets import crop_of, original, synthetic_images
from brownid.configuration.hyperface import packed_references
from brownid.configuration.release import PUBLISHED, layouts, released_datasets, training_layouts, training_sets
from brownid.planning import sizes
from brownid.weights.catalogue import Model

Level = Literal["blocks", "note", "fine"]
GIGABYTE = 1e9


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` says what to do about it, where there is something to do."""

    level: Level
    topic: str
    what: str
    remedy: str = ""


def amount(count: float) -> str:
    """Bytes as text: 940 kB, 1.2 GB."""
    for unit, size in (("TB", 1e12), ("GB", GIGABYTE), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


DISK = "Disk (estimates, formulas in brownid/planning/resources.py)"
BESIDE_NUMBERS = 20  # bytes of a sample in addition to its latent and embedding: identity, label, chunk index
PUBLISHED_FACTOR = 1.75  # a published collection (one group per sample) over its numbers: 7040 bytes for 4096, counted
PNG_SHARE = (
    0.5  # of the raw bytes, 18.8 kB at 112 pixels: assumed for natural faces (the embedded world: 0.38, counted)
)
THUMBNAIL_SHARE = 0.15  # of a thumbnail's raw bytes: assumed for natural faces (the embedded world: 0.11, counted)
EMBEDDING = sizes.FLOAT32 * sizes.USUAL_WIDTH  # bytes
BLOCK = 4096  # bytes: a file takes whole blocks
TAR_BYTES = 5 * 512 + 256  # of a row of a tar shard: three headers, two texts, and half a block after the image
RESULTS = Path("results")


def expected(config: Mapping, catalogue: Mapping[str, Model]) -> tuple[Counter[str], list[str]]:
    """Bytes by kind of result, and the databases of an unknown number of images.

    samples: (4 (D + E) + 20) bytes each, in W+ 4 L D more, variations twice (as parts and merged), 4 E for an image of
    a leak guard; for HyperFace the random faces that the packing begins with, and 4 E for the packed embedding twice;
    4 E for an image of a dataset that the judge measures;
    images: 0.5 · side² · 3 each; gallery, which a release links: 0.15 · side² · 3 for each thumbnail;
    release: what its layouts take (`_released`); networks: weights, checkpoint with the head, state with momentum;
    state of the dynamics: latents and embeddings twice.
    """
    room: Counter[str] = Counter()
    embedded = Counter(dataset for _, dataset in products.embedded_datasets(config))
    release = config["release"] or {}
    encoded = _encoded(config["images"]["image_size"])
    for section, copies in (("references", 1), ("variations", 2)):
        for name in config[section]:
            numbers = _numbers_a_sample(config, name)
            count = sizes.image_count(config, name, catalogue) or 0
            room["samples"] += count * (copies * (numbers + BESIDE_NUMBERS) + embedded[name] * EMBEDDING)
            room["images"] += count * encoded
            room["state of interrupted jobs"] += 2 * count * numbers
    for name in packed_references(config):
        entry = config["references"][name]
        width = sizes.embedding_width(config["networks"][entry["network"]])
        room["samples"] += 2 * entry["identities"] * sizes.FLOAT32 * width
        if not paths.is_embedding_conditioned(config, name):
            faces = entry["identities"] + (entry["gallery_size"] or entry["identities"])
            room["samples"] += faces * (_numbers_a_sample(config, name) + BESIDE_NUMBERS)
    for name in products.gallery_datasets(config):
        room["gallery"] += sizes.thumbnails(config, name) * round(
            THUMBNAIL_SHARE * 3 * sizes.thumbnail_side(config) ** 2
        )
    if release:
        room["release"] += _released(config)
    uncounted: list[str] = []
    for name in _packed(config):
        images = sizes.image_count(config, name, catalogue)
        if images is None:
            uncounted.append(name)
        else:
            room["images"] += images * encoded
            room["samples"] += embedded[name] * images * EMBEDDING
    for name, entry in sizes.training_entries(config).items():
        # of each network the weights and the checkpoint with the head; a state is as large
        kept = 2 * sizes.seed_count(config, name) * _weights(config, entry, catalogue)
        room["networks"] += kept
        room["state of interrupted jobs"] += kept
        room["release"] += kept if name in release.get("models", ()) else 0
    return room, uncounted


def _encoded(image_size: int) -> int:
    return round(PNG_SHARE * 3 * image_size**2)


def _released(config: Mapping) -> int:
    """Bytes of the release's data in its layouts; exported training sets are linked into it and count once.

    Published: each image in whole blocks, 1.75 · 4 (D + E) a sample. Parquet: images and numbers. WebDataset: with
    headers and texts in tar's blocks. LMDB: each image in whole blocks. Record files: the images.
    """
    total = 0
    if PUBLISHED in layouts(config):
        for name in released_datasets(config):
            image = -(-_encoded(config["images"]["image_size"]) // BLOCK) * BLOCK
            numbers = round(PUBLISHED_FACTOR * _numbers_a_sample(config, name))
            total += synthetic_images(config, name) * (image + numbers)
    joined = [dataset for datasets in training_sets(config).values() for dataset in datasets]
    for layout in training_layouts(config):
        for name in joined:
            image = _encoded(crop_of(config, name)[1])
            row = {
                "parquet": image + _numbers_a_sample(config, original(config, name)),
                "webdataset": image + TAR_BYTES,
                "lmdb": -(-image // BLOCK) * BLOCK,
            }
            total += synthetic_images(config, name) * row.get(layout, image)
    return total


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
    """Bytes of a sample's latent and embedding, 4 (D + E); in W+ 4 (D + L D + E)."""
    source = config["variations"].get(dataset, {}).get("references", dataset)
    entry = config["references"][source]
    spec = config["generators"][entry["generator"]]
    width = sizes.latent_width(spec) * (1 + sizes.layers(spec) * paths.is_in_w_plus(config, dataset))
    return sizes.FLOAT32 * (width + sizes.embedding_width(config["networks"][entry["network"]]))


def _packed(config: Mapping) -> list[str]:
    """The databases whose images are packed, and the realigned datasets."""
    embedded = [dataset for _, dataset in products.embedded_datasets(config)]
    trained = [name for entry in sizes.training_entries(config).values() for name in entry["datasets"]]
    names = {*embedded, *trained, *(paths.original(config, name) for name in [*embedded, *trained])}
    return sorted(name for name in names if name in config["databases"] or name in config["realigned"])


def _weights(config: Mapping, entry: Mapping, catalogue: Mapping[str, Model]) -> int:
    classes = sizes.class_count(config, entry["datasets"], catalogue)
    parameters = sizes.network_parameters(entry)
    return round(sizes.FLOAT32 * (parameters + classes * entry["settings"]["embedding_dim"]))


def _free_below(path: Path) -> int:
    """Bytes that are free on the disk that a path is on, or will be."""
    path = path.resolve()
    return shutil.disk_usage(next(place for place in [path, *path.parents] if place.exists())).free


MEMORY = "GPU memory (estimates, formulas in brownid/planning/resources.py)"
OVERHEAD = 1.5  # working space of convolutions and gradients in flight, over what autograd keeps: an assumption


class Need(NamedTuple):
    """GPU memory of a job: bytes independent of the batch, bytes per image, images in a batch."""

    job: str
    fixed: float
    each: float
    batch: int
    shrinks: bool  # whether the job goes on with smaller batches where the memory runs out

    @property
    def total(self) -> float:
        """Bytes at the configured batch."""
        return self.fixed + self.batch * self.each


def examine_memory(config: Mapping, catalogue: Mapping[str, Model], gpu_bytes: float | None) -> Iterator[Finding]:
    """A finding for each job that may be too large; `gpu_bytes` is what a GPU has, None if unknown."""
    found = list(_needs(config, catalogue))
    needs = [need for need in found if isinstance(need, Need)]
    for job in (need for need in found if isinstance(need, str)):
        yield Finding("note", MEMORY, f"{job}: not estimated: the memory of its generator or network is unknown")
    for need in sorted(needs, key=lambda need: -need.total):
        if gpu_bytes is None:
            yield Finding("note", MEMORY, f"{need.job}: about {amount(need.total)} with batches of {need.batch}")
            continue
        yield _judged(need, gpu_bytes)


def gpu_memory(config: Mapping, catalogue: Mapping[str, Model]) -> list[Need]:
    """GPU memory of each job, without those that use a generator or network of the user's own."""
    return [need for need in _needs(config, catalogue) if isinstance(need, Need)]


def _judged(need: Need, gpu_bytes: float) -> Finding:
    what = f"{need.job}: about {amount(need.total)} of {amount(gpu_bytes)} with batches of {need.batch}"
    if need.total <= gpu_bytes:
        return Finding("fine", MEMORY, what)
    fitting = int((gpu_bytes - need.fixed) / need.each)
    if fitting < 1:
        return Finding("blocks", MEMORY, what, "not even one image fits: take a larger GPU or a smaller network")
    if need.shrinks:
        return Finding("note", MEMORY, what, f"the job will go on with about {fitting} at a time; results are the same")
    return Finding(
        "blocks", MEMORY, what, f"{fitting} images would fit: share the batch by more processes, or take a larger GPU"
    )


def _needs(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Need | str]:
    for section in ("references", "variations"):
        for name, entry in config[section].items():
            yield _steering(config, section, name, entry, catalogue)
    for name, entry in sizes.training_entries(config).items():
        yield _training(config, name, entry, catalogue)


def _steering(config: Mapping, section: str, name: str, entry: Mapping, catalogue: Mapping[str, Model]) -> Need | str:
    source = entry if section == "references" else config["references"][entry["references"]]
    spec, network = config["generators"][source["generator"]], config["networks"][source["network"]]
    rendered, embedded = sizes.generator_activations(spec), sizes.network_activations(network)
    if rendered is None or embedded is None:
        return f"{section}.{name}"
    images = sizes.image_count(config, name, catalogue) or 0
    if section == "variations":
        images = -(-images // entry["shards"])
    guard = entry.get("leak_guard")
    guarded = (sizes.image_count(config, guard, catalogue) or 0) if guard else 0
    layers = sizes.layers(spec) if paths.is_in_w_plus(config, name) else 1
    latent, embedding = layers * sizes.latent_width(spec), sizes.embedding_width(network)
    numbers = images * (2 * latent + 3 * embedding) + guarded * embedding
    weights = sizes.generator_weights(spec) + sizes.FLOAT32 * sizes.network_parameters(network)
    return Need(
        f"{section}.{name}",
        fixed=weights + sizes.FLOAT32 * numbers,
        each=OVERHEAD * (rendered + embedded),
        batch=min(entry["batch_size"], images),
        shrinks=True,
    )


def _training(config: Mapping, name: str, entry: Mapping, catalogue: Mapping[str, Model]) -> Need:
    """What one of the processes of a training needs, on its rows of a batch."""
    settings, processes = entry["settings"], entry["processes"]
    classes = sizes.class_count(config, entry["datasets"], catalogue)
    sampled = settings["class_sample_rate"]
    shares = processes if sampled < 1 or classes >= entry["shard_head_from"] else 1
    parameters = sizes.network_parameters(entry) + -(-classes // shares) * settings["embedding_dim"]
    half = 1.0 if settings["precision"] == "float32" else 0.5
    activations = sizes.network_activations(entry) or 0.0
    return Need(
        f"training {name}",
        fixed=sizes.FLOAT32 * 3 * parameters,
        each=OVERHEAD * half * activations + sizes.FLOAT32 * 3 * sampled * classes,
        batch=-(-settings["batch_size"] // processes),
        shrinks=False,
    )
