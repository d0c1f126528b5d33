"""What the report of a run shows: sections of titled figures and tables, each with its caption, entries by name."""

from collections.abc import Mapping
from typing import Any

from brownid.configuration import paths, products
from brownid.configuration.datasets import synthetic_images

Item = dict[str, str]  # title, caption (a file of workflow/report/), of (an entry), and one of figure, table, page


def report_sections(config: Mapping) -> list[dict[str, Any]]:
    """The sections of the report that have anything to show; the paths are those of `products.targets`."""
    sections = {
        "Scores": _scores(config),
        "Faces": [
            _item("Faces of {}", "faces", name, figure=f"results/figures/faces/{name}.png")
            for name in sorted(products.shown_datasets(config))
        ],
        "Quality": _quality(config),
        "Angles": _angles(config),
        "Leak audit": [item for name in _guarded(config) for item in _leaks(name)],
        "Dynamics": [
            _item("Iterations of {}", "dynamics", name, figure=f"results/figures/dynamics/{name}.png")
            for name in sorted(products.moving_datasets(config))
        ],
        "Packing": [item for name in sorted(products.measured_packings(config)) for item in _packing(name)],
        "Covariates": [item for name in sorted(config["covariates"]) for item in _covariates(config, name)],
        "Ground truth": [_item("Ground-truth controls", "controls", table=path) for path in products.controls(config)],
        "Training": _batches(config),
    }
    return [{"title": title, "items": items} for title, items in sections.items() if items]


def report_files(config: Mapping) -> list[str]:
    """The figures and tables of the report."""
    items = [item for section in report_sections(config) for item in section["items"]]
    return [item[kind] for item in items for kind in ("figure", "table", "page") if kind in item]


def accuracies(config: Mapping) -> list[str]:
    """The table of accuracies that the first page is about; none without scores."""
    return [path for path in products.scores(config) if path.endswith("/accuracies.csv")]


def report_facts(config: Mapping) -> dict[str, Any]:
    """What the first page says of the run: the entries of the configuration by kind."""
    sections = ("references", "variations")
    return {
        "datasets": {
            name: {
                "algorithm": config[section][name]["algorithm"],
                "references": paths.namespace(config, name),
                "images": synthetic_images(config, name),
            }
            for section in sections
            for name in config[section]
        },
        "generators": sorted({entry["generator"] for entry in config["references"].values()}),
        "networks": sorted({entry["network"] for entry in config["references"].values()}),
        "trainings": {name: len(paths.trained_models(config, name)) for name in config["training"]},
        "scored": sorted(paths.scored_models(config)),
        "benchmarks": paths.benchmarks_of(config, products.EVALUATION),
        "judge": config["quality"]["judge"] if config["quality"] else None,
        "release": config["release"]["name"] if config["release"] else None,
        "seed": config["seed"],
        "photographs": products.pictures_of_people(config),
    }


def _item(title: str, caption: str, name: str = "", **shown: str) -> Item:
    return {"title": title.format(name), "caption": caption, "of": name, **shown}


def _scores(config: Mapping) -> list[Item]:
    made = products.scores(config)
    if not made:
        return []
    tables, figures = (f"results/{kind}/{products.EVALUATION}" for kind in ("tables", "figures"))
    items = [
        _item("Verification accuracy", "scores", figure=f"{figures}/scores.png"),
        _item("Accuracies and error rates", "", page=f"{tables}/scores.html"),
    ]
    if config["scoring"]["comparisons"]:
        items += [
            _item("Differences between entries", "differences", figure=f"{figures}/differences.png"),
            _item("Table of the differences", "", page=f"{tables}/differences.html"),
        ]
    return [
        *items,
        _item("DET curves", "det", figure=f"{figures}/det.png"),
        _item("ROC curves", "roc", figure=f"{figures}/roc.png"),
        _item("Accuracy of each network on each benchmark", "", table=f"{tables}/accuracies.csv"),
    ]


def _quality(config: Mapping) -> list[Item]:
    if not config["quality"]:
        return []
    compared = products.compared_datasets(config)
    return [
        _item("Consistency and diversity", "quality", figure=products.QUALITY_FIGURE),
        _item("Table of the quality", "", page=products.QUALITY_PAGE),
        *[
            item
            for name in compared
            for item in (
                _item(
                    "Angles of {} and genuine images",
                    "genuine_angles",
                    name,
                    figure=f"results/figures/distances/{name}.judge.png",
                ),
                _item("Table of these angles: {}", "", name, table=f"results/tables/distances/{name}.judge.csv"),
            )
        ],
    ]


def _angles(config: Mapping) -> list[Item]:
    return [
        item
        for name in sorted(config["variations"])
        for item in (
            _item("Angles of {}", "distances", name, figure=f"results/figures/distances/{name}.png"),
            _item("Table of these angles: {}", "", name, table=f"results/tables/distances/{name}.csv"),
        )
    ]


def _guarded(config: Mapping) -> list[str]:
    return sorted(name for name, entry in config["references"].items() if entry["leak_guard"])


def _leaks(name: str) -> list[Item]:
    return [
        _item("References of {} closest to training images", "leaks", name, figure=f"results/figures/leaks/{name}.png"),
        _item("Table of these pairs: {}", "", name, table=f"results/tables/leaks/{name}.csv"),
    ]


def _packing(name: str) -> list[Item]:
    return [
        _item("Separation of {}", "packing", name, figure=f"results/figures/packing/{name}.png"),
        _item("Table of the separation: {}", "", name, table=f"results/tables/packing/{name}.csv"),
        _item(
            "Iterations of the packing {}", "dynamics", name, figure=f"results/figures/packing/{name}.iterations.png"
        ),
    ]


def _covariates(config: Mapping, name: str) -> list[Item]:
    fitted = [_item("Linear SVMs of {}", "covariates", name, table=f"results/covariates/{name}/summary.csv")]
    return [
        *(fitted if paths.has_attributes(config, name) else []),
        _item("Within-class covariance of {}", "within_class", name, figure=f"results/figures/within_class/{name}.png"),
        _item("Table: {}", "within_class", name, table=f"results/tables/within_class/{name}.csv"),
    ]


def _batches(config: Mapping) -> list[Item]:
    made = sorted(name for name, entry in config["networks"].items() if not entry["weights"])
    networks = [(name, f"results/networks/{name}") for name in made]
    trainings = [
        (model, f"results/training/{model}")
        for name in sorted(config["training"])
        for model in paths.trained_models(config, name)[:1]
    ]
    return [
        _item("A training batch of {}", "train_data", name, figure=f"{folder}/train_data.png")
        for name, folder in networks + trainings
    ]
