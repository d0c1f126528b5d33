"""Products of a run: the files of the default target, the contents of the release, and the number of jobs."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from brownid.configuration import paths
from brownid.configuration.datasets import DATASETS
from brownid.configuration.hyperface import galleries, packed_references
from brownid.configuration.links import GROUPS
from brownid.configuration.release import PUBLISHED, layouts, released_datasets, training_layouts, training_sets
from brownid.runtime.errors import BrownidError

EVALUATION, DEVELOPMENT = GROUPS

# of a group of benchmarks, below results/tables/GROUP/ and results/figures/GROUP/
SCORE_TEXT = "scores.md"
SCORE_TABLES = ("scores.csv", "accuracies.csv", "error_rates.csv", SCORE_TEXT, "scores.html")
SCORE_FIGURES = ("scores.png", "roc.png", "det.png")
DIFFERENCE_TABLES = ("differences.csv", "differences.md", "differences.html")
DIFFERENCE_FIGURES = ("differences.png",)
QUALITY_TABLE, QUALITY_PAGE = "results/tables/quality.csv", "results/tables/quality.html"
REPORT_PAGE, GALLERY_PAGE = "results/report.html", "results/gallery/index.html"
QUALITY_FIGURE = "results/figures/quality.png"


def targets(config: Mapping) -> list[str]:
    """The files of the default target: every entry of the configuration, what is shown of it, and the release."""
    return [
        *release(config),
        *scores(config),
        *figures(config),
        *pages(config),
        *([QUALITY_TABLE, QUALITY_PAGE] if config["quality"] else []),
        *datasets(config),
        *[paths.covariates(config, name) for name in config["covariates"] if paths.has_attributes(config, name)],
        *[paths.within_class(config, name) for name in config["covariates"]],
        *[paths.weights(config, model) for name in config["training"] for model in paths.trained_models(config, name)],
        *[paths.weights(config, name) for name, entry in config["networks"].items() if not entry["weights"]],
    ]


def named_target(config: Mapping, name: str) -> list[str]:
    """The files of a target other than the default one; a BrownidError where the configuration has none for it."""
    known: dict[str, tuple[Callable[[Mapping], list[str]], str]] = {
        "datasets": (datasets, "`references`"),
        "images": (images, "`references`"),
        "scores": (scores, "`benchmarks`, and `training` entries or scoring.networks to score on them"),
        "development": (partial(scores, group=DEVELOPMENT), "benchmarks of the group `development`, and `training`"),
        "figures": (figures, "`references`"),
        "release": (release, "`release`"),
    }
    made, needed = known[name]
    if not (files := made(config)):
        raise BrownidError(f"The target `{name}` has nothing to make: the configuration has no {needed}.")
    return files


def datasets(config: Mapping) -> list[str]:
    """The latents and embeddings of all references and variations."""
    return [paths.samples(config, name) for section in ("references", "variations") for name in config[section]]


def images(config: Mapping) -> list[str]:
    """The aligned images of all references and variations, with contact sheets unless a judge has to sort these."""
    return [
        *[
            shard
            for section in ("references", "variations")
            for name in config[section]
            for shard in paths.image_shards(config, name)
        ],
        *([] if config["quality"] else face_sheets(config)),
    ]


def release(config: Mapping) -> list[str]:
    """The record that the release was verified; none where no release is configured."""
    return [f"results/release/{config['release']['name']}.verified.txt"] if config["release"] else []


def face_sheets(config: Mapping) -> list[str]:
    """The contact sheets of faces."""
    return [f"results/figures/faces/{name}.png" for name in shown_datasets(config)]


def scores(config: Mapping, group: str = EVALUATION) -> list[str]:
    """The tables and figures of the networks' scores on the benchmarks of a group; none without these, or networks."""
    if not (paths.benchmarks_of(config, group) and paths.models(config)):
        return []
    compared = bool(config["scoring"]["comparisons"])
    return [
        *[f"results/tables/{group}/{name}" for name in (*SCORE_TABLES, *DIFFERENCE_TABLES * compared)],
        *[f"results/figures/{group}/{name}" for name in (*SCORE_FIGURES, *DIFFERENCE_FIGURES * compared)],
    ]


def figures(config: Mapping) -> list[str]:
    """The figures and tables, other than those of the scores, that the default target makes."""
    guarded = [name for name, entry in config["references"].items() if entry["leak_guard"]]
    return [
        *[f"results/figures/dynamics/{name}.png" for name in moving_datasets(config)],
        *[f"results/figures/distances/{name}.png" for name in config["variations"]],
        *face_sheets(config),
        *[f"results/figures/within_class/{name}.png" for name in config["covariates"]],
        *[f"results/figures/leaks/{name}.png" for name in guarded],
        *[f"results/figures/packing/{name}.png" for name in measured_packings(config)],
        *[f"results/figures/packing/{name}.iterations.png" for name in measured_packings(config)],
        *([QUALITY_FIGURE] if config["quality"] else []),
        *[f"results/figures/distances/{name}.judge.png" for name in compared_datasets(config)],
        *controls(config),
    ]


