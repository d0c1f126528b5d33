"""Differences between the accuracies of entries, with their intervals."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brownid.figures.scores import ONE_NETWORK, Estimates, difference_table, plot_differences
from brownid.figures.tables import html, markdown
from brownid.runtime.text import write_text
from brownid.verification.uncertainty import MEAN, Estimate, resample_files

NOTES = (
    "Points (hundredths of the accuracy): the mean of the networks of the first entry minus that of the second. Bold: "
    "the interval excludes zero, over the trainings of both entries too.",
    "Intervals are over persons and trainings: docs/uncertainty.md. Persons are paired, since all networks are scored "
    "on the same pairs; trainings are not. Each interval is for one comparison: of many, some exclude zero by chance. "
    f"{ONE_NETWORK}: an entry has one network, and the interval does not hold the luck of its training.",
)


def compare_scores(
    settings: Mapping[str, Any], *, pairs: Sequence[Path], table: Path, text: Path, page: Path, chart: Path
) -> None:
    """Write the differences that `settings["comparisons"]` names, as tables and as a figure.

    `settings` has `entries` (name to its networks), `group` and its `benchmarks`, `comparisons` (pairs of entries),
    `confidence`, and `seed` and `resamples` as for `resample_persons`. `pairs` are files of the networks, in order.
    """
    entries, benchmarks, confidence = settings["entries"], settings["benchmarks"], settings["confidence"]
    resamples = resample_files(entries, pairs, seed=settings["seed"], resamples=settings["resamples"])
    found: dict[str, dict[str, Estimate]] = {
        f"{first} − {second}": {
            name: resamples.difference(
                entries[first], entries[second], benchmarks if name == MEAN else [name], confidence
            )
            for name in (*benchmarks, MEAN)
        }
        for first, second in settings["comparisons"]
    }
    write_text(table, _table(found, settings["comparisons"]).to_csv(index=False, float_format="%.6f"))
    title = f"Differences on the {settings['group']} benchmarks"
    shown = difference_table(found, title=title, confidence=confidence)
    logger.info("%s", markdown([shown]))
    write_text(text, markdown([shown], NOTES))
    write_text(page, html("Differences", [shown], NOTES))
    plot_differences(found, chart, confidence=confidence)


def _table(found: Estimates, comparisons: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """A row per comparison and benchmark, or `MEAN`; accuracies between 0 and 1."""
    return pd.DataFrame(
        [
            {
                "first": first,
                "second": second,
                "benchmark": name,
                "difference": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "first_networks": estimate.trainings[0],
                "second_networks": estimate.trainings[1],
            }
            for (first, second), row in zip(comparisons, found.values(), strict=True)
            for name, estimate in row.items()
        ]
    )


if __name__ == "__main__":
    run(compare_scores, snakemake)
