"""Join the shards of a variations entry."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brownid.dynamics.settings import DispersionSettings
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256
from brownid.samples.collection import SampleCollection, merge, variation_label
from brownid.samples.provenance import write_command
from brownid.samples.statistics import load_statistics, merge_statistics, save_statistics


def merge_variations(
    settings: Mapping[str, Any],
    *,
    shard_samples: Sequence[Path],
    shard_statistics: Sequence[Path],
    references: Path,
    weights: Path,
    covariates: Path | None,
    generator: Sequence[Path],
    samples: Path,
    statistics: Path,
    command: Path,
) -> None:
    """Join the shards of a variations entry, in little memory at any size.

    They must be of one generator, network and settings; every identity of the references must have all its variations
    (of HyperFace: some), and no other may; the statistics must be of those identities. BrownidError says which shard is
    wrong.
    """
    all_identities = SampleCollection.load(references, columns=()).identities
    measured = [load_statistics(path) for path in shard_statistics]
    merged = merge_statistics(measured)
    for found, path, described in zip(measured, shard_statistics, shard_samples, strict=True):
        _check_count(found["identities"], path, described)
    entry = settings["variations"]
    complete = entry["algorithm"] != "hyperface"  # whose images are left out where they miss what they aim at
    merge(shard_samples, samples, identities=all_identities, labels=_labels(entry), complete=complete)
    save_statistics(statistics, merged)
    inputs = [references, weights, *([covariates] if covariates else []), *generator]
    checksums = {str(path): sha256(path) for path in inputs}
    write_command(command, settings=settings, seed=settings["seed"], inputs=checksums, command="vary_references")


def _check_count(counts: np.ndarray, statistics: Path, samples: Path) -> None:
    """The statistics of a shard are of as many identities as its samples; so all shards add up to the references."""
    identities = len(np.unique(SampleCollection.load(samples, columns=()).identities))
    wrong = counts[counts != identities]
    if len(wrong):
        raise BrownidError(
            f"{statistics}: these statistics are of {wrong[0]:g} identities, but {samples} has {identities}: delete"
            " both and run their shard again."
        )


def _labels(entry: Mapping[str, Any]) -> list[str] | None:
    """The labels that each identity must have; None where the settings alone do not tell."""
    if entry["algorithm"] in ("covariates", "hyperface"):
        return None
    return [variation_label(number) for number in range(DispersionSettings.within(entry["settings"]).variations)]


if __name__ == "__main__":
    run(merge_variations, snakemake)
