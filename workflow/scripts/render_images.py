"""Render the latents, or the embeddings, of a dataset, crop to the FR template, and write an image shard."""

from brownid.runtime.process import default_device, progress, run, start_job

if __name__ == "__main__":
    start_job(snakemake)

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from brownid.facemodel.loading import BATCH_SIZE, crop_for, load_generator, render_in_batches
from brownid.generators.protocol import device_of, is_embedding_conditioned
from brownid.jobs.workers import threads_beside
from brownid.runtime.fusing import compile_chains
from brownid.runtime.randomness import NoiseKey, image_items
from brownid.samples.collection import SampleCollection, identities_of_shard
from brownid.samples.images import write_image_shard


def render_images(
    settings: Mapping[str, Any], *, samples: Path, shard: int, shards: int, images: Path, threads: int = 1
) -> None:
    """Write the images of the identities of one shard (1 to `shards`).

    A batch is encoded by `threads` threads, more beside a GPU, while the next one is rendered; memory does not grow
    with the images.
    """
    device = default_device()
    generator = load_generator(settings["generator"], device)
    compile_chains(device_of(generator))
    crop = crop_for(generator, settings["template"], settings["image_size"])
    wanted = identities_of_shard(samples, shard, shards)
    conditioned = is_embedding_conditioned(generator)
    columns = ("embeddings",) if conditioned else ("latents", "extra")
    chosen = SampleCollection.load(samples, columns=columns, identities=wanted, required=True)
    values = chosen.columns()["embeddings"] if conditioned else chosen.rendered_latents()
    rendered = torch.from_numpy(values).to(device_of(generator))
    noise_key = NoiseKey(settings["seed"], image_items(chosen.identities, chosen.labels), iteration=None)
    batches = render_in_batches(generator, crop, rendered, noise_key)
    write_image_shard(
        images,
        settings["namespace"],
        chosen.identities,
        chosen.labels,
        progress(batches, "render", "batch", total=-(-len(rendered) // BATCH_SIZE)),
        image_size=settings["image_size"],
        threads=threads_beside(device, threads),
    )


if __name__ == "__main__":
    run(render_images, snakemake)
