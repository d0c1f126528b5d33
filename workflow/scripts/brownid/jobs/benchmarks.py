"""Benchmarks: photograph the pairs, score a network on them, compare the networks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.benchmark.capture import BenchmarkCapture
from brownid.benchmark.capture import capture_benchmark as capture
from brownid.benchmark.score import score_weights
from brownid.files import atomic_path
from brownid.jobs.databases import capture_arguments, embedded_world


def capture_benchmark(settings: Mapping[str, Any], *, benchmark: Path) -> None:
    """Photograph the pairs of a benchmark of the embedded world."""
    wanted = BenchmarkCapture(**capture_arguments(settings["capture"]))
    capture(embedded_world(settings), benchmark, wanted, seed=settings["seed"])


def score_model(settings: Mapping[str, Any], *, weights: Path, benchmarks: Sequence[Path], scores: Path) -> None:
    """Score a network on every benchmark file, in the order of their names in `settings`."""
    network = settings["network"]
    result = score_weights(
        weights,
        network["family"],
        network["architecture"],
        dict(zip(settings["benchmarks"], benchmarks, strict=True)),
        side=network["side"],
        rates=settings["scoring"]["false_accept_rates"],
    )
    content = {"model": settings["model"], "benchmarks": result}
    with atomic_path(scores) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False), encoding="utf-8")
