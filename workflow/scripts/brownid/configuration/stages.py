"""The settings of each stage: exactly what its job uses, and so exactly what makes it run again.

One function per rule, named after it; it takes the whole configuration and the names of the entries it works on. What a
stage reads from other entries (the generator's specification, say) is copied in; what reaches it through an input file
is not.
"""

from collections.abc import Mapping
from typing import Any

from brownid.configuration import paths, products, release, report
from brownid.configuration.crops import has_fixed_crops
from brownid.configuration.datasets import crop_of
from brownid.configuration.links import MODELS
from brownid.configuration.origins import release_origins
from brownid.configuration.paths import database_root, entry_of, namespace, section_of

STEERING = ("template", "precision", "channels_last", "compile")  # how a network is used where it steers
SELECTION = ("persons", "images_per_person")  # of a database without MultiPIE's protocols
PIXELS = ("reads_bytes", "colour_order")  # what a network reads, where it is not what its family reads
# The keys of the release that decide on its parts, and on nothing else.
RELEASE_KEYS = ("layouts", "published_limit", "shard_size", "training_sets", "datasets", "models")
# The keys of a networks entry that are this project's; others go to the user's own factory.
NETWORK_KEYS = (
    "factory",
    "image_size",
    "mirror",
    "weights",
    "database",
    "training",
    "processes",
    "keep",
    "shard_head_from",
    *PIXELS,
    *STEERING,
)


def sorted_keys(settings: Any) -> Any:
    """The same settings with the keys of every section sorted.

    Snakemake compares a rule's params by their text, so without this the order of keys in a YAML file would matter.
    """
    if isinstance(settings, Mapping):
        return {key: sorted_keys(settings[key]) for key in sorted(settings)}
    return [sorted_keys(item) for item in settings] if isinstance(settings, list) else settings


def placed(settings: Any, prefix: str) -> Any:
    """The same settings with `prefix` before every path of a result, as Snakemake puts it before inputs and outputs."""
    if isinstance(settings, Mapping):
        return {key: placed(value, prefix) for key, value in settings.items()}
    if isinstance(settings, list):
        return [placed(item, prefix) for item in settings]
    return f"{prefix}{settings}" if isinstance(settings, str) and settings.startswith("results/") else settings


def _backbone(config: Mapping, model: str) -> dict[str, Any]:
    """Settings to build a network. Its training affects a stage only through the weights file."""
    name = entry_of(model)
    entry = config[section_of(config, name, MODELS)][name]
    image_size = entry.get("image_size", config["images"]["image_size"])
    pixels = {key: entry[key] for key in PIXELS if entry.get(key) is not None}
    if "factory" in entry:
        return {
            "factory": entry["factory"],
            "options": _without(entry, *NETWORK_KEYS),
            "image_size": image_size,
            **pixels,
        }
    return {"family": entry["family"], "architecture": entry.get("architecture"), "image_size": image_size, **pixels}


def _generator(config: Mapping, generator: str) -> dict[str, Any]:
    """Settings to build a generator. A world without warp has them without the key, as in version 0.1."""
    entry = config["generators"][generator]
    flat = entry.get("family") == "procedural" and not entry["warp"]
    return _without(entry, "warp") if flat else dict(entry)


def _face_model(config: Mapping, generator: str, network: str) -> dict[str, Any]:
    """A generator and the network that steers it, with the crop between them."""
    entry = config["networks"][network]
    steering = {key: entry[key] for key in STEERING}
    return {
        "generator": _generator(config, generator),
        "generator_name": generator,
        "network": _backbone(config, network) | steering,
        "network_name": network,
    }


