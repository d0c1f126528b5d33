"""Is a file the one that the catalogue describes?"""

from pathlib import Path

from brownid.files import sha256
from brownid.models.catalogue import Model


def mismatch(model: Model, size: int, checksum: str | None) -> str | None:
    """How a file of this size and SHA-256 (None: any) differs from the model's; None where it does not."""
    if model.size is not None and size != model.size:
        return f"it has {size:,} bytes, not {model.size:,}"
    if model.sha256 is not None and checksum not in (None, model.sha256):
        return f"its SHA-256 is {checksum}, not {model.sha256}"
    return None


def damage(model: Model, path: str | Path | None = None, content: bool = True) -> str | None:
    """How the file at `path` (None: the model's own) differs from the model's; None where it does not.

    A folder is never damaged, as nothing is known of its content. The file is read in full only where a checksum is
    known, its size is right, and its `content` matters.
    """
    path = Path(path or model.path)
    if model.folder:
        return None
    size = path.stat().st_size
    if size == 0:
        return "it is empty"
    wrong_size = model.size is not None and size != model.size
    to_compare = model.sha256 is not None and content and not wrong_size
    return mismatch(model, size, sha256(path) if to_compare else None)
