"""Verification benchmarks: their files, their scores, and the measurements around them."""

from brownid.benchmark.roc import Roc, TarAtFar, equal_error_rate, roc, tar_at_far
from brownid.benchmark.verification import Verification, verification_accuracy

__all__ = ["Roc", "TarAtFar", "Verification", "equal_error_rate", "roc", "tar_at_far", "verification_accuracy"]
