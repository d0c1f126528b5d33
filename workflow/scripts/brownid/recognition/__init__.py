"""Face-recognition networks: backbones, margin heads, weights, embeddings, and the face model of the dynamics."""

__all__ = ["backbones", "embedding", "heads", "loading"]
