"""The embedded face world: a procedural generator with known ground truth, and databases rendered with it."""

__all__ = ["generator"]
