"""Crop templates, face detection, and warps of photographs and of generated images."""

__all__ = ["detection", "photographs", "warp"]
