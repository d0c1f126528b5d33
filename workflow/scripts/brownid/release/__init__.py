"""The data package that others download: built whole or not at all, and verified file by file."""

from brownid.release.contents import DatasetPart, FilePart, ModelPart, ReleaseDescription
from brownid.release.package import build_release
from brownid.release.verify import verify

__all__ = ["DatasetPart", "FilePart", "ModelPart", "ReleaseDescription", "build_release", "verify"]
