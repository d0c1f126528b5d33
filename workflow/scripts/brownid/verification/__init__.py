"""Verification benchmarks: their files, scores and error rates, and the uncertainty of scores."""

__all__ = ["accuracy", "bins", "error_rates", "pair_scores", "score", "uncertainty"]
