"""Render the latents of a dataset, or paint its embeddings, crop to the FR template, and pack into an image shard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.batching import Batching
from brownid.generators.loading import load_generator
from brownid.jobs.crops import crop_for, device_of
from brownid.jobs.rendering import render
from brownid.jobs.sharding import identities_of_shard
from brownid.randomness import NoiseKey, image_items
from brownid.runtime import default_device, progress
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_image_shard

BATCH_SIZE = 64


def render_images(settings: Mapping[str, Any], *, samples: Path, shard: int, shards: int, images: Path) -> None:
    """Write the images of the identities of one shard (1 to `shards`)."""
    generator = load_generator(settings["generator"], default_device())
    crop = crop_for(generator, settings["template"], settings["side"])
    wanted = identities_of_shard(samples, shard, shards)
    column = "embeddings" if getattr(generator, "conditional", False) else "latents"
    chosen = SampleCollection.load(samples, columns=(column,), identities=wanted, required=True)
    painted = torch.from_numpy(chosen.columns()[column]).to(device_of(generator))
    noise_key = NoiseKey(settings["seed"], image_items(chosen.identities, chosen.labels), iteration=None)

    def rendered(rows: slice) -> np.ndarray:
        return render(generator, crop, painted[rows], noise_key.rows(rows))

    batches = Batching(BATCH_SIZE).each(len(painted), rendered)
    parts = list(progress(batches, "render", "batch", total=-(-len(painted) // BATCH_SIZE)))
    write_image_shard(images, settings["namespace"], chosen.identities, chosen.labels, np.concatenate(parts))
