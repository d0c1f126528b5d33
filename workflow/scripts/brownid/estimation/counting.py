"""How many jobs a configuration makes, by rule; tested against Snakemake's own count."""

from collections import Counter
from collections.abc import Mapping

from brownid.configuration import paths, products
from brownid.configuration.hyperface import packed_references
from brownid.configuration.links import DATASETS


def job_counts(config: Mapping) -> Counter[str]:
    """Jobs of the default target by rule, when nothing is there yet; target rules are not counted."""
    jobs: Counter[str] = Counter()
    references, variations, networks = config["references"], config["variations"], config["networks"]
    moving = products.moving_datasets(config)
    guarded = [name for name, entry in references.items() if entry["leak_guard"]]
    trained = [name for name, entry in networks.items() if entry.get("database") and not entry.get("weights")]
    packed = packed_references(config)
    jobs["sample_references"] = len(references) - len(packed)
    jobs["embed_faces"] = sum(bool(paths.faces(config, name)) for name in packed)
    jobs["pack_hypersphere"] = jobs["invert_embeddings"] = len(packed)
    jobs["measure_packing"] = len(products.measured_packings(config))
    jobs["vary_references"] = sum(entry["shards"] for entry in variations.values())
    jobs["merge_variations"] = len(variations)
    for dataset in rendered_datasets(config):
        section = paths.section_of(config, paths.original(config, dataset), DATASETS)
        rule = {"databases": "pack_database"}.get(section, "render_images")
        rule = "realign_images" if dataset in config["realigned"] else rule
        jobs[rule] += len(paths.shard_names(config, dataset))
    jobs["train_network"] = len(trained)
    jobs["train_recognition"] = len(config["training"])
    if products.scores(config):
        jobs["score_model"] = len(networks) + len(config["training"])
        jobs["tabulate_scores"] = 1
    for rule, benchmarks in (
        ("capture_benchmark", paths.captured_benchmarks(config)),
        ("prepare_benchmark", paths.prepared_benchmarks(config)),
    ):
        models = [*networks, *config["training"]]
        jobs[rule] = len({paths.benchmark_file(config, name, model) for name in benchmarks for model in models})
    jobs["embed_database"] = len(embedded_databases(config))
    for name in config["covariates"]:
        jobs["fit_covariates"] += 1
        jobs["project_database"] += config["covariates"][name]["shards"]
        jobs["fit_warm_start"] += len(paths.warm_start(config, name))
    for name in databases_in_use(config):
        jobs["index_database"] += 1
        jobs["capture_database"] += len(paths.capture_manifest(config, name))
    jobs["plot_dynamics"] = len(moving)
    jobs["plot_distances"] = len(variations)
    jobs["show_faces"] = len(products.shown_datasets(config))
    jobs["audit_leaks"] = len(guarded)
    jobs["measure_controls"] = int(bool(products.controlled_datasets(config)))
    jobs["package_release"] = jobs["verify_release"] = int(config["release"] is not None)
    return +jobs


def embedded_databases(config: Mapping) -> list[tuple[str, str]]:
    """The databases that are embedded, as leak guard or gallery, each after the network that does it."""
    pairs = {
        (entry["network"], entry[key]) for entry in config["references"].values() for key in ("leak_guard", "gallery")
    }
    return sorted(pair for pair in pairs if pair[1] in config["databases"])


def rendered_datasets(config: Mapping) -> list[str]:
    """The datasets that are rendered or packed as images, those that realigned ones come from included."""
    names = {*products.shown_datasets(config), *(config["release"] or {}).get("datasets", ())}
    names |= {database for _, database in embedded_databases(config)}
    names |= {name for entry in config["training"].values() for name in entry["datasets"]}
    names |= {entry["database"] for entry in config["networks"].values() if not entry.get("weights")}
    names -= {None}
    return sorted(names | {paths.original(config, name) for name in names})


def databases_in_use(config: Mapping) -> list[str]:
    """The databases that are indexed: packed as images, or projected."""
    packed = {name for name in rendered_datasets(config) if name in config["databases"]}
    return sorted(packed | {config["covariates"][name]["database"] for name in config["covariates"]})
