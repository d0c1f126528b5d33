"""The work of the stages with a GPU: GFLOP, and images whose noise is drawn, that are encoded or decoded."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from brownid.configuration import paths, products
from brownid.configuration.crops import scored_entries
from brownid.configuration.datasets import synthetic_images
from brownid.configuration.hyperface import packed_references
from brownid.planning import sizes
from brownid.planning.sizes import FULL_CHANNELS_FROM
from brownid.planning.timings import MEASURED
from brownid.weights.catalogue import Model

NETWORK_GFLOP = {  # forward, one crop of 112 pixels, counted with torch.utils.flop_counter
    **{"iresnet18": 5.22, "iresnet34": 8.92, "iresnet50": 12.62, "iresnet100": 24.18},
    **{"ir_18": 5.19, "ir_34": 8.89, "ir_50": 12.59, "ir_101": 24.15},
    **{"slim_iresnet": 0.05, "slim_iresnet_wide": 0.13, "slim_plain": 0.03},
}
UNKNOWN_NETWORK_GFLOP = 12.62
VGG16_GFLOP = 40.1  # at 256 pixels: 13 convolutions, counted by their shapes
PROCEDURAL_GFLOP_A_PIXEL = (
    5.7e-5  # what takes as long on a CPU: 759 images/s of 56 pixels where a StyleGAN2 has 135 GFLOP/s
)
# Counted: a step of Stable Diffusion's denoising network and its decoder, at 512 pixels; the same of the latent
# diffusion model of CelebA-HQ, at 256 pixels.
ARC2FACE_STEP, ARC2FACE_DECODER = 803.3, 2514.5
LDM_STEP, LDM_DECODER = 202.4, 670.6
STYLEGAN3_AT_256 = 45.0  # config t; an assumption from its layers, r has twice the channels
PASSES_A_PAIR = 4  # two images and their mirror images
PAIRS = 6000  # of a published benchmark


CROP = MEASURED.crop  # pixels: encoding and decoding take time as the area of an image
NOISE_RESOLUTION = MEASURED.resolution  # pixels: so does drawing noise maps


class Stage(NamedTuple):
    """The work of all jobs of one rule for one entry; images are counted as so many of the sizes of `MEASURED`."""

    rule: str
    entry: str
    jobs: int
    gflop: float
    bfloat16: bool = False  # where the GPU has it
    drawn: float = 0.0  # images of 256 pixels whose random noise maps are drawn, on the GPU
    encoded: float = 0.0  # images of 112 pixels that are encoded, on the CPU
    decoded: float = 0.0  # and decoded
    processes: int = 1  # of each job, on a GPU each


def stages(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Stage]:
    """The work of each stage with a GPU; databases of unknown size are left out."""
    yield from _packings(config, catalogue)
    for name, entry in config["references"].items():
        if entry["algorithm"] == "hyperface":
            continue
        g, n = _generator(config, name), _network(config, name)
        half, count = _steers_in_bfloat16(config, name), entry["identities"]
        drawn = count * (_iterations(entry) + 1) * _noise(config, name)
        yield Stage("sample_references", name, 1, count * _passes(entry) * (g + n), bfloat16=half, drawn=drawn)
    for name, entry in config["variations"].items():
        g, n = _generator(config, name), _network(config, name)
        images = synthetic_images(config, name)
        if paths.is_embedding_conditioned(config, name):
            continue  # noise on embeddings, no network
        iterations = entry["settings"]["iterations"] if entry["algorithm"] != "covariates" else 0
        half, drawn = _steers_in_bfloat16(config, name), images * (iterations + 1) * _noise(config, name)
        gflop = images * (2 * iterations + 1) * (g + n)
        yield Stage("vary_references", name, entry["shards"], gflop, bfloat16=half, drawn=drawn)
    for name in products.rendered_datasets(config):
        if name in config["references"] or name in config["variations"]:
            images = sizes.image_count(config, name, catalogue) or 0
            jobs = len(paths.shard_names(config, name))
            gflop, drawn = images * _generator(config, name), images * _noise(config, name)
            encoded = images * (config["images"]["image_size"] / CROP) ** 2
            half = _is_bfloat16(_generator_of(config, name))
            yield Stage("render_images", name, jobs, gflop, bfloat16=half, drawn=drawn, encoded=encoded)
    yield from _embeddings(config, catalogue)
    yield from _projections(config, catalogue)
    for name, entry in sizes.training_entries(config).items():
        images = sum(sizes.image_count(config, dataset, catalogue) or 0 for dataset in entry["datasets"])
        rule = "train_network" if name in config["networks"] else "train_recognition"
        seeds = sizes.seed_count(config, name)
        seen = seeds * images * entry["settings"]["epochs"]
        decoded = seen * (entry["image_size"] / CROP) ** 2  # where the decoded pixels do not fit into memory
        gflop, processes = seen * 3 * network_gflop(entry), entry["processes"]
        yield Stage(rule, name, seeds, gflop, bfloat16=True, decoded=decoded, processes=processes)
    scored = paths.benchmarks_of(config, products.EVALUATION)
    models = {**config["networks"], **sizes.training_entries(config)}
    for name in scored_entries(config):
        entry = models[name]
        shape = {"image_size": config["images"]["image_size"], **entry}
        images = PASSES_A_PAIR * sum(_pairs(config["benchmarks"][benchmark]) for benchmark in scored)
        seeds = sizes.seed_count(config, name)
        decoded = seeds * images / 2 * (shape["image_size"] / CROP) ** 2
        yield Stage("score_model", name, seeds, seeds * images * network_gflop(shape), decoded=decoded)


def _packings(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Stage]:
    for name in packed_references(config):
        entry, network = config["references"][name], config["networks"][config["references"][name]["network"]]
        count, gallery = entry["identities"], sizes.gallery_size(config, name, catalogue)
        packing, width = entry["settings"], sizes.embedding_width(network)
        moved = packing["batch"] or count
        pairs = count**2 if packing["batch"] is None else 2 * moved * count
        products = (pairs + 2 * moved * gallery) * width / 1e9
        yield Stage("pack_references", name, 1, products * packing["iterations"])
        if not paths.is_embedding_conditioned(config, name):
            inversion, passes = entry["inversion"], _generator(config, name) + _network(config, name)
            yield Stage("embed_faces", name, 1, (count + (entry["gallery_size"] or count)) * passes)
            images = count * inversion["attempts"] * (2 * inversion["iterations"] + 1)
            yield Stage("invert_embeddings", name, 1, images * passes)


def _embeddings(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Stage]:
    for network, dataset in products.embedded_datasets(config):
        images = sizes.image_count(config, dataset, catalogue) or 0
        shape = config["networks"][network]
        decoded = images * (shape["image_size"] / CROP) ** 2
        yield Stage("embed_dataset", dataset, 1, images * network_gflop(shape), decoded=decoded)


def _projections(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Stage]:
    for name in config["covariates"]:
        entry = config["covariates"][name]
        g = generator_gflop(config["generators"][entry["generator"]])
        compared = VGG16_GFLOP if entry["vgg16"] else network_gflop(config["networks"][entry["network"]])
        images = sizes.projected_images(config, name, catalogue) or 0
        gflop = images * entry["projection"]["iterations"] * 2 * (g + compared)
        yield Stage("project_database", name, entry["shards"], gflop)
        if paths.warm_start(config, name):
            yield Stage("fit_warm_start", name, 1, entry["warm_start"]["samples"] * (g + compared))


def generator_gflop(spec: Mapping[str, Any]) -> float:
    """GFLOP of one image of a generator; that of the user's own is taken for a StyleGAN2."""
    image_size = sizes.resolution(spec)
    if spec.get("family") == "procedural":
        return PROCEDURAL_GFLOP_A_PIXEL * image_size**2
    if spec.get("family") == "arc2face":
        passes = spec["steps"] * (2 if spec["guidance_scale"] > 1 else 1)
        return (passes * ARC2FACE_STEP + ARC2FACE_DECODER) * (image_size / 512) ** 2
    if spec.get("family") == "ldm":
        return (spec["steps"] * LDM_STEP + LDM_DECODER) * (image_size / 256) ** 2
    if spec.get("family") == "stylegan3":
        return STYLEGAN3_AT_256 * (image_size / 256) ** 2 * (2 if "stylegan3-r" in str(spec.get("file")) else 1)
    random = spec.get("random") or {}
    base = random.get("channel_base", 32768 if image_size >= FULL_CHANNELS_FROM else 16384)
    largest = random.get("channel_max", 512)
    total = 0
    for power in range(2, image_size.bit_length()):
        r = 2**power
        channels, before = min(base // r, largest), min(2 * base // r, largest)
        total += 18 * channels**2 * r**2  # 3×3 convolution, multiplications and additions
        total += 0 if r == 4 else 18 * before * channels * (r // 2) ** 2  # the one that doubles the side
    return total / 1e9


def network_gflop(network: Mapping[str, Any]) -> float:
    """GFLOP of one crop through an FR network; that of the user's own is taken for an iresnet50."""
    counted = NETWORK_GFLOP.get(network.get("architecture", ""), UNKNOWN_NETWORK_GFLOP)
    return counted * (network["image_size"] / 112) ** 2


def _passes(entry: Mapping) -> int:
    if entry["algorithm"] != "langevin":
        return 1
    return _iterations(entry) * (2 if entry["settings"]["neighbours"] == "previous" else 3) + 1


def _iterations(entry: Mapping) -> int:
    return entry["settings"]["iterations"] if entry["algorithm"] == "langevin" else 0


def _noise(config: Mapping, dataset: str) -> float:
    """Images of 256 pixels whose noise maps have as many numbers as those of one image of a dataset's generator."""
    spec = _generator_of(config, dataset)
    if spec.get("family") != "stylegan2" or spec.get("noise") not in ("item", "random"):
        return 0.0
    return (sizes.resolution(spec) / NOISE_RESOLUTION) ** 2


def _generator(config: Mapping, dataset: str) -> float:
    return generator_gflop(_generator_of(config, dataset))


def _network(config: Mapping, dataset: str) -> float:
    return network_gflop(_network_of(config, dataset))


def _generator_of(config: Mapping, dataset: str) -> Mapping[str, Any]:
    return config["generators"][config["references"][paths.namespace(config, dataset)]["generator"]]


def _network_of(config: Mapping, dataset: str) -> Mapping[str, Any]:
    return config["networks"][config["references"][paths.namespace(config, dataset)]["network"]]


def _steers_in_bfloat16(config: Mapping, dataset: str) -> bool:
    return _is_bfloat16(_generator_of(config, dataset)) and _is_bfloat16(_network_of(config, dataset))


def _is_bfloat16(model: Mapping[str, Any]) -> bool:
    return model.get("precision") in ("auto", "bfloat16")


def _pairs(benchmark: Mapping) -> int:
    return (benchmark.get("capture") or {}).get("pairs", PAIRS)
