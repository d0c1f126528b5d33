"""Geometry of embeddings on the unit sphere: angles, pairwise energies and forces, nearest neighbours, distances."""

__all__ = ["distances"]
