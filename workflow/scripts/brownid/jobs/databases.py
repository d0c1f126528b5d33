"""Genuine databases: photograph the embedded world, index the images, align and pack them, embed them."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brownid.databases.capture import (
    MultipieCapture,
    PeopleCapture,
    PortraitCapture,
    capture_multipie,
    capture_people,
    capture_portraits,
)
from brownid.databases.folders import index_identity_folders, index_portraits
from brownid.databases.multipie import index_multipie
from brownid.databases.packing import pack_database as pack
from brownid.files import atomic_path, sha256
from brownid.generators.loading import load_generator
from brownid.generators.procedural.world import GenuineWorld
from brownid.recognition.embedding import embed_images
from brownid.recognition.weights import load_backbone
from brownid.runtime import default_device, logger
from brownid.samples.collection import SampleCollection
from brownid.samples.images import ImageShards

CAPTURES = {
    "multipie": (MultipieCapture, capture_multipie),
    "people": (PeopleCapture, capture_people),
    "portraits": (PortraitCapture, capture_portraits),
}
INDEXERS = {"multipie": index_multipie, "people": index_identity_folders, "portraits": index_portraits}


def embedded_world(settings: Mapping[str, Any]) -> GenuineWorld:
    """The people and the camera of the embedded world that `settings["generator"]` describes."""
    return GenuineWorld(load_generator(settings["generator"], default_device()), settings["seed"])


def capture_arguments(capture: Mapping[str, Any]) -> dict[str, Any]:
    """A `capture` section without the name of its world; lists as the settings classes want them."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in capture.items() if key != "generator"
    }


def capture_database(settings: Mapping[str, Any], *, manifest: Path) -> None:
    """Photograph a database into `images/` beside `manifest`, which lists every image with its checksum.

    The folder is no declared output of the rule, so what an earlier run left there goes first.
    """
    root = Path(manifest).parent / "images"
    shutil.rmtree(root, ignore_errors=True)
    settings_class, capture = CAPTURES[settings["kind"]]
    capture(embedded_world(settings), root, settings_class(**capture_arguments(settings["capture"])))
    paths = sorted(path for path in root.rglob("*.png"))
    with atomic_path(manifest) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "sha256"))
        writer.writerows((path.relative_to(root).as_posix(), sha256(path)) for path in paths)


def index_database(settings: Mapping[str, Any], *, index: Path) -> None:
    """Write the SQLite index of a database's folder."""
    INDEXERS[settings["kind"]](settings["root"], index)


def pack_database(
    settings: Mapping[str, Any], *, index: Path, shard: int, shards: int, images: Path, failures: Path
) -> None:
    """Align the images of one part (1 to `shards`) of a database and pack them; list those that cannot be read."""
    count = pack(
        index,
        settings["root"],
        images,
        namespace=settings["namespace"],
        side=settings["images"]["side"],
        failures=failures,
        maximum_failed_share=settings["images"]["maximum_failed_share"],
        part=shard - 1,
        parts=shards,
    )
    logger.info("packed %d images", count)


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
