"""Genuine face databases: their SQLite indexes, their naming, and the embedded captures that stand for them."""

from brownid.databases.index import DatabaseIndex, Sample

__all__ = ["DatabaseIndex", "Sample"]
