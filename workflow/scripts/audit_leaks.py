"""Compare references with the generator's training set: is a face of it among them?"""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brownid.embeddings.distances import leak_audit, write_audit
from brownid.figures.faces import image_pairs
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards


def audit_leaks(
    settings: Mapping[str, Any],
    *,
    references: Path,
    guarded: Path,
    reference_images: Sequence[Path],
    guarded_images: Sequence[Path],
    table: Path,
    figure: Path,
) -> None:
    """List and show the references that come closest to a face of the generator's training set."""
    ours, theirs = (
        SampleCollection.load(path, columns=("embeddings",), required=True) for path in (references, guarded)
    )
    pairs = settings["audit"]["pairs"]
    closest = leak_audit(ours.columns()["embeddings"], theirs.columns()["embeddings"], pairs)
    write_audit(table, closest, [f"{identity:05}" for identity in ours.identities], theirs.labels)
    image_pairs(
        _images_of(ours, [pair.reference for pair in closest], reference_images),
        _images_of(theirs, [pair.training for pair in closest], guarded_images),
        [pair.angle for pair in closest],
        figure,
        title=f"{settings['references']}: reference, closest training image",
    )


def _images_of(collection: SampleCollection, rows: Sequence[int], paths: Sequence[Path]) -> np.ndarray:
    """The images uint8 `[n, S, S, 3]` of some rows of a collection, found by identity and label."""
    shards = ImageShards(paths)
    places = {key: index for index, key in enumerate(zip(shards.identities.tolist(), shards.labels, strict=True))}
    return shards.decode([places[int(collection.identities[row]), collection.labels[row]] for row in rows])


if __name__ == "__main__":
    run(audit_leaks, snakemake)
