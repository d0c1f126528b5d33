"""Networks by name: which families and architectures there are, and how to make one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import nn

from brownid.errors import BrownidError
from brownid.recognition import adaface_ir, iresnet, slim

SMALLEST_SIDE = 32


class Family(NamedTuple):
    """The names of its architectures, and what makes one: called with (architecture, side, embedding_dim)."""

    architectures: tuple[str, ...]
    build: Callable[[str, int, int], nn.Module]


FAMILIES = {
    "insightface": Family(tuple(iresnet.DEPTHS), iresnet.IResNet),
    "nizhib": Family(
        ("iresnet34", "iresnet50", "iresnet100"),
        partial(iresnet.IResNet, epsilon=2e-5, dropout=0.4, train_scale=True),
    ),
    "adaface": Family(tuple(adaface_ir.DEPTHS), adaface_ir.AdaFaceIR),
    "slim": Family(tuple(slim.WIDTHS), slim.SlimIResNet),
}


@dataclass(frozen=True)
class Description:
    """What a network is; saved beside its weights."""

    family: str
    architecture: str
    side: int  # pixels; the crops it reads are side × side
    embedding_dim: int


def backbone(family: str, architecture: str, side: int = 112, embedding_dim: int = 512) -> nn.Module:
    """A network with fresh weights for crops of `side` pixels; `.description` says what it is.

    The forward pass maps images `[B, 3, side, side]` in [-1, 1], in the network's own `.colour_order` (adaface BGR, all
    others RGB), to unnormalised embeddings `[B, embedding_dim]` (family adaface: to unit embeddings and norms).
    `brownid.recognition.embedding` hides these differences. Raises `BrownidError` for names it does not know.
    """
    check_names(family, architecture)
    if isinstance(side, bool) or not isinstance(side, int) or side < SMALLEST_SIDE:
        raise BrownidError(f"the side of a recognition crop must be at least {SMALLEST_SIDE} pixels, not {side!r}")
    if isinstance(embedding_dim, bool) or not isinstance(embedding_dim, int) or embedding_dim < 2:
        raise BrownidError(f"embedding_dim must be a whole number of at least 2, not {embedding_dim!r}")
    network = FAMILIES[family].build(architecture, side, embedding_dim)
    network.description = Description(family, architecture, side, embedding_dim)
    return network


def check_names(family: str, architecture: str) -> None:
    """Raise `BrownidError`, listing the known names, unless the family and its architecture exist."""
    if family not in FAMILIES:
        raise BrownidError(f"unknown recognition family {family!r}; known are {', '.join(FAMILIES)}")
    if architecture not in FAMILIES[family].architectures:
        known = ", ".join(FAMILIES[family].architectures)
        raise BrownidError(f"unknown architecture {architecture!r} of recognition family {family!r}; known are {known}")
