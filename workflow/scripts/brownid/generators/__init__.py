"""Image generators: one module a family, all behind one protocol."""

from brownid.facemodel.loading import load_generator
from brownid.generators.protocol import Generator

__all__ = ["Generator", "load_generator"]
