"""The settings of each stage: exactly what its job uses, and so exactly what makes it run again.

One function a rule, named after it; it takes the whole configuration and the names of the entries it works on. What a
stage reads from other entries (the generator's specification, say) is copied in; what reaches it through an input file
is not.
"""

from collections.abc import Mapping
from typing import Any

from brownid.configuration import paths, products
from brownid.configuration.links import MODELS
from brownid.configuration.paths import database_root, namespace, section_of


def sorted_keys(settings: Any) -> Any:
    """The same settings with the keys of every section sorted.

    Snakemake compares a rule's params by their text, so without this the order of keys in a YAML file would matter.
    """
    if isinstance(settings, Mapping):
        return {key: sorted_keys(settings[key]) for key in sorted(settings)}
    return [sorted_keys(item) for item in settings] if isinstance(settings, list) else settings


def _network(config: Mapping, model: str) -> dict[str, Any]:
    """What it takes to build a network; how it was trained reaches a stage through the weights file."""
    entry = config[section_of(config, model, MODELS)][model]
    images = {"side": config["images"]["side"], "template": config["images"]["template"], "precision": "float32"}
    return {key: entry.get(key, images.get(key)) for key in ("family", "architecture", *images)}


def capture_database(config: Mapping, database: str) -> dict[str, Any]:
    entry = config["databases"][database]
    capture = entry["capture"]
    return {
        "seed": config["seed"],
        "kind": entry["kind"],
        "capture": capture,
        "generator": config["generators"][capture["generator"]],
    }


def index_database(config: Mapping, database: str) -> dict[str, Any]:
    return {"kind": config["databases"][database]["kind"], "root": database_root(config, database)}


def pack_database(config: Mapping, database: str) -> dict[str, Any]:
    return {"namespace": database, "root": database_root(config, database), "images": config["images"]}


def embed_database(config: Mapping, database: str, network: str) -> dict[str, Any]:
    return {"database": database, "name": network, "network": _network(config, network)}


def train_network(config: Mapping, network: str) -> dict[str, Any]:
    return {
        "seed": config["seed"],
        "network": _network(config, network),
        "training": config["networks"][network]["training"],
    }


def _projection(config: Mapping, covariates: str) -> dict[str, Any]:
    entry = config["covariates"][covariates]
    return {
        "seed": config["seed"],
        "generator": config["generators"][entry["generator"]],
        "generator_name": entry["generator"],
        "network": _network(config, entry["network"]),
        "network_name": entry["network"],
    }


def fit_warm_start(config: Mapping, covariates: str) -> dict[str, Any]:
    return {"warm_start": config["covariates"][covariates]["warm_start"], **_projection(config, covariates)}


def project_database(config: Mapping, covariates: str) -> dict[str, Any]:
    entry = config["covariates"][covariates]
    return {
        "projection": entry["projection"],
        "root": database_root(config, entry["database"]),
        "maximum_failed_share": config["images"]["maximum_failed_share"],
        **_projection(config, covariates),
    }


def fit_covariates(config: Mapping, covariates: str) -> dict[str, Any]:
    entry = config["covariates"][covariates]
    return {
        "generator_name": entry["generator"],
        "maximum_failed_share": config["images"]["maximum_failed_share"],
    }


def _face_model(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    return {
        "generator": config["generators"][entry["generator"]],
        "generator_name": entry["generator"],
        "network": _network(config, entry["network"]),
        "network_name": entry["network"],
    }


def sample_references(config: Mapping, references: str) -> dict[str, Any]:
    entry = config["references"][references]
    unused = ("generator", "network", "shards", "start", "leak_guard")  # names: what they name is here, or an input
    return {
        "seed": config["seed"],
        "references": {key: value for key, value in entry.items() if key not in unused},
        **_face_model(config, references),
    }


def vary_references(config: Mapping, variations: str) -> dict[str, Any]:
    entry = config["variations"][variations]
    unused = ("references", "covariates", "shards")
    return {
        "seed": config["seed"],
        "variations": {key: value for key, value in entry.items() if key not in unused},
        **_face_model(config, entry["references"]),
    }


def merge_variations(config: Mapping, variations: str) -> dict[str, Any]:
    return vary_references(config, variations)


def render_images(config: Mapping, dataset: str) -> dict[str, Any]:
    source = namespace(config, dataset)
    return {
        "namespace": source,
        "generator": config["generators"][config["references"][source]["generator"]],
        "images": config["images"],
    }


def train_recognition(config: Mapping, training: str) -> dict[str, Any]:
    entry = config["training"][training]
    return {"seed": config["seed"], "network": _network(config, training), "training": entry["settings"]}


def capture_benchmark(config: Mapping, benchmark: str) -> dict[str, Any]:
    capture = config["benchmarks"][benchmark]["capture"]
    return {"seed": config["seed"], "capture": capture, "generator": config["generators"][capture["generator"]]}


def score_model(config: Mapping, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "network": _network(config, model),
        "scoring": config["scoring"],
        "benchmarks": sorted(config["benchmarks"]),
    }


def tabulate_scores(config: Mapping) -> dict[str, Any]:
    return {"models": sorted([*config["training"], *config["networks"]])}


def plot_dynamics(config: Mapping, dataset: str) -> dict[str, Any]:
    return {"dataset": dataset}


def plot_distances(config: Mapping, variations: str) -> dict[str, Any]:
    return {"variations": variations}


def show_faces(config: Mapping, dataset: str) -> dict[str, Any]:
    return {"dataset": dataset}


def audit_leaks(config: Mapping, references: str) -> dict[str, Any]:
    return {"references": references, "audit": config["audit"]}


def measure_controls(config: Mapping) -> dict[str, Any]:
    datasets = products.controlled_datasets(config)
    references = {paths.namespace(config, name) for name in datasets}
    return {
        "seed": config["seed"],
        "datasets": datasets,
        "networks": products.controlled_networks(config),
        "references": {name: sample_references(config, name) for name in references},
        "variations": {name: config["variations"][name] for name in datasets if name in config["variations"]},
        "covariates": {
            name: config["generators"][config["covariates"][name]["generator"]]
            for name in products.controlled_covariates(config)
        },
    }


def package_release(config: Mapping) -> dict[str, Any]:
    return {"release": config["release"], "parts": products.release_parts(config)}
