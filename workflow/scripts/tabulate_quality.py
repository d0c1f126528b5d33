"""Compare the quality of all datasets: table, consistency and diversity, genuine angles against genuine images."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brownid.embeddings.distances import QUANTILES, wasserstein_distance
from brownid.figures.quality import COLUMNS, plot_genuine_angles, plot_quality, quality_page
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import read_checked_json, write_text

ANGLES = ["angles", "dataset", "count", "mean", "std", "minimum", *QUANTILES, "maximum", "wasserstein", "median_ratio"]

TRUTH = {  # control -> column of the quality table
    "true nuisance within an identity": "nuisance_std_{}",
    "true identity drift": "identity_drift",
}


def tabulate_quality(
    settings: Mapping[str, Any],
    *,
    measured: Sequence[Path],
    controls: Path | None,
    table: Path,
    page: Path,
    figure: Path,
    distance_figures: Sequence[Path],
    distance_tables: Sequence[Path],
) -> None:
    """Write the quality table as CSV and HTML, its figure, and how genuine angles compare with genuine images.

    `measured` are in the order of `datasets` in `settings`, the figures and tables of distances in that of `compared`.
    `controls` is the table of the ground-truth controls, from which the true nuisance and identity drift are taken.
    """
    genuine = settings["genuine"]
    results = dict(zip(settings["datasets"], map(read_checked_json, measured), strict=True))
    if not results[genuine]["angles"]["genuine"]["count"]:
        raise BrownidError(
            f"quality.genuine is {genuine!r}, in which no identity has two images, so that it has no genuine angles: "
            "name another database."
        )
    distances = {name: _distances(result["angles"], results[genuine]["angles"]) for name, result in results.items()}
    compared = pd.DataFrame(
        [result["figures"] | distances[name]["genuine"] for name, result in results.items()],
        index=pd.Index(results, name="dataset"),
        columns=COLUMNS,
    ).astype(float)
    if controls is not None:
        compared = compared.join(_truth(controls))
    logger.info("quality:\n%s", compared.T.to_string(float_format="%.4f"))
    write_text(table, compared.astype({"identities": int, "images": int}).to_csv(float_format="%.6f"))
    write_text(page, quality_page(compared, settings))
    plot_quality(compared, figure, genuine=genuine)
    for name, picture, listed in zip(settings["compared"], distance_figures, distance_tables, strict=True):
        pair = {source: results[source]["angles"] for source in (name, genuine)}
        plot_genuine_angles(pair, picture, title=f"{name} (judge: {settings['judge']})")
        rows = [
            {"angles": kind, "dataset": source} | angles[kind] | (distances[name][kind] if source == name else {})
            for kind in ("genuine", "nearest_impostor")
            for source, angles in pair.items()
        ]
        write_text(listed, pd.DataFrame(rows)[ANGLES].to_csv(index=False, float_format="%.6f"))


def _truth(controls: Path) -> pd.DataFrame:
    """The true nuisance by group and the identity drift of variations, one row per dataset."""
    rows = pd.read_csv(controls)
    rows = rows[rows["control"].isin(TRUTH)]
    named = [TRUTH[control].format(group) for control, group in zip(rows["control"], rows["measured"], strict=True)]
    rows = rows.assign(column=named)
    return rows.pivot(index="entry", columns="column", values="value")[list(dict.fromkeys(named))]


def _distances(angles: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """How each distribution of a dataset compares with that of the genuine database."""
    return {
        kind: {
            "wasserstein": wasserstein_distance(found["counts"], expected[kind]["counts"]),
            "median_ratio": found["q50"] / expected[kind]["q50"] if found["count"] else float("nan"),
        }
        for kind, found in angles.items()
    }


if __name__ == "__main__":
    run(tabulate_quality, snakemake)
