"""Collections of latents and embeddings, image shards, run statistics and provenance."""

from brownid.samples.collection import SampleCollection, merge
from brownid.samples.columnar import Storage
from brownid.samples.images import ImageShards, write_encoded_shard, write_image_shard
from brownid.samples.provenance import read_command, write_command
from brownid.samples.statistics import load_statistics, save_statistics

__all__ = [
    "ImageShards",
    "SampleCollection",
    "Storage",
    "load_statistics",
    "merge",
    "read_command",
    "save_statistics",
    "write_command",
    "write_encoded_shard",
    "write_image_shard",
]
