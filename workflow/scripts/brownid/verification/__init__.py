"""Verification benchmarks: their files, their scores, and the measurements around them."""

from brownid.verification.accuracy import (
    Roc,
    TarAtFar,
    Verification,
    equal_error_rate,
    roc,
    tar_at_far,
    verification_accuracy,
)

__all__ = ["Roc", "TarAtFar", "Verification", "equal_error_rate", "roc", "tar_at_far", "verification_accuracy"]
