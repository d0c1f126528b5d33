"""Score an FR network on the benchmarks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.benchmark.score import score_weights
from brownid.files import atomic_path, sha256


def score_model(settings: Mapping[str, Any], *, weights: Path, benchmarks: Sequence[Path], scores: Path) -> None:
    """Score a network on every benchmark file, in the order of their names in `settings`.

    The JSON file holds the scores under `benchmarks` and what made them: `model`, `settings`, and under `inputs` the
    SHA-256 of the weights and of each benchmark file.
    """
    network = settings["network"]
    result = score_weights(
        weights,
        network["family"],
        network["architecture"],
        dict(zip(settings["benchmarks"], benchmarks, strict=True)),
        side=network["side"],
        maximum_failed_share=settings["maximum_failed_share"],
        rates=settings["scoring"]["false_accept_rates"],
    )
    content = {
        "model": settings["model"],
        "settings": settings,
        "inputs": {str(path): sha256(path) for path in (weights, *benchmarks)},
        "benchmarks": result,
    }
    with atomic_path(scores) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")
