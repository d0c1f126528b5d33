"""What was made, in sentences that follow from the configuration and from what was measured."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MEAN = "mean"  # over benchmarks, in the table of accuracies
METHODS = {  # algorithm -> what it is called
    "random": "random faces",
    "reject": "rejection sampling",
    "langevin": "Langevin dynamics",
    "hyperface": "HyperFace packing",
    "dispersion": "Dispersion",
    "disco": "DisCo",
    "within_class": "within-class variations",
    "covariates": "edits along covariates",
}


def sentences(
    facts: Mapping[str, Any], made: Mapping[str, Mapping[str, Any]], accuracies: Path | None, quality: Path | None
) -> list[str]:
    """At most five sentences about a run, with names between backticks.

    `facts` are those of `brownid.configuration.report`, `made` what the gallery says of its datasets, `accuracies` and
    `quality` the tables of these.
    """
    found = [
        _datasets(facts, made),
        _methods(facts),
        _networks(facts),
        _scores(facts, accuracies),
        _quality(facts, quality),
    ]
    return [sentence for sentence in found if sentence]


def _datasets(facts: Mapping[str, Any], made: Mapping[str, Mapping[str, Any]]) -> str:
    datasets = facts["datasets"]
    if not datasets:
        return ""
    images = sum(
        made[name]["totals"]["images"] if name in made else entry["images"] for name, entry in datasets.items()
    )
    for name, entry in datasets.items():  # the gallery shows the references among the variations
        if name in made and entry["references"] != name:
            images -= made[name]["totals"]["identities"]
    of, by = (_listed([f"`{name}`" for name in facts[kind]]) for kind in ("generators", "networks"))
    return (
        f"This run made {_count(len(datasets), 'dataset')} of synthetic faces, {images:,} images in all, with the "
        f"generator {of}, steered by the FR network {by}."
    )


def _methods(facts: Mapping[str, Any]) -> str:
    kinds = {True: list[str](), False: list[str]()}
    for name, entry in facts["datasets"].items():
        kinds[entry["references"] == name].append(METHODS.get(entry["algorithm"], entry["algorithm"]))
    identities, variations = (_listed(list(dict.fromkeys(kinds[own]))) for own in (True, False))
    if not identities:
        return ""
    rest = f", their variations from {variations}" if variations else ""
    return f"The identities come from {identities}{rest}."


def _networks(facts: Mapping[str, Any]) -> str:
    count, benchmarks = sum(facts["trainings"].values()), len(facts["benchmarks"])
    if not count:
        return ""
    scored = f" and scored on {_count(benchmarks, 'verification benchmark')}" if benchmarks else ""
    return (
        f"{_count(count, 'FR network')} of {_count(len(facts['trainings']), 'entry', 'entries')} "
        f"{'was' if count == 1 else 'were'} trained on them, or on genuine images to compare with{scored}."
    )


def _scores(facts: Mapping[str, Any], accuracies: Path | None) -> str:
    """The best trainings; other networks, which the run scored too, only where nothing was trained."""
    if accuracies is None:
        return ""
    every = [row for row in _rows(accuracies) if row["benchmark"] == MEAN]
    rows = [row for row in every if row["entry"] in facts["trainings"]] or every
    ranked = sorted(rows, key=lambda row: float(row["accuracy"]), reverse=True)
    shown = [f"`{row['entry']}` {100 * float(row['accuracy']):.1f} %" for row in ranked[:4]]
    return f"Mean accuracy over the benchmarks: {_listed(shown)}." if shown else ""


def _quality(facts: Mapping[str, Any], quality: Path | None) -> str:
    if quality is None:
        return ""
    rows = [row for row in _rows(quality) if row["dataset"] in facts["datasets"] and row["identity_consistency"]]
    if not rows:
        return ""
    best = max(rows, key=lambda row: float(row["identity_consistency"]))
    widest = max(rows, key=lambda row: float(row["diversity"] or 0))
    return (
        f"By the judge network `{facts['judge']}`, `{best['dataset']}` keeps identities best (consistency "
        f"{100 * float(best['identity_consistency']):.1f} %), and `{widest['dataset']}` varies most (mean genuine "
        f"angle {float(widest['diversity'] or 0):.2f} rad)."
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
