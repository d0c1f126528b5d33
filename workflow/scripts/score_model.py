"""Score an FR network on the benchmarks."""

from brownid.runtime.process import default_device, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.jobs.workers import threads_beside
from brownid.recognition.loading import load_network
from brownid.runtime.files import sha256
from brownid.runtime.text import write_checked_json
from brownid.verification.pair_scores import write_pair_scores
from brownid.verification.score import score_network


def score_model(
    settings: Mapping[str, Any],
    *,
    weights: Path,
    benchmarks: Sequence[Path],
    scores: Path,
    pairs: Path,
    persons: Sequence[Path] = (),
    failures: Sequence[Path] = (),
    threads: int = 1,
) -> None:
    """Score a network on every benchmark file, in the order of their names in `settings`.

    The JSON file `scores` holds the scores under `benchmarks` and what made them: `model`, `settings`, and under
    `inputs` the SHA-256 of the weights and of each benchmark file, with a checksum of it all. The Parquet file `pairs`
    has the similarity of each pair, with the same provenance (`brownid.verification.pair_scores`). `persons` are the
    tables NAME.CROP.persons.csv of benchmarks that were captured or prepared here, `failures` the lists
    NAME.CROP.failures.csv of prepared ones: images whose pairs are not in the benchmark file, which join the failures
    among the scores. `threads` threads decode images, more where they feed a GPU.
    """
    network, device = settings["network"], default_device()
    result, of_pairs = score_network(
        load_network(network, weights, device),
        dict(zip(settings["benchmarks"], benchmarks, strict=True)),
        image_size=network["image_size"],
        persons={_benchmark(path): path for path in persons},
        maximum_failed_share=settings["maximum_failed_share"],
        rates=settings["scoring"]["false_accept_rates"],
        precision=settings["scoring"]["precision"],
        threads=threads_beside(device, threads),
    )
    for path in failures:
        with open(path, newline="", encoding="utf-8") as file:
            listed = [{"image": row["path"], "reason": row["reason"]} for row in csv.DictReader(file)]
        result[_benchmark(path)]["failures"] += listed
    inputs = {str(path): sha256(path) for path in (weights, *benchmarks, *persons)}
    provenance = {"model": settings["model"], "settings": settings, "inputs": inputs}
    write_pair_scores(pairs, of_pairs, provenance)
    write_checked_json(scores, {**provenance, "benchmarks": result})


def _benchmark(path: Path) -> str:
    """The benchmark that a file NAME.CROP.… belongs to."""
    return path.name.partition(".")[0]


if __name__ == "__main__":
    run(score_model, snakemake)
