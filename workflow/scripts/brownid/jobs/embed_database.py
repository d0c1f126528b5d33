"""Embed the images of a genuine database, for references to keep away from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.recognition.embedding import embed_images
from brownid.recognition.weights import load_backbone
from brownid.runtime import default_device
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards


def embed_database(settings: Mapping[str, Any], *, images: Sequence[Path], weights: Path, samples: Path) -> None:
    """Write the embeddings of all images of a database; they have no latents."""
    network = settings["network"]
    shards = ImageShards(images)
    pixels, kept, _ = shards.decode_all()
    backbone = load_backbone(
        weights, network["family"], network["architecture"], network["side"], device=default_device()
    )
    SampleCollection(
        latents=None,
        embeddings=embed_images(backbone, pixels, precision=network["precision"]),
        identities=shards.identities[kept],
        labels=[shards.labels[row] for row in kept],
        generator="",
        recognition=settings["name"],
        settings=settings,
    ).save(samples)
