"""HyperFace: references packed on the embedding hypersphere, and images of faces with these embeddings."""

from brownid.hypersphere.bounds import simplex_bound
from brownid.hypersphere.packing import Packing, pack
from brownid.hypersphere.settings import PackingSettings

__all__ = ["Packing", "PackingSettings", "pack", "simplex_bound"]
