"""Move the images of one shard of a dataset to another alignment template."""

from brownid.runtime.process import run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brownid.alignment.warp import realign
from brownid.samples.images import ImageShards, write_image_shard

REALIGNED_AT_ONCE = 256


def realign_images(settings: Mapping[str, Any], *, source: Path, images: Path, threads: int = 1) -> None:
    """Write the shard `source` on another template and side; persons and labels stay the same.

    Images are encoded by `threads` threads while the next ones are moved; memory does not grow with the images.
    """
    shards = ImageShards([source])
    image_size, rows = settings["image_size"], np.arange(len(shards))
    moved = (
        realign(shards.decode(rows[start : start + REALIGNED_AT_ONCE]), settings["from"], settings["to"], image_size)
        for start in range(0, len(shards), REALIGNED_AT_ONCE)
    )
    write_image_shard(
        images, settings["namespace"], shards.identities, shards.labels, moved, image_size=image_size, threads=threads
    )


if __name__ == "__main__":
    run(realign_images, snakemake)
