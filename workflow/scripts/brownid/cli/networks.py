"""The FR network of a command: its weights, and what --set says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brownid.cli import options
from brownid.runtime.errors import BrownidError
from brownid.runtime.process import default_device

if TYPE_CHECKING:
    from brownid.recognition.backbones import FaceNetwork


def load(weights: Path, given: Mapping[str, Any]) -> tuple[FaceNetwork, dict[str, Any]]:
    """The network of a file and its description; BrownidError says which networks fit, where the file does not.

    Of a file that fits one family alone, family and architecture need not be given.
    """
    from brownid.recognition.loading import fitting_networks, load_network
    from brownid.recognition.onnx import is_onnx

    described = options.network_spec(given)
    if not any(described.get(name) for name in ("family", "architecture")) and not is_onnx(weights):
        fitting = fitting_networks(weights)
        if len({each.family for each in fitting}) > 1:
            fit = " or ".join(f"--set network.family={each.family}" for each in fitting)
            raise BrownidError(
                f"{weights}: the weights fit the architecture {fitting[0].architecture} of several families, whose "
                f"embeddings differ: add --set network.architecture={fitting[0].architecture} and {fit}."
            )
        described |= {name: getattr(fitting[0], name) for name in ("family", "architecture", "image_size")}
    return load_network(described, weights, default_device()), described