def _of_references(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    return _face_model(config, entry["generator"], entry["network"])


def _of_covariates(config: Mapping, covariates: str) -> dict[str, Any]:
    entry = config["covariates"][covariates]
    return _face_model(config, entry["generator"], entry["network"])


def _without(entry: Mapping, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in keys}


def capture_database(config: Mapping, database: str) -> dict[str, Any]:
    entry = config["databases"][database]
    capture = entry["capture"]
    return {
        "seed": config["seed"],
        "kind": entry["kind"],
        "capture": capture,
        "generator": _photographed(config, capture),
    }


def _photographed(config: Mapping, capture: Mapping) -> dict[str, Any]:
    """The world of a capture: photographs are rendered from raw parameters, so no warp of the latents changes them."""
    return _without(config["generators"][capture["generator"]], "warp")


def index_database(config: Mapping, database: str) -> dict[str, Any]:
    entry = config["databases"][database]
    images = {"images": entry["images"]} if entry["kind"] == "ffhq" else {}
    subfolders = {"identity_subfolders": True} if entry["identity_subfolders"] else {}
    return {"kind": entry["kind"], "root": database_root(config, database), **images, **subfolders}


def _alignment(config: Mapping, entry: Mapping, wanted: str) -> dict[str, Any] | None:
    """Alignment of a database or benchmark to the wanted template; None if its images are such crops already.

    The files of a detector reach the stage as inputs.
    """
    alignment = entry["alignment"]
    if alignment is None:
        if config["images"]["template"] == wanted:
            return None
        alignment = {"template": config["images"]["template"], "detector": None}
    detector = config["detectors"].get(alignment["detector"])
    settings = _without(detector, "file", "files", "sha256") if detector else None
    return {"to": wanted, "template": alignment["template"], "detector": settings}


def align_database(config: Mapping, database: str) -> dict[str, Any]:
    return {
        "namespace": database,
        "root": database_root(config, database),
        "image_size": config["images"]["image_size"],
        "alignment": _alignment(config, config["databases"][database], config["images"]["template"]),
        "not_square": config["databases"][database]["not_square"],
        "maximum_failed_share": config["images"]["maximum_failed_share"],
    }


def embed_dataset(config: Mapping, dataset: str, network: str) -> dict[str, Any]:
    embedding = {key: config["networks"][network][key] for key in ("precision", "mirror")}
    return {
        "dataset": dataset,
        "name": network,
        "network": _backbone(config, network) | embedding,
        "maximum_failed_share": config["images"]["maximum_failed_share"],
    }


def measure_quality(config: Mapping, dataset: str) -> dict[str, Any]:
    return {"dataset": dataset, "near_duplicate_angle": config["quality"]["near_duplicate_angle"]}


def tabulate_quality(config: Mapping) -> dict[str, Any]:
    return {
        "datasets": products.judged_datasets(config),
        "compared": products.compared_datasets(config),
        **config["quality"],
    }


def train_network(config: Mapping, network: str) -> dict[str, Any]:
    return {
        "seed": config["seed"],
        "network": _backbone(config, network),
        "training": config["networks"][network]["training"],
    }


def fit_warm_start(config: Mapping, covariates: str) -> dict[str, Any]:
    return {
        "seed": config["seed"],
        "warm_start": config["covariates"][covariates]["warm_start"],
        **_of_covariates(config, covariates),
    }


def project_database(config: Mapping, covariates: str) -> dict[str, Any]:
    entry = config["covariates"][covariates]
    projection = entry["projection"]
    # the start and VGG16, which replaces the other features, reach the stage as files
    unused = ["start"] + ["noise_weight"] * (not projection["noise_maps"])
    by_vgg16 = projection["features"] == "vgg16"
    unused += ["pyramid_weight", "embedding_weight"] if by_vgg16 else ["vgg16_precision"]
    whole = projection["frame"] == "generator"
    generator = config["generators"][entry["generator"]]
    faces = "ffhq" if "factory" in generator else generator.get("template", "ffhq")
    wanted = faces if whole else config["networks"][entry["network"]]["template"]
    database = config["databases"][entry["database"]]
    return {
        "seed": config["seed"],
        "projection": _without(projection, *unused),
        # without the key they are taken to be on the wanted template, as the embedded world's are on every one
        "alignment": None if database["alignment"] is None else _alignment(config, database, wanted),
        "not_square": database["not_square"],
        "root": database_root(config, entry["database"]),
        "maximum_failed_share": config["images"]["maximum_failed_share"],
        **({} if paths.has_attributes(config, covariates) else {"selection": {key: entry[key] for key in SELECTION}}),
        **_of_covariates(config, covariates),
    }


def fit_covariates(config: Mapping, covariates: str) -> dict[str, Any]:
    return {
        "generator_name": config["covariates"][covariates]["generator"],
        "maximum_failed_share": config["images"]["maximum_failed_share"],
    }


def fit_within_class(config: Mapping, covariates: str) -> dict[str, Any]:
    selected = not paths.has_attributes(config, covariates)
    return fit_covariates(config, covariates) | {"selected": selected}


def show_within_class(config: Mapping, covariates: str) -> dict[str, Any]:
    generator = config["covariates"][covariates]["generator"]
    return {
        "seed": config["seed"],
        "covariates": covariates,
        "generator": config["generators"][generator],
        "generator_name": generator,
        "template": config["images"]["template"],
        "image_size": config["images"]["image_size"],
    }


def sample_references(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    # what these name is copied in or reaches the stage through a file; a start replaces the truncated random one
    unused = ["generator", "network", "shards", "processes", "batch_size", "start", "leak_guard"]
    unused += ["gallery", "gallery_size", "nuisance_projection"] + ["truncation"] * bool(entry["start"])
    sampled = _without(entry, *unused) | _nuisance_projection(entry)
    return {"seed": config["seed"], "references": sampled, **_of_references(config, references)}


def _nuisance_projection(entry: Mapping) -> dict[str, Any]:
    """The key of a references entry, where it has one; without its covariates, which reach a stage through a file."""
    projection = entry["nuisance_projection"]
    return {"nuisance_projection": _without(projection, "covariates")} if projection else {}


def embed_faces(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    counts = {"start": entry["identities"], "gallery": entry["gallery_size"] or entry["identities"]}
    # inversion starts at the gallery's faces, even where the packing has another gallery
    return {
        "seed": config["seed"],
        "faces": {label: count for label, count in counts.items() if label == "gallery" or not entry["start"]},
        "truncation": entry["truncation"],
        **_of_references(config, references),
    }


def pack_references(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    return {
        "seed": config["seed"],
        "packing": entry["settings"],
        "identities": entry["identities"],
        "gallery_size": entry["gallery_size"],
        "network_name": entry["network"],
    }


def invert_embeddings(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    if paths.is_embedding_conditioned(config, references):  # the generator is conditioned on the embeddings themselves
        return {"generator_name": entry["generator"]}
    return {
        "seed": config["seed"],
        "inversion": _without(entry["inversion"], "maximum_rejected_share"),
        "maximum_rejected_share": entry["inversion"]["maximum_rejected_share"],
        **_of_references(config, references),
    }


def measure_packing(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    network = _backbone(config, entry["network"]) | {"precision": config["networks"][entry["network"]]["precision"]}
    return {"references": references, "network": network}


def vary_references(config: Mapping, variations: str) -> dict[str, Any]:
    entry = config["variations"][variations]
    settings = {
        "seed": config["seed"],
        "variations": _without(entry, "references", "covariates", "shards", "batch_size"),
    }
    if paths.is_embedding_conditioned(config, variations):
        settings["variations"]["settings"] = {key: entry["settings"][key] for key in ("variations", "embedding_noise")}
        return settings | {"embedding_conditioned": True}
    if entry["algorithm"] == "hyperface":
        settings["truncation"] = config["references"][entry["references"]]["truncation"]
    return settings | _of_references(config, entry["references"])


def merge_variations(config: Mapping, variations: str) -> dict[str, Any]:
    return vary_references(config, variations)


def render_images(config: Mapping, dataset: str) -> dict[str, Any]:
    source = namespace(config, dataset)
    return {
        "seed": config["seed"],
        "namespace": source,
        "generator": _generator(config, config["references"][source]["generator"]),
        "template": config["images"]["template"],
        "image_size": config["images"]["image_size"],
    }


def realign_images(config: Mapping, realigned: str) -> dict[str, Any]:
    entry = config["realigned"][realigned]
    return {
        "namespace": namespace(config, realigned),
        "from": config["images"]["template"],
        "to": entry["template"],
        "image_size": entry["image_size"],
    }


def train_recognition(config: Mapping, training: str, seed: str) -> dict[str, Any]:
    return {
        "seed": int(seed),
        "network": _backbone(config, training),
        "training": config["training"][training]["settings"],
    }


def capture_benchmark(config: Mapping, benchmark: str, image_size: str) -> dict[str, Any]:
    capture = config["benchmarks"][benchmark]["capture"]
    generator = _photographed(config, capture) | {"image_size": int(image_size)}
    return {"seed": config["seed"], "capture": capture, "generator": generator}


def prepare_benchmark(config: Mapping, benchmark: str, template: str, image_size: str) -> dict[str, Any]:
    entry = config["benchmarks"][benchmark]
    if has_fixed_crops(entry):
        return {"folder": entry["folder"], "format": entry["format"], "alignment": None}
    return {
        "folder": entry["folder"],
        "format": entry["format"],
        "image_size": int(image_size),
        "alignment": _alignment(config, entry, template),
        "not_square": entry["not_square"],
        "enlarge": entry["enlarge"],
        "maximum_failed_share": config["images"]["maximum_failed_share"],
    }


def score_model(config: Mapping, group: str, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "network": _backbone(config, model),
        "scoring": {key: config["scoring"][key] for key in ("false_accept_rates", "precision")},
        "maximum_failed_share": config["images"]["maximum_failed_share"],
        "benchmarks": paths.benchmarks_of(config, group),
    }


def tabulate_scores(config: Mapping, group: str) -> dict[str, Any]:
    return {
        "seed": config["seed"],
        "entries": paths.scored_models(config),
        "group": group,
        "benchmarks": paths.benchmarks_of(config, group),
        "resamples": config["scoring"]["resamples"],
        "confidence": config["scoring"]["confidence"],
    }


def compare_scores(config: Mapping, group: str) -> dict[str, Any]:
    return tabulate_scores(config, group) | {"comparisons": config["scoring"]["comparisons"]}


def plot_dynamics(config: Mapping, dataset: str) -> dict[str, Any]:
    return {"dataset": dataset}


def plot_distances(config: Mapping, variations: str) -> dict[str, Any]:
    return {"seed": config["seed"], "variations": variations}


def show_faces(config: Mapping, dataset: str) -> dict[str, Any]:
    return {"dataset": dataset}


def build_gallery(config: Mapping, dataset: str) -> dict[str, Any]:
    return {"dataset": dataset, **{name: config["gallery"][name] for name in ("thumbnail_size", "most_images")}}


def write_report(config: Mapping) -> dict[str, Any]:
    return {
        "sections": report.report_sections(config),
        "facts": report.report_facts(config),
        "gallery": products.gallery_datasets(config),
    }


def audit_leaks(config: Mapping, references: str) -> dict[str, Any]:
    return {"references": references, "audit": config["audit"]}


def measure_controls(config: Mapping) -> dict[str, Any]:
    projections = products.controlled_projections(config)
    datasets = products.controlled_datasets(config)
    references = {name: config["references"][name] for name in datasets if name in config["references"]}
    return {
        "seed": config["seed"],
        "datasets": datasets,
        "networks": products.controlled_networks(config),
        "references": {
            name: {
                # the start of a packing is embeddings, from which its latents did not come
                "start": None if entry["algorithm"] == "hyperface" else entry["start"],
                "truncation": entry["truncation"],
                **({"nuisance_projection": projection} if (projection := entry["nuisance_projection"]) else {}),
                **_of_references(config, name),
            }
            for name, entry in references.items()
        },
        "variations": {name: namespace(config, name) for name in datasets if name not in references},
        "covariates": {
            name: _generator(config, config["covariates"][name]["generator"])
            for name in products.controlled_covariates(config)
        },
        **({"within_class": projections} if projections else {}),
    }


def export_training_set(config: Mapping, layout: str, training_set: str) -> dict[str, Any]:
    datasets = release.training_sets(config)[training_set]
    return {
        "training_set": training_set,
        "layout": layout,
        "parts": paths.training_parts(config, datasets),
        **({"shard_size": config["release"]["shard_size"]} if layout in release.SHARDED else {}),
    }


def package_release(config: Mapping) -> dict[str, Any]:
    # the others decide on the parts
    described = _without(config["release"], *RELEASE_KEYS)
    sets = release.training_sets(config) if release.training_layouts(config) else {}
    return {
        "release": described,
        "parts": products.release_parts(config),
        "images": {key: config["images"][key] for key in ("template", "image_size")},
        "templates": {name: crop_of(config, datasets[0])[0] for name, datasets in sets.items()},
        "origins": release_origins(config).plain(),
    }
