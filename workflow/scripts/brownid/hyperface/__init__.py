"""HyperFace: references packed on the embedding hypersphere, and images of faces with these embeddings."""

__all__ = ["inversion", "packing", "settings"]
