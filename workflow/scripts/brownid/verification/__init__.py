"""Verification benchmarks: their files, their scores, and the measurements around them."""

__all__ = ["accuracy", "bins", "score"]
