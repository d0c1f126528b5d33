"""Measure the quality of a dataset by the judge's embeddings of its images."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brownid.embeddings.quality import measure_dataset
from brownid.runtime.errors import BrownidError
from brownid.runtime.text import write_checked_json, write_text
from brownid.samples.collection import SampleCollection


def measure_quality(
    settings: Mapping[str, Any], *, embeddings: Sequence[Path], guarded: Path | None, quality: Path, identities: Path
) -> None:
    """Write the figures and angle distributions of a dataset, and a table of its identities.

    `embeddings` are those of the references, of references and variations, or of a genuine database, of which the first
    image of each identity is taken for its reference. Variations whose reference could not be embedded are left out.
    `guarded` are embeddings of the generator's training set.
    """
    first, *others = (SampleCollection.load(path, columns=("embeddings",), required=True) for path in embeddings)
    kept = [other.rows(np.flatnonzero(np.isin(other.identities, first.identities))) for other in others]
    lost = sum(map(len, others)) - sum(map(len, kept))
    if lost:
        logger.warning("%d variations without a reference are left out", lost)
    together = SampleCollection.concatenate([first, *kept])
    training = None
    if guarded is not None:
        training = SampleCollection.load(guarded, columns=("embeddings",), required=True).embeddings
    if not len(together):
        raise BrownidError(f"{embeddings[0]}: there are no embeddings in this collection, so there is no quality.")
    found = measure_dataset(
        together.columns()["embeddings"],
        together.identities,
        near_duplicate_angle=settings["near_duplicate_angle"],
        training=training,
    )
    logger.info("quality of %s: %s", settings["dataset"], found.figures)
    write_checked_json(quality, {"settings": settings, "figures": found.figures, "angles": found.angles})
    write_text(identities, pd.DataFrame(found.columns).to_csv(index=False, float_format="%.6f"))


if __name__ == "__main__":
    run(measure_quality, snakemake)
