"""Genuine face databases: their SQLite indexes, their naming, and the embedded captures that stand for them."""

__all__ = ["index"]
