"""Compare the scores of all networks: tables, charts, ROC and DET curves."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brownid.figures.scores import NONE, ONE_NETWORK, Estimates, plot_det, plot_roc, plot_scores, score_table
from brownid.figures.tables import Table, html, markdown
from brownid.runtime.text import read_checked_json, write_text
from brownid.verification.error_rates import mean_roc
from brownid.verification.uncertainty import MEAN, Estimate, resample_files

FIGURES = ("fmr", "fnmr", "eer", "auc", "d_prime")  # of a network on a benchmark, beside the accuracy
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]  # network -> benchmark -> its scores


def tabulate_scores(
    settings: Mapping[str, Any],
    *,
    scores: Sequence[Path],
    pairs: Sequence[Path],
    table: Path,
    accuracies: Path,
    error_rates: Path,
    text: Path,
    page: Path,
    chart: Path,
    roc: Path,
    det: Path,
) -> None:
    """Write the scores of single networks and of entries as tables and figures; the best entry comes last.

    `settings` has `entries` (name to its networks, of which a training has one per seed), `group` and its `benchmarks`,
    `confidence`, and `seed` and `resamples` as for `resample_persons`. `scores` and `pairs` are files of the networks,
    in order.
    """
    results: Results = {result["model"]: result["benchmarks"] for result in map(read_checked_json, scores)}
    resamples = resample_files(settings["entries"], pairs, seed=settings["seed"], resamples=settings["resamples"])
    group, benchmarks, confidence = settings["group"], settings["benchmarks"], settings["confidence"]
    found = resamples.by_benchmark(settings["entries"], benchmarks, confidence)
    estimates = dict(sorted(found.items(), key=lambda item: item[1][MEAN].value))
    entries = {entry: settings["entries"][entry] for entry in estimates}
    rates = _rates_table(results, entries, benchmarks)
    write_text(table, _csv(_networks_table(results, entries, benchmarks)))
    write_text(accuracies, _csv(_accuracies_table(estimates)))
    write_text(error_rates, _csv(rates))
    fold_notes = _fold_notes(results)
    notes = [*_NOTES, *[f"{name}: {note}." for name, note in fold_notes.items()]]
    with_stratified = _with_stratified(estimates, results, entries, fold_notes)
    shown = score_table(with_stratified, title=f"Accuracy on the {group} benchmarks", confidence=confidence)
    logger.info("%s", markdown([shown]))
    write_text(text, markdown([shown], notes))
    rate_table = _rate_texts(rates, f"Error rates on the {group} benchmarks")
    write_text(page, html("Scores", [shown, rate_table], [*notes, *_RATE_NOTES, *_rate_notes(results)]))
    single = {
        entry: {name: resamples.accuracies(networks, benchmarks if name == MEAN else [name]) for name in found[entry]}
        for entry, networks in entries.items()
    }
    plot_scores(estimates, chart, single=single, confidence=confidence)
    curves = _curves(results, entries, benchmarks)
    plot_roc(curves, roc)
    plot_det(curves, det)


_NOTES = (
    "Per cent. After ± stands the standard deviation over the networks of an entry, which differ in the seed of their "
    "training alone.",
    "The interval of the mean is over persons and trainings: docs/uncertainty.md. Entries whose intervals overlap may "
    f"still differ: see the table of differences. {ONE_NETWORK}: one network, interval over persons only.",
)
_RATE_NOTES = (
    "Error rates are means over networks and benchmarks, in per cent. EER: equal error rate. FMR, false match rate: "
    "the FAR; FNMR, false non-match rate: 1 - TAR. AUC: area under the ROC curve. d′: distance of the mean genuine and "
    "impostor similarities in units of their root mean variance.",
)


def _with_stratified(
    rows: Estimates, results: Results, entries: Mapping[str, Sequence[str]], fold_notes: Mapping[str, str]
) -> Estimates:
    """The estimates with a second column after each benchmark whose accuracy depends on the order of its pairs."""
    shown: dict[str, dict[str, Estimate]] = {}
    for entry, row in rows.items():
        shown[entry] = {}
        for name, estimate in row.items():
            shown[entry][name] = estimate
            if name in fold_notes:
                values = np.array([results[network][name]["stratified_accuracy"] for network in entries[entry]])
                std = float(values.std(ddof=1)) if len(values) > 1 else math.nan
                stratified = Estimate(float(values.mean()), std, math.nan, math.nan, (len(values),))
                shown[entry][f"{name} (stratified)"] = stratified
    return shown


def _fold_notes(results: Results) -> dict[str, str]:
    """By benchmark: why its accuracies should not be compared. All networks are scored on the same pairs."""
    return {
        name: row["fold_note"]
        for rows in results.values()
        for name, row in rows.items()
        if row["fold_note"] is not None
    }


def _rate_notes(results: Results) -> list[str]:
    """By benchmark and rate: why a cell is empty."""
    notes = {
        f"FNMR at FMR {float(rate):.6g} on {name}: {entry['note']}."
        for rows in results.values()
        for name, row in rows.items()
        for rate, entry in row["tar_at_far"].items()
        if "note" in entry
    }
    return sorted(notes)


def _curves(results: Results, entries: Mapping[str, Sequence[str]], benchmarks: Sequence[str]) -> dict:
    """`[benchmark][entry]`: the ROC curve of an entry, the mean over its networks."""

    def curve(network: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        found = results[network][name]["roc"]
        return np.array(found["false_accept"]), np.array(found["true_accept"])

    return {
        name: {entry: mean_roc([curve(network, name) for network in networks]) for entry, networks in entries.items()}
        for name in benchmarks
    }


def _networks_table(results: Results, entries: Mapping[str, Sequence[str]], benchmarks: Sequence[str]) -> pd.DataFrame:
    """A row per network and benchmark."""
    return pd.DataFrame(
        [
            {
                "network": network,
                "entry": entry,
                "benchmark": name,
                "accuracy": row["accuracy"],
                "fold_std": row["std"],
                **{key: row[key] for key in ("threshold", "stratified_accuracy")},
                **_rates(row),
                **{key: row[key] for key in ("pairs", "genuine", "impostors", "fold_note")},
                "rate_note": "; ".join(_rate_notes({network: {name: row}})) or None,
            }
            for entry, networks in entries.items()
            for network in networks
            for name in benchmarks
            for row in [results[network][name]]
        ]
    )


def _rates(row: Mapping[str, Any]) -> dict[str, float]:
    """The error rates of a network on a benchmark, in the names of ISO/IEC 19795-1 and of the field."""
    at = row["tar_at_far"].items()
    return {
        **{key: row[key] for key in FIGURES},
        **{f"fnmr_at_fmr_{rate}": entry["fnmr"] for rate, entry in at},
        **{f"tar_at_far_{rate}": entry["tar"] for rate, entry in at},
    }


def _accuracies_table(estimates: Estimates) -> pd.DataFrame:
    """A row per entry and benchmark, or `MEAN`, with the interval and what it is over."""
    return pd.DataFrame(
        [
            {
                "entry": entry,
                "benchmark": name,
                "networks": estimate.trainings[0],
                "accuracy": estimate.value,
                "std": estimate.std,
                "low": estimate.low,
                "high": estimate.high,
                "interval_over": "persons and trainings" if estimate.trainings[0] > 1 else "persons",
            }
            for entry, row in estimates.items()
            for name, estimate in row.items()
        ]
    )


def _rates_table(results: Results, entries: Mapping[str, Sequence[str]], benchmarks: Sequence[str]) -> pd.DataFrame:
    """A row per entry and benchmark, or `MEAN`: error rates, the mean over networks; empty where one has none."""
    rows = []
    for entry, networks in entries.items():
        found = [[_rates(results[network][name]) for network in networks] for name in benchmarks]
        each = [pd.DataFrame(rates).astype(float).mean(skipna=False) for rates in found]
        each.append(pd.DataFrame(each).mean(skipna=False))
        for name, rates in zip([*benchmarks, MEAN], each, strict=True):
            rows.append({"entry": entry, "benchmark": name, "networks": len(networks)} | rates.to_dict())
    return pd.DataFrame(rows)


def _rate_texts(rates: pd.DataFrame, title: str) -> Table:
    """The table of the mean error rates."""
    at = [name for name in rates.columns if name.startswith("fnmr_at_fmr_")]
    names = {"eer": "EER", **{name: f"FNMR at FMR {100 * float(name[12:]):g} %" for name in at}, "auc": "AUC"}
    rows = [
        [row["entry"], str(row["networks"]), *(_number(100 * row[name]) for name in names), _number(row["d_prime"])]
        for _, row in rates[rates["benchmark"] == MEAN].iterrows()
    ]
    return Table(["entry", "networks", *names.values(), "d′"], rows, title)


def _number(value: float) -> str:
    return NONE if np.isnan(value) else f"{value:.2f}"


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.6f")


if __name__ == "__main__":
    run(tabulate_scores, snakemake)
