"""Score an FR network on the benchmarks."""

from brownid.runtime.process import default_device, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.recognition.loading import load_network
from brownid.runtime.files import sha256
from brownid.runtime.text import write_checked_json
from brownid.verification.score import score_network


def score_model(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    benchmarks: Sequence[Path],
    scores: Path,
    failures: Sequence[Path] = (),
) -> None:
    """Score a network on every benchmark file, in the order of their names in `settings`.

    The JSON file holds the scores under `benchmarks` and what made them: `model`, `settings`, and under `inputs` the
    SHA-256 of the weights and of each benchmark file, with a checksum of it all. `failures` are the lists
    NAME.CROP.failures.csv of benchmarks that were prepared here: images whose pairs are not in the benchmark file,
    which join the failures among the scores.
    """
    network = settings["network"]
    result = score_network(
        load_network(network, weights, default_device()),
        dict(zip(settings["benchmarks"], benchmarks, strict=True)),
        image_size=network["image_size"],
        maximum_failed_share=settings["maximum_failed_share"],
        rates=settings["scoring"]["false_accept_rates"],
    )
    for path in failures:
        with open(path, newline="", encoding="utf-8") as file:
            listed = [{"image": row["path"], "reason": row["reason"]} for row in csv.DictReader(file)]
        result[Path(path).name.partition(".")[0]]["failures"] += listed
    content = {
        "model": settings["model"],
        "settings": settings,
        "inputs": {str(path): sha256(path) for path in (weights, *benchmarks)},
        "benchmarks": result,
    }
    write_checked_json(scores, content)


if __name__ == "__main__":
    run(score_model, snakemake)
