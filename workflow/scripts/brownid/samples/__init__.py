"""Collections of latents and embeddings, image shards, run statistics and provenance."""

__all__ = ["collection", "images", "provenance", "statistics"]
