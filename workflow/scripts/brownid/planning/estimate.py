"""The work of the GPU stages in GFLOP, the rates of machines, and the estimate of a run as lines of text."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from brownid.configuration import paths, products
from brownid.configuration.crops import scored_entries
from brownid.configuration.datasets import synthetic_images
from brownid.configuration.hyperface import packed_references
from brownid.configuration.loading import load_configuration, merged
from brownid.planning import sizes
from brownid.planning.resources import amount, expected, gpu_memory
from brownid.planning.sizes import FULL_CHANNELS_FROM, image_count
from brownid.runtime.errors import BrownidError, suggestion
from brownid.weights.catalogue import Model, read_catalogue

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


class Stage(NamedTuple):
    """The work of all jobs of one rule for one entry."""

    rule: str
    entry: str
    jobs: int
    gflop: float
    training: bool = False  # in bfloat16 where the GPU has it


def stages(config: Mapping, catalogue: Mapping[str, Model]) -> Iterator[Stage]:
    """The work of each stage with a GPU; databases of unknown size are left out."""
    yield from _packings(config, catalogue)
    for name, entry in config["references"].items():
        if entry["algorithm"] == "hyperface":
            continue
        g, n = _generator(config, name), _network(config, name)
        yield Stage("sample_references", name, 1, entry["identities"] * _passes(entry) * (g + n))
    for name, entry in config["variations"].items():
        g, n = _generator(config, name), _network(config, name)
        images = synthetic_images(config, name)
        moves = entry["algorithm"] != "covariates" and not paths.is_embedding_conditioned(config, name)
        passes = 2 * entry["settings"]["iterations"] + 1 if moves else 1
        if paths.is_embedding_conditioned(config, name):
            continue  # noise on embeddings, no network
        yield Stage("vary_references", name, entry["shards"], images * passes * (g + n))
    for name in products.rendered_datasets(config):
        if name in config["references"] or name in config["variations"]:
            images = sizes.image_count(config, name, catalogue) or 0
            jobs = len(paths.shard_names(config, name))
            yield Stage("render_images", name, jobs, images * _generator(config, name))
    yield from _embeddings(config, catalogue)
    yield from _projections(config, catalogue)
    for name, entry in sizes.training_entries(config).items():
        images = sum(sizes.image_count(config, dataset, catalogue) or 0 for dataset in entry["datasets"])
        rule = "train_network" if name in config["networks"] else "train_recognition"
        seeds = sizes.seed_count(config, name)
        gflop = seeds * images * entry["settings"]["epochs"] * 3 * network_gflop(entry)
        yield Stage(rule, name, seeds, gflop, training=True)
    scored = paths.benchmarks_of(config, products.EVALUATION)
    models = {**config["networks"], **sizes.training_entries(config)}
    for name in scored_entries(config):
        entry = models[name]
        shape = {"image_size": config["images"]["image_size"], **entry}
        images = PASSES_A_PAIR * sum(_pairs(config["benchmarks"][benchmark]) for benchmark in scored)
        seeds = sizes.seed_count(config, name)
        yield Stage("score_model", name, seeds, seeds * images * network_gflop(shape))


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
        yield Stage("embed_dataset", dataset, 1, images * network_gflop(config["networks"][network]))


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
    settings = entry["settings"]
    return settings["iterations"] * (2 if settings["neighbours"] == "previous" else 3) + 1


def _generator(config: Mapping, dataset: str) -> float:
    return generator_gflop(config["generators"][config["references"][paths.namespace(config, dataset)]["generator"]])


def _network(config: Mapping, dataset: str) -> float:
    return network_gflop(config["networks"][config["references"][paths.namespace(config, dataset)]["network"]])


def _pairs(benchmark: Mapping) -> int:
    return (benchmark.get("capture") or {}).get("pairs", PAIRS)


SHARE_OF_PEAK = 0.25  # assumed: convolutions of these sizes, with data to load and small pieces between


class Machine(NamedTuple):
    """GFLOP a second of one GPU, or CPU, and where the numbers are from."""

    steering: float  # dynamics, rendering, projection: float32, in which GPUs convolve as TF32
    training: float  # bfloat16 where the machine has it
    source: str


def _derived(name: str, tf32: float, bfloat16: float) -> Machine:
    peaks = f"TF32 {tf32}, bfloat16 {bfloat16} TFLOP/s"
    said = f"derived, not measured: {SHARE_OF_PEAK:.0%} of the peak of one {name} ({peaks})"
    return Machine(1e3 * SHARE_OF_PEAK * tf32, 1e3 * SHARE_OF_PEAK * bfloat16, said)


ON_CPU = (
    "measured: StyleGAN2-256 and iResNet50, float32, forward and backward, on two cores of a Xeon with AMX, "
    "PyTorch 2.13, November 2026"
)
MACHINES = {
    "cpu": Machine(135, 135, ON_CPU),
    "rtx3090": _derived("RTX 3090", 35.6, 71),
    "a100": _derived("A100", 156, 312),
    "h100": _derived("H100 (SXM)", 494, 989),
    "h200": _derived("H200", 494, 989),
}


def machine(name: str) -> Machine:
    """A machine of the table."""
    if name not in MACHINES:
        raise BrownidError(f"There are no rates for {name!r}; {suggestion(name, MACHINES)}")
    return MACHINES[name]


def recorded(folder: str | Path, work: Iterable[Stage]) -> dict[str, float]:
    """GFLOP a second by rule, of a finished run: its `logs/benchmarks` and the work of its configuration.

    Raises `BrownidError` where nothing is recorded of any of its rules.
    """
    seconds = benchmark_seconds(folder)
    done: dict[str, float] = defaultdict(float)
    for stage in work:
        done[stage.rule] += stage.gflop
    rates = {rule: done[rule] / seconds[rule] for rule in done if seconds.get(rule) and done[rule]}
    if not rates:
        raise BrownidError(
            f"{folder}: no benchmark of a stage with a GPU (RULE/*.tsv); is it logs/benchmarks of a run?"
        )
    return rates


def benchmark_seconds(folder: str | Path) -> Mapping[str, float]:
    """Seconds of all jobs of each rule, from the tables that Snakemake's `benchmark:` wrote."""
    seconds: dict[str, float] = defaultdict(float)
    for path in sorted(Path(folder).glob("*/**/*.tsv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                try:
                    seconds[path.relative_to(folder).parts[0]] += float(row["s"])
                except (KeyError, TypeError, ValueError):
                    raise BrownidError(f"{path}: this is no benchmark table of Snakemake.") from None
    return seconds


SUBMISSIONS_A_MINUTE = 60  # profiles/slurm: max-jobs-per-timespan
HOUR = 3600


def estimate_run(
    configfiles: Sequence[str | Path],
    values: Sequence[str] = (),
    *,
    machine_name: str,
    gpus: int,
    recorded_in: str | Path | None = None,
    recorded_with: Sequence[str | Path] | None = None,
) -> Iterator[str]:
    """The lines for configuration files and values of --config.

    `recorded_in` is the logs/benchmarks of a run of `recorded_with` (None: this configuration).
    """
    config, catalogue = _loaded(configfiles, values)
    named = machine(machine_name)
    rates: Mapping[str, float] = {}
    if recorded_in is not None:
        other = _loaded(recorded_with) if recorded_with else (config, catalogue)
        rates = recorded(recorded_in, stages(*other))
    jobs = products.job_counts(config)
    work = [stage for stage in stages(config, catalogue) if stage.gflop]
    hours = {stage: stage.gflop / _rate(stage, named, rates) / HOUR for stage in work}
    yield f"Jobs {sum(jobs.values())}, of which {sum(stage.jobs for stage in work)} with a GPU"
    yield "  " + ", ".join(f"{rule} {count}" for rule, count in sorted(jobs.items(), key=lambda item: -item[1]))
    minutes = sum(jobs.values()) / SUBMISSIONS_A_MINUTE
    yield f"  all are sent in {minutes:.0f} min, at {SUBMISSIONS_A_MINUTE} a minute"
    yield ""
    total = sum(hours.values())
    best, longest = _hours(total / gpus), _hours(_longest(hours))
    yield f"GPU-hours {_hours(total)}; on {gpus} GPUs at best {best} h, the longest job alone {longest} h"
    for stage in sorted(work, key=lambda stage: -hours[stage]):
        each = f", {_hours(hours[stage] / stage.jobs)} h each of {stage.jobs} jobs" if stage.jobs > 1 else ""
        yield f"  {_hours(hours[stage]):>7} {stage.rule} {stage.entry}{each}"
    yield ""
    needs = sorted(((need.total, need.job) for need in gpu_memory(config, catalogue)), reverse=True)
    if needs:
        yield f"GPU memory up to {amount(needs[0][0])} ({needs[0][1]}); batches become smaller where less is there"
    room, uncounted = expected(config, catalogue)
    yield f"Disk {amount(sum(room.values()))}: " + ", ".join(f"{k} {amount(v)}" for k, v in room.most_common())
    images = {name: image_count(config, name, catalogue) for name in products.databases_in_use(config)}
    unknown = sorted({*uncounted, *(name for name, count in images.items() if count is None)})
    if unknown:
        yield f"Not in any of this: what the images of {', '.join(unknown)} take, whose number is unknown"
    yield ""
    if rates:
        yield f"Rates of {', '.join(sorted(rates))}: recorded in {recorded_in}, on the machine of that run"
    if any(stage.rule not in rates for stage in work):
        others = "Rates of the others" if rates else "Rates"
        yield f"{others}: {named.source}"


def _loaded(configfiles: Sequence[str | Path], values: Sequence[str] = ()) -> tuple[dict, Mapping[str, Model]]:
    config = load_configuration(merged(configfiles, values), files=False)
    return config, read_catalogue(config["models"]["catalogue"])


def _rate(stage: Stage, named: Machine, rates: Mapping[str, float]) -> float:
    return rates.get(stage.rule) or (named.training if stage.training else named.steering)


def _longest(hours: Mapping[Stage, float]) -> float:
    return max((taken / stage.jobs for stage, taken in hours.items()), default=0.0)


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"