def tables(config: Mapping) -> list[str]:
    """The tables that stages write next to their figures."""
    guarded = [name for name, entry in config["references"].items() if entry["leak_guard"]]
    return [
        *[f"results/tables/distances/{name}.csv" for name in sorted(config["variations"])],
        *[f"results/tables/distances/{name}.judge.csv" for name in sorted(compared_datasets(config))],
        *([QUALITY_TABLE, QUALITY_PAGE] if config["quality"] else []),
        *[f"results/tables/leaks/{name}.csv" for name in sorted(guarded)],
        *[f"results/tables/within_class/{name}.csv" for name in sorted(config["covariates"])],
        *[f"results/tables/packing/{name}.csv" for name in sorted(measured_packings(config))],
    ]


def pages(config: Mapping) -> list[str]:
    """The page that a user opens, and that of the gallery."""
    return [REPORT_PAGE] * bool(scores(config) or figures(config)) + [GALLERY_PAGE] * bool(gallery_datasets(config))


def gallery_datasets(config: Mapping) -> list[str]:
    """The datasets of the gallery, variations first: all that are shown, or those configured; never photographs."""
    chosen = config["gallery"]["datasets"]
    found = [name for name in shown_datasets(config) if chosen is None or name in chosen]
    return sorted(found, key=lambda name: (name not in config["variations"], name))


def shown_datasets(config: Mapping) -> list[str]:
    """The datasets of which some faces are shown; one that only serves as a gallery need not be rendered."""
    references = [name for name in config["references"] if name not in galleries(config)]
    return [*references, *config["variations"]]


def judged_datasets(config: Mapping) -> list[str]:
    """The datasets that the judge measures, in alphabetical order, the genuine database last; none without a judge."""
    return [*sorted(shown_datasets(config)), config["quality"]["genuine"]] if config["quality"] else []


def compared_datasets(config: Mapping) -> list[str]:
    """The datasets whose genuine angles are compared with those of the genuine database: those that have some."""
    return sorted(config["variations"]) if config["quality"] else []


def measured_packings(config: Mapping) -> list[str]:
    """The packings that are measured on their images: where the network reads the crops of the workflow."""

    def readable(network: Mapping) -> bool:
        return all(network[key] == config["images"][key] for key in ("image_size", "template"))

    packed = packed_references(config)
    return [name for name in packed if readable(config["networks"][config["references"][name]["network"]])]


def moving_datasets(config: Mapping) -> list[str]:
    """The datasets that are made by iterating, and so have curves to look at."""
    iterated = ("langevin", "hyperface")
    references = [name for name, entry in config["references"].items() if entry["algorithm"] in iterated]
    variations = [
        name
        for name, entry in config["variations"].items()
        if entry["algorithm"] != "covariates" and not paths.is_embedding_conditioned(config, name)
    ]
    return references + variations


def controls(config: Mapping) -> list[str]:
    """The table of the ground-truth controls; none outside the embedded world."""
    return ["results/tables/controls.csv"] if controlled_datasets(config) else []


def controlled_datasets(config: Mapping) -> list[str]:
    """The datasets whose ground truth is known, in alphabetical order: those of the embedded world."""
    return [
        name
        for name in sorted([*config["references"], *config["variations"]])
        if _is_embedded(config, config["references"][paths.namespace(config, name)]["generator"])
    ]


def controlled_covariates(config: Mapping) -> list[str]:
    """The covariates whose true directions are known, in alphabetical order."""
    entries = sorted(config["covariates"].items())
    fitted = [(name, entry) for name, entry in entries if paths.has_attributes(config, name)]
    return [name for name, entry in fitted if _is_embedded(config, entry["generator"])]


def controlled_projections(config: Mapping) -> list[str]:
    """The covariates whose within-class directions controlled references leave out."""
    references = [config["references"].get(name, {}) for name in controlled_datasets(config)]
    return sorted(
        {entry["nuisance_projection"]["covariates"] for entry in references if entry.get("nuisance_projection")}
    )


def controlled_networks(config: Mapping) -> list[str]:
    """The networks that the controlled datasets were made with."""
    names = {config["references"][paths.namespace(config, name)]["network"] for name in controlled_datasets(config)}
    return sorted(names)


def _is_embedded(config: Mapping, generator: str) -> bool:
    return config["generators"][generator].get("family") == "procedural"


