"""Render the latents of a dataset, crop them to the FR template, and pack them into an image shard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from brownid.generators.loading import load_generator
from brownid.jobs.models import crop_for
from brownid.jobs.variations import shard_of
from brownid.runtime import default_device, progress
from brownid.samples.collection import SampleCollection
from brownid.samples.images import write_image_shard

BATCH_SIZE = 64


def render_images(settings: Mapping[str, Any], *, samples: Path, shard: int, shards: int, images: Path) -> None:
    """Write the images of the identities of one shard (1 to `shards`)."""
    generator = load_generator(settings["generator"], default_device())
    crop = crop_for(generator, settings["images"]["template"], settings["images"]["side"])
    collection = shard_of(SampleCollection.load(samples, columns=("latents",)), shard, shards)
    latents = torch.from_numpy(collection.latents).to(generator.latent_mean)
    pixels = np.concatenate(
        [render(generator, crop, batch) for batch in progress(latents.split(BATCH_SIZE), "render", "batch")]
    )
    write_image_shard(images, settings["namespace"], collection.identities, collection.labels, pixels)


@torch.inference_mode()
def render(generator: Any, crop: torch.nn.Module, latents: torch.Tensor) -> np.ndarray:
    """Aligned images of latents, uint8 RGB `[n, S, S, 3]`."""
    return as_bytes(crop(generator.render(latents)))


def as_bytes(images: torch.Tensor) -> np.ndarray:
    """Images `[n, 3, S, S]` in [-1, 1] as uint8 `[n, S, S, 3]`."""
    levels = ((images.float() + 1) * 127.5).round_().clamp_(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
