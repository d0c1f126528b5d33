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


def realign_images(settings: Mapping[str, Any], *, source: Path, images: Path) -> None:
    """Write the shard `source` on another template and side; persons and labels stay the same."""
    shards = ImageShards([source])
    pixels = realign(shards.decode(np.arange(len(shards))), settings["from"], settings["to"], settings["image_size"])
    write_image_shard(images, settings["namespace"], shards.identities, shards.labels, pixels)


if __name__ == "__main__":
    run(realign_images, snakemake)
