"""Join datasets to a training set, and write it in one layout."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.exports.inventory import write_record
from brownid.exports.joining import JoinedTrainingSet, Part
from brownid.exports.layouts import LAYOUTS
from brownid.runtime.files import atomic_path

MEGABYTE = 10**6


def export_training_set(settings: Mapping[str, Any], *, record: Path, threads: int = 1) -> None:
    """Write the folder that `record` lies in: the training set of the parts that `settings` names, in its layout.

    `threads` is the number of processes, which changes no byte.
    """
    parts = [
        Part(part["name"], tuple(map(Path, part["images"])), part["samples"] and Path(part["samples"]))
        for part in settings["parts"]
    ]
    training_set = JoinedTrainingSet(settings["training_set"], parts)
    logger.info("%d images of %d identities", len(training_set), len(training_set.classes))
    with atomic_path(record.parent) as folder:
        folder.mkdir()
        write = LAYOUTS[settings["layout"]]
        write(training_set, folder, shard_bytes=settings.get("shard_size", 0) * MEGABYTE, processes=threads)
        write_record(folder, training_set, settings["layout"], threads)


if __name__ == "__main__":
    run(export_training_set, snakemake)
