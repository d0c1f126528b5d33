"""Align the images of a genuine database, and write them as image shards, which training reads."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from brownid.databases.index import DatabaseIndex
from brownid.databases.reading import Reading, image_aligner, write_failures
from brownid.samples.collection import shard_of
from brownid.samples.encoding import Spool, encoded_in_threads
from brownid.samples.images import write_encoded_shard


def align_database(
    settings: Mapping[str, Any],
    *,
    index: Path,
    shard: int,
    shards: int,
    images: Path,
    failures: Path,
    detector: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> None:
    """Write the images of one shard (1 to `shards`) of a database, and the list of those that failed.

    Where `settings["alignment"]` is None the images are aligned already and only resized; see `image_aligner`, also for
    `detector`. The label of an image is its key in the index. `threads` threads encode images while the next ones are
    read; memory does not grow with the images, which wait on the disk until it is known which of them failed.
    """
    image_size = settings["image_size"]
    align = image_aligner(settings["alignment"], image_size, detector, settings.get("not_square"))
    with DatabaseIndex.open(index) as database:
        chosen = database.samples_at(shard_of(range(database.counts()[0]), shard, shards))
    reading = Reading(chosen, settings["root"], image_size, settings["maximum_failed_share"], align)

    def describe(number: int) -> str:
        return str(Path(settings["root"]) / reading.kept[number].path)

    with closing(Spool(images)) as spool:
        with closing(encoded_in_threads(reading.batches(), image_size, threads, describe)) as encoded:
            spool.fill(encoded)
        kept = reading.kept
        identities, labels = [sample.identity for sample in kept], [sample.key for sample in kept]
        write_encoded_shard(images, settings["namespace"], identities, labels, spool, image_size=image_size)
    write_failures(failures, reading.failures)
    logger.info("aligned %d of %d images", len(kept), len(chosen))


if __name__ == "__main__":
    alignment = snakemake.config["databases"][snakemake.wildcards.database]["alignment"] or {}
    run(align_database, snakemake, detector=snakemake.config["detectors"].get(alignment.get("detector")))
