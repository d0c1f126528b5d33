"""Compare the scores of all networks: table, chart, ROC curves."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brownid.figures.scores import html_table, markdown_table, plot_roc, plot_scores, score_table
from brownid.runtime.files import atomic_path
from brownid.runtime.text import read_checked_json


def tabulate_scores(
    settings: Mapping[str, Any],
    *,
    scores: Sequence[Path],
    table: Path,
    accuracies: Path,
    markdown: Path,
    page: Path,
    chart: Path,
    roc: Path,
) -> None:
    """Write the accuracies as CSV, Markdown and HTML, their chart, and the ROC curves; the best network comes last.

    A benchmark with folds whose accuracy depends on the order of the pairs has a second column, and a note below.
    """
    read = map(read_checked_json, scores)
    results = {result["model"]: result["benchmarks"] for result in read}
    compared = score_table(_figure(results, "accuracy"))
    compared = compared.sort_values(compared.columns[-1], kind="stable")
    notes = _fold_notes(results)
    for name in notes:
        stratified = {model: rows[name]["stratified_accuracy"] for model, rows in results.items() if name in rows}
        compared.insert(list(compared.columns).index(name) + 1, f"{name} (stratified)", pd.Series(stratified))
    results = {model: results[model] for model in compared.index}
    logger.info("scores:\n%s", compared.to_string(float_format="%.4f"))
    _write(table, _long_table(results).to_csv(index=False, float_format="%.6f"))
    _write(accuracies, compared.to_csv(float_format="%.6f"))
    sentences = [f"{name}: {note}." for name, note in notes.items()]
    _write(markdown, markdown_table(compared, sentences))
    _write(page, html_table(compared, sentences))
    plot_scores(_figure(results, "accuracy"), chart, std=_figure(results, "std"))
    plot_roc(_curves(results), roc)


def _figure(results: Mapping[str, Mapping], name: str) -> dict[str, dict[str, float]]:
    return {model: {bench: row[name] for bench, row in rows.items()} for model, rows in results.items()}


def _fold_notes(results: Mapping[str, Mapping]) -> dict[str, str]:
    """By benchmark: why its accuracies should not be compared. All networks are scored on the same pairs."""
    return {
        name: row["fold_note"]
        for rows in results.values()
        for name, row in rows.items()
        if row.get("fold_note") is not None  # scores of earlier versions have none
    }


def _curves(results: Mapping[str, Mapping]) -> dict[str, dict[str, tuple]]:
    benchmarks = dict.fromkeys(name for rows in results.values() for name in rows)
    return {
        name: {
            model: (rows[name]["roc"]["false_accept"], rows[name]["roc"]["true_accept"])
            for model, rows in results.items()
            if name in rows
        }
        for name in benchmarks
    }


def _long_table(results: Mapping[str, Mapping]) -> pd.DataFrame:
    """A row per network and benchmark: accuracy and its standard deviation over folds, AUC, EER, TAR at each FAR."""
    return pd.DataFrame(
        [
            {
                "network": model,
                "benchmark": name,
                **{key: row[key] for key in ("accuracy", "std", "threshold")},
                "stratified_accuracy": row.get("stratified_accuracy"),
                **{key: row[key] for key in ("auc", "eer")},
                **{f"tar_at_far_{rate}": entry["tar"] for rate, entry in row["tar_at_far"].items()},
                "pairs": row["pairs"],
                "fold_note": row.get("fold_note"),
            }
            for model, rows in results.items()
            for name, row in rows.items()
        ]
    )


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(tabulate_scores, snakemake)
