"""Join the shards of a variations entry."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.dynamics.dispersion import DispersionSettings, variation_label
from brownid.dynamics.statistics import merge_statistics
from brownid.files import sha256
from brownid.samples.collection import SampleCollection
from brownid.samples.columnar import merge
from brownid.samples.provenance import write_command
from brownid.samples.statistics import load_statistics, save_statistics


def merge_variations(
    settings: Mapping[str, Any],
    *,
    shard_samples: Sequence[Path],
    shard_statistics: Sequence[Path],
    inputs: Sequence[Path],
    references: Path,
    samples: Path,
    statistics: Path,
    command: Path,
) -> None:
    """Join the shards of a variations entry, in little memory at any size.

    They must be of one generator, network and settings; every identity of the references must have all its variations,
    and no other may. BrownidError says which shard is wrong.
    """
    everybody = SampleCollection.load(references, columns=()).identities
    merge(shard_samples, samples, identities=everybody, labels=_labels(settings["variations"]))
    save_statistics(statistics, merge_statistics([load_statistics(path) for path in shard_statistics]))
    checksums = {str(path): sha256(path) for path in inputs}
    write_command(command, settings=settings, seed=settings["seed"], inputs=checksums, command="vary_references")


def _labels(entry: Mapping[str, Any]) -> list[str] | None:
    """The labels that each identity must have; None where only the covariates' file tells how many there are."""
    if entry["algorithm"] == "covariates":
        return None
    return [variation_label(number) for number in range(DispersionSettings(**entry["settings"]).variations)]