def release_parts(config: Mapping) -> dict[str, Any]:
    """The files of the release by part, as nested dictionaries of paths; see `workflow/scripts/package_release.py`."""
    release = config["release"]
    if release is None:
        return {}
    of_scores, datasets = scores(config), released_datasets(config)
    references = sorted({paths.namespace(config, name) for name in datasets})
    used = _used_covariates(config, references, datasets)
    guards = {config["references"][name]["leak_guard"] for name in references}
    captures = {config["covariates"][name]["database"] for name in used.values()}
    return {
        "datasets": {name: _dataset(config, name) for name in datasets},
        "training_sets": _exports(config),
        "models": {
            model: _model(config, name, model)
            for name in release["models"]
            for model in paths.trained_models(config, name)
        },
        "databases": {name: paths.database_index(config, name) for name in sorted((guards | captures) - {None})},
        "covariates": sorted(used),
        "packings": [
            f"results/hyperface/{name}/{file}"
            for name in packed_references(config)
            if name in references
            for file in ("targets.h5", "stats.h5", "command.yml", "inversion.csv")
        ],
        "galleries": {name: paths.gallery(name) for name in gallery_datasets(config) if name in datasets},
        "score_table": next((path for path in of_scores if path.endswith(f"/{SCORE_TEXT}")), []),
        "tables": [
            *(path for path in of_scores if path.endswith((".csv", ".md")) and not path.endswith(f"/{SCORE_TEXT}")),
            *tables(config),
        ],
        "figures": [
            *(path for path in of_scores if path.endswith(".png")),
            *(path for path in sorted(figures(config)) if path not in _pairs_with_photographs(config)),
        ],
    }


def _pairs_with_photographs(config: Mapping) -> list[str]:
    """The figures of the leak audits that show photographs beside the references: they stay out of a release."""
    guards = {name: entry["leak_guard"] for name, entry in config["references"].items() if entry["leak_guard"]}
    return [f"results/figures/leaks/{name}.png" for name, guard in guards.items() if _is_photographed(config, guard)]


def pictures_of_people(config: Mapping) -> list[str]:
    """The figures that show photographs of real people, from databases of the user."""
    networks = [
        f"results/networks/{name}/train_data.png"
        for name, entry in sorted(config["networks"].items())
        if entry.get("database") and not entry["weights"] and _is_photographed(config, entry["database"])
    ]
    trainings = [
        f"results/training/{model}/train_data.png"
        for name, entry in sorted(config["training"].items())
        if any(_is_photographed(config, dataset) for dataset in entry["datasets"])
        for model in paths.trained_models(config, name)
    ]
    return [*_pairs_with_photographs(config), *networks, *trainings]


def _is_photographed(config: Mapping, dataset: str) -> bool:
    """Whether a dataset is a database of photographs, which is the user's and not the embedded world's."""
    entry = config["databases"].get(paths.original(config, dataset))
    return entry is not None and not entry.get("capture")


def _used_covariates(config: Mapping, references: list[str], datasets: list[str]) -> dict[str, str]:
    """The files of covariates that datasets of the release were made with, each with its covariates entry."""
    used: dict[str, str] = {}
    for name in datasets:
        if name in config["variations"]:
            used |= dict.fromkeys(paths.variation_covariates(config, name), config["variations"][name]["covariates"])
    for name in references:
        projection = config["references"][name]["nuisance_projection"]
        used |= dict.fromkeys(paths.nuisance_covariates(config, name), projection and projection["covariates"])
    return used


def _exports(config: Mapping) -> dict[str, dict[str, str]]:
    """The records of the exported training sets of the release, by set and layout."""
    wanted = training_layouts(config)
    return {name: {layout: paths.export(layout, name) for layout in wanted} for name in training_sets(config) if wanted}


def _dataset(config: Mapping, name: str) -> dict[str, Any]:
    return {
        "samples": paths.samples(config, name),
        "statistics": paths.statistics(config, name),
        "command": paths.command(config, name),
        "images": paths.image_shards(config, name) if PUBLISHED in layouts(config) else [],
    }


def _model(config: Mapping, training: str, model: str) -> dict[str, Any]:
    folder = f"results/training/{model}"
    photographed = any(_is_photographed(config, name) for name in config["training"][training]["datasets"])
    return {
        "weights": f"{folder}/weights.safetensors",
        "checkpoint": f"{folder}/checkpoint.ckpt",
        "history": f"{folder}/history.csv",
        "command": f"{folder}/command.yml",
        "batch": [] if photographed else f"{folder}/train_data.png",
        "scores": f"results/scores/{EVALUATION}/{model}.json",
        "pairs": f"results/scores/{EVALUATION}/{model}.pairs.parquet",
    }


def files(parts: Any) -> list[str]:
    """All paths in nested dictionaries and lists of paths."""
    if isinstance(parts, Mapping):
        return [path for part in parts.values() for path in files(part)]
    if isinstance(parts, list):
        return [path for part in parts for path in files(part)]
    return [parts]


