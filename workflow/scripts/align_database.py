"""Align the images of a genuine database, and write them as image shards, which training reads."""

from brownid.runtime.process import logger, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brownid.databases.index import DatabaseIndex
from brownid.databases.reading import image_aligner, read_images, write_failures
from brownid.samples.collection import shard_of
from brownid.samples.images import write_image_shard


def align_database(
    settings: Mapping[str, Any],
    *,
    index: Path,
    shard: int,
    shards: int,
    images: Path,
    failures: Path,
    detector: Mapping[str, Any] | None = None,
) -> None:
    """Write the images of one shard (1 to `shards`) of a database, and the list of those that failed.

    Where `settings["alignment"]` is None the images are aligned already and only resized; see `image_aligner`, also for
    `detector`. The label of an image is its key in the index. Memory is `side * side * 3` bytes per image of the shard.
    """
    align = image_aligner(settings["alignment"], settings["image_size"], detector, settings.get("not_square"))
    with DatabaseIndex.open(index) as database:
        chosen = database.samples_at(shard_of(range(database.counts()[0]), shard, shards))
    pixels, kept, failed = read_images(
        chosen, settings["root"], settings["image_size"], settings["maximum_failed_share"], align
    )
    identities, labels = [sample.identity for sample in kept], [sample.key for sample in kept]
    write_image_shard(images, settings["namespace"], identities, labels, pixels)
    write_failures(failures, failed)
    logger.info("aligned %d of %d images", len(kept), len(chosen))


if __name__ == "__main__":
    alignment = snakemake.config["databases"][snakemake.wildcards.database]["alignment"] or {}
    run(align_database, snakemake, detector=snakemake.config["detectors"].get(alignment.get("detector")))
