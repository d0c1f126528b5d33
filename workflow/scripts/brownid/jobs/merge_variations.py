"""Join the shards of a variations entry."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brownid.dynamics.statistics import merge_statistics
from brownid.errors import BrownidError
from brownid.files import sha256
from brownid.samples.collection import SampleCollection
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
    """Join the shards of a variations entry; every identity of the references must have all its variations."""
    merged = SampleCollection.concatenate(SampleCollection.load(path) for path in shard_samples)
    expected = SampleCollection.load(references, columns=()).identities
    missing = np.setdiff1d(expected, merged.identities)
    if len(missing):
        raise BrownidError(f"the shards {shard_samples} lack the identity {missing[0]}: delete them and run again")
    merged.save(samples)
    save_statistics(statistics, merge_statistics([load_statistics(path) for path in shard_statistics]))
    checksums = {str(path): sha256(path) for path in inputs}
    write_command(command, settings=settings, seed=settings["seed"], inputs=checksums, command="vary_references")
