"""From a network's description in the config, and its weights, to the network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.factories import check_keywords, import_factory
from brownid.recognition.backbones import Description
from brownid.recognition.embedding import as_configured
from brownid.recognition.weights import load_backbone


def load_network(network: Mapping[str, Any], weights: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """The FR network that `network` describes, with the weights of a file, in evaluation mode on `device`.

    `network` names a family of this project, `{family: insightface, architecture: iresnet50, side: 112}` or
    `{family: onnx, side: 112}`, of which may be left out what the file itself says; or a function of the user's own,
    `{factory: "path.to.module:function", side: 112, options: {...}}`, which is called with the options and the keywords
    `weights`, `side` and `device`. What it returns
    must be a torch module from images `[B, 3, side, side]` in [-1, 1] to embeddings `[B, E]`, or to unit embeddings and
    norms `[B, 1]`; the images are RGB unless its `colour_order` is "BGR". For any network, `reads_bytes` and
    `colour_order` say otherwise (see `load_backbone`). Other keys are not read.

    Raises `BrownidError` where the description or the file is wrong, or the result is no such network.
    """
    pixels = {"reads_bytes": network.get("reads_bytes"), "colour_order": network.get("colour_order")}
    if network.get("factory") is None:
        named = {key: network.get(key) for key in ("family", "architecture", "side")}
        return load_backbone(weights, **named, device=device, **pixels)
    factory, side = network["factory"], network["side"]
    build = import_factory(factory, "network")
    keywords = {**network.get("options", {}), "weights": str(weights), "side": side, "device": device}
    check_keywords(build, f"The network of factory {factory!r}", keywords)
    made = build(**keywords)
    name = f"What the network factory {factory!r} returned"
    if not isinstance(made, nn.Module):
        raise BrownidError(f"{name} is no torch module but {type(made).__name__}.")
    made = made.eval().to(device)
    made.description = Description(factory, "", side, _embedding_dim(made, name, side, device))
    return as_configured(made, name, **pixels)


@torch.inference_mode()
def _embedding_dim(network: nn.Module, name: str, side: int, device: str | torch.device) -> int:
    output = network(torch.zeros(2, 3, side, side, device=device))
    unit = output[0] if isinstance(output, tuple) and len(output) == 2 else output
    if not isinstance(unit, Tensor) or unit.ndim != 2 or len(unit) != 2:
        raise BrownidError(
            f"{name} makes no embeddings of images [2, 3, {side}, {side}]: its output must be [2, E], or unit "
            "embeddings [2, E] and norms [2, 1]."
        )
    return unit.shape[1]
