"""Render the latents of a dataset, crop them to the FR template, and pack them into an image shard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.generators.loading import load_generator
from brownid.jobs.crops import crop_for
from brownid.jobs.rendering import render
from brownid.jobs.sharding import shard_of
from brownid.randomness import Address, image_items
from brownid.runtime import default_device, progress
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_image_shard

BATCH_SIZE = 64


def render_images(settings: Mapping[str, Any], *, samples: Path, shard: int, shards: int, images: Path) -> None:
    """Write the images of the identities of one shard (1 to `shards`)."""
    generator = load_generator(settings["generator"], default_device())
    crop = crop_for(generator, settings["template"], settings["side"])
    everybody = np.unique(SampleCollection.load(samples, columns=()).identities)
    wanted = shard_of(everybody, shard, shards)
    chosen = SampleCollection.load(samples, columns=("latents",), identities=wanted, required=True)
    latents = torch.from_numpy(chosen.latents).to(generator.latent_mean)
    address = Address(settings["seed"], image_items(chosen.identities, chosen.labels), iteration=None)
    batches = progress(range(0, len(latents), BATCH_SIZE), "render", "batch")
    rows = (slice(first, first + BATCH_SIZE) for first in batches)
    pixels = np.concatenate([render(generator, crop, latents[part], address.rows(part)) for part in rows])
    write_image_shard(images, settings["namespace"], chosen.identities, chosen.labels, pixels)
