"""A catalogue with one model, served from a file."""

from dataclasses import replace
from hashlib import sha256

import yaml

from brownid.weights.catalogue import Model

CONTENT = b"weights " * 1000
CHECKSUM = sha256(CONTENT).hexdigest()


def published_model(folder, **changes):
    """A model whose address is a file of this content below `folder`, and whose path is elsewhere below it."""
    source = folder / "published" / "net.bin"
    source.parent.mkdir(exist_ok=True)
    source.write_bytes(CONTENT)
    model = Model("net", str(folder / "models" / "net.bin"), "a network", "https://example.org", "MIT", source.as_uri())
    return replace(model, **changes)


def write_catalogue(path, **entries):
    """A catalogue file; entries lack nothing that is required unless they say so with None."""
    usual = {"what": "a network", "source": "https://example.org", "licence": "MIT"}
    full = {name: {**usual, "path": f"models/{name}", **entry} for name, entry in entries.items()}
    path.write_text(yaml.safe_dump({n: {k: v for k, v in e.items() if v is not None} for n, e in full.items()}))
    return path
