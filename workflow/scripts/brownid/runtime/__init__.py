"""The process around the work: errors, files, logs, GPUs, random numbers, number formats."""

__all__ = ["errors", "randomness"]