def job_counts(config: Mapping) -> Counter[str]:
    """Jobs of the default target by rule, when nothing is there yet; target rules are not counted."""
    jobs: Counter[str] = Counter()
    references, variations, networks = config["references"], config["variations"], config["networks"]
    trained = [name for name, entry in networks.items() if entry.get("database") and not entry.get("weights")]
    packed = packed_references(config)
    jobs["sample_references"] = len(references) - len(packed)
    jobs["embed_faces"] = sum(bool(paths.faces(config, name)) for name in packed)
    jobs["pack_references"] = jobs["invert_embeddings"] = len(packed)
    jobs["measure_packing"] = len(measured_packings(config))
    jobs["vary_references"] = sum(entry["shards"] for entry in variations.values())
    jobs["merge_variations"] = len(variations)
    for dataset in rendered_datasets(config):
        section = paths.section_of(config, paths.original(config, dataset), DATASETS)
        rule = {"databases": "align_database"}.get(section, "render_images")
        rule = "realign_images" if dataset in config["realigned"] else rule
        jobs[rule] += len(paths.shard_names(config, dataset))
    jobs["train_network"] = len(trained)
    models = paths.models(config)
    jobs["train_recognition"] = sum(len(paths.trained_models(config, name)) for name in config["training"])
    if scores(config):
        jobs["score_model"] = len(models)
        jobs["tabulate_scores"] = 1
        jobs["compare_scores"] = int(bool(config["scoring"]["comparisons"]))
    for rule, benchmarks in (
        ("capture_benchmark", paths.captured_benchmarks(config)),
        ("prepare_benchmark", paths.prepared_benchmarks(config)),
    ):
        scored = [name for name in paths.benchmarks_of(config, EVALUATION) if name in benchmarks]
        jobs[rule] = len({paths.benchmark_file(config, name, model) for name in scored for model in models})
    jobs["embed_dataset"] = len(embedded_datasets(config))
    jobs["measure_quality"] = len(judged_datasets(config))
    jobs["tabulate_quality"] = int(bool(config["quality"]))
    for name in config["covariates"]:
        jobs["fit_covariates"] += paths.has_attributes(config, name)
        jobs["fit_within_class"] += 1
        jobs["show_within_class"] += 1
        jobs["project_database"] += config["covariates"][name]["shards"]
        jobs["fit_warm_start"] += len(paths.warm_start(config, name))
    for name in databases_in_use(config):
        jobs["index_database"] += 1
        jobs["capture_database"] += len(paths.capture_manifest(config, name))
    jobs["plot_dynamics"] = len(moving_datasets(config))
    jobs["plot_distances"] = len(variations)
    jobs["show_faces"] = len(shown_datasets(config))
    jobs["build_gallery"] = len(gallery_datasets(config))
    jobs["write_report"] = int(bool(pages(config)))
    jobs["audit_leaks"] = sum(bool(entry["leak_guard"]) for entry in references.values())
    jobs["measure_controls"] = int(bool(controlled_datasets(config)))
    jobs["export_training_set"] = sum(map(len, _exports(config).values())) if config["release"] else 0
    jobs["package_release"] = jobs["verify_release"] = int(config["release"] is not None)
    return +jobs


def embedded_datasets(config: Mapping) -> list[tuple[str, str]]:
    """The datasets that are embedded, each after the network that does it: leak guards, galleries, what is judged."""
    entries = config["references"].values()
    pairs = {(entry["network"], entry[key]) for entry in entries for key in ("leak_guard", "gallery")}
    pairs = {pair for pair in pairs if pair[1] in config["databases"]}
    if config["quality"]:
        judged = judged_datasets(config)
        names = {*judged, *(paths.guarding_database(config, name) for name in judged)} - {None}
        pairs |= {(config["quality"]["judge"], name) for name in names}
    return sorted(pairs)


def rendered_datasets(config: Mapping) -> list[str]:
    """The datasets that are rendered or packed as images, those that realigned ones come from included."""
    names = set(shown_datasets(config))
    if config["release"]:
        names |= {*released_datasets(config), *(name for sets in training_sets(config).values() for name in sets)}
    names |= {dataset for _, dataset in embedded_datasets(config)}
    names |= {name for entry in config["training"].values() for name in entry["datasets"]}
    names |= {entry["database"] for entry in config["networks"].values() if not entry.get("weights")}
    names -= {None}
    return sorted(names | {paths.original(config, name) for name in names})


def databases_in_use(config: Mapping) -> list[str]:
    """The databases that are indexed: packed as images, or projected."""
    packed = {name for name in rendered_datasets(config) if name in config["databases"]}
    return sorted(packed | {config["covariates"][name]["database"] for name in config["covariates"]})
