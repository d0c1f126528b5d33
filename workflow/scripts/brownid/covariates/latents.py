"""The latents that the jobs of a projection wrote, and the images that failed."""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from brownid.runtime.files import atomic_path
from brownid.runtime.process import check_failures
from brownid.samples.collection import SampleCollection


def merge_projections(
    shard_samples: Sequence[Path],
    shard_failures: Sequence[Path],
    failures: Path,
    maximum_failed_share: float,
    columns: Collection[str] = ("latents",),
) -> tuple[SampleCollection, int]:
    """One collection of the projected images, labelled by their keys in the index, and the number of failed images.

    The lists of failed images are joined in the file `failures`. Raises BrownidError where more than
    `maximum_failed_share` of the images failed.
    """
    merged = SampleCollection.concatenate(
        SampleCollection.load(path, columns=columns, required=True) for path in shard_samples
    )
    listed = pd.concat([pd.read_csv(path, quoting=csv.QUOTE_MINIMAL) for path in shard_failures])
    named, total = list(listed.itertuples(index=False, name=None)), len(merged) + len(listed)
    check_failures(named, total, maximum_failed_share, "photographs to project")
    with atomic_path(failures) as temporary:
        listed.to_csv(temporary, index=False)
    return merged, len(listed)
