"""The data package that others download: built whole or not at all, and verified file by file."""

__all__ = ["contents", "package", "verify"]
