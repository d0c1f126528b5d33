"""FR networks from their description and their weights: safetensors, torch state dicts, training checkpoints, ONNX."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from brownid.recognition.backbones import FAMILIES, Description, FaceNetwork, backbone, check_names
from brownid.recognition.embedding import as_configured
from brownid.recognition.onnx import FAMILY, OnnxBackbone, is_onnx
from brownid.runtime.errors import BrownidError, listed
from brownid.runtime.factories import check_keywords, import_factory
from brownid.runtime.files import check_regular
from brownid.weights.state_dict import (
    BACKBONE,
    COUNTER,
    load_strictly,
    made_within,
    named_tensors,
    read_content,
    save_described,
)

FORMAT_VERSION = 2
READ_VERSIONS = (1, FORMAT_VERSION)  # the first had no checksum
USUAL_SIDES = (112, 128, 160, 224)  # pixels of the crops that published weights are for
ON_DISK = {"image_size": "side"}  # names in the file of fields of a `Description`


def save_backbone(path: str | Path, network: FaceNetwork) -> None:
    """Write the weights of a network made by `backbone` with its description; equal weights give equal bytes."""
    fields = asdict(network.description).items()
    about = {"version": FORMAT_VERSION, **{ON_DISK.get(name, name): value for name, value in fields}}
    save_described(path, network.state_dict(), BACKBONE, about)


def load_backbone(
    path: str | Path,
    family: str | None = None,
    architecture: str | None = None,
    image_size: int | None = None,
    embedding_dim: int | None = None,
    device: str | torch.device = "cpu",
    *,
    reads_bytes: bool | None = None,
    colour_order: str | None = None,
) -> FaceNetwork:
    """The network whose weights a file holds, in evaluation mode on `device`.

    A file of ours and an ONNX file say what they are; for any other, `family` and `architecture` are needed
    (`image_size` is then 112 and `embedding_dim` 512 unless given). Every key must be there, with its shape, and no
    other: `BrownidError` names what is missing, unexpected or misshapen, and a description given here that differs from
    the file's; `find_state_dict` says where the keys may stand. The family "onnx" has no architectures: the file is the
    whole network (see `OnnxBackbone`), and takes no gradients.

    `reads_bytes` says that the network reads pixels from 0 to 255 (True) or from -1 to 1 (False) and `colour_order`
    whether in the order RGB or BGR, where it differs from what the family reads, or from what an ONNX graph shows.
    """
    path = Path(path)
    check_regular(path)
    found = is_onnx(path)
    if family == FAMILY and not found:
        raise BrownidError(f"{path}: the family is onnx, but this is no ONNX file: name the family of its weights.")
    load = LOADERS.get(FAMILY if found else family, _load_weights)  # a family that is not known is refused there
    network = load(path, family, architecture, image_size, embedding_dim)
    return as_configured(network.eval().to(device), path, reads_bytes, colour_order)


def _load_onnx(
    path: Path, family: str | None, architecture: str | None, image_size: int | None, embedding_dim: int | None
) -> FaceNetwork:
    if family not in (None, FAMILY) or architecture is not None:
        raise BrownidError(
            f"{path}: an ONNX file, which holds the whole network: its family is onnx, not {family or 'another'!r}, "
            "and it has no architecture to name."
        )
    network = OnnxBackbone(path, image_size=image_size)
    for name, value in (("image_size", image_size), ("embedding_dim", embedding_dim)):
        if value not in (None, (found := getattr(network.description, name))):
            raise BrownidError(f"{path}: the network has {name} {found}, not {value}.")
    return network


def _load_weights(
    path: Path, family: str | None, architecture: str | None, image_size: int | None, embedding_dim: int | None
) -> FaceNetwork:
    content, described = _read(path)
    given = {"family": family, "architecture": architecture, "image_size": image_size, "embedding_dim": embedding_dim}
    for name, value in given.items():
        if described and value is not None and value != described[name]:
            raise BrownidError(f"{path}: the weights were saved with {name} {described[name]!r}, not {value!r}.")
    settings = {
        "image_size": 112,
        "embedding_dim": 512,
        **(described or {k: v for k, v in given.items() if v is not None}),
    }
    if "family" not in settings or "architecture" not in settings:
        raise BrownidError(f"{path}: the file does not say which network it belongs to; name family and architecture.")
    description = Description(**settings)
    if described:
        network = made_within(lambda: backbone(**asdict(description)), content, str(path))
    else:
        network = backbone(**asdict(description))
    tensors, place = named_tensors(content, network.state_dict(), path)
    read_from = f", read from {place}" if place else ""
    load_strictly(network, tensors, f"{path} (as {description.family} {description.architecture}{read_from})")
    return network


LOADERS: dict[str | None, Callable[..., FaceNetwork]] = {
    "insightface": _load_weights,
    "nizhib": _load_weights,
    "adaface": _load_weights,
    "slim": _load_weights,
    "onnx": _load_onnx,
}


def _read(path: Path) -> tuple[Any, dict | None]:
    """Content of a weight file and, for brownid's own files, the fields of its `Description`."""
    content, described = read_content(path, BACKBONE)
    if described is None:
        return content, None
    if not isinstance(described, dict) or described.pop("version", None) not in READ_VERSIONS:
        raise BrownidError(
            f"{path}: weights of another format version; this program reads version {FORMAT_VERSION} and older."
        )
    ours = {on_disk: name for name, on_disk in ON_DISK.items()}
    described = {ours.get(name, name): value for name, value in described.items()}
    if {name: type(value) for name, value in described.items()} != Description.__annotations__:
        raise BrownidError(f"{path}: the description of the network is damaged; fetch or write the file again.")
    return content, described


def fitting_networks(path: str | Path) -> list[Description]:
    """The networks of this project that a file of weights fits, by names and shapes of its tensors, unread otherwise.

    A file of ours and an ONNX file say what they are. Weights that fit `insightface` fit `nizhib` too. Raises
    `BrownidError` where the file is unreadable, or fits none of 512-dimensional embeddings.
    """
    path = Path(path)
    check_regular(path)
    if is_onnx(path):
        return [OnnxBackbone(path).description]
    content, described = _read(path)
    if described:
        check_names(described["family"], described["architecture"])
        return [Description(**described)]
    fitting: list[Description] = []
    tensors: dict[str, Tensor] = {}
    for family, known in FAMILIES.items():
        for architecture in known.architectures:
            tensors, _ = named_tensors(content, _shapes(family, architecture, USUAL_SIDES[0]), path)
            held = {name: tensor.shape for name, tensor in tensors.items() if not name.endswith(COUNTER)}
            if held.keys() == _shapes(family, architecture, USUAL_SIDES[0]).keys():
                sides = [side for side in USUAL_SIDES if held == _shapes(family, architecture, side)]
                fitting += [Description(family, architecture, side, 512) for side in sides[:1]]
    if fitting:
        return fitting
    families = ", ".join(f"{name} ({', '.join(known.architectures)})" for name, known in FAMILIES.items())
    raise BrownidError(
        f"{path}: {len(tensors)} tensors ({listed(list(tensors))}), which fit no FR network known here: {families}, "
        f"of 512-dimensional embeddings and crops of {', '.join(map(str, USUAL_SIDES))} pixels."
    )


@cache
def _shapes(family: str, architecture: str, image_size: int) -> dict[str, torch.Size]:
    """The shapes of a network's weights by name."""
    with torch.device("meta"):
        state = backbone(family, architecture, image_size).state_dict()
    return {name: tensor.shape for name, tensor in state.items() if not name.endswith(COUNTER)}


def load_network(network: Mapping[str, Any], weights: str | Path, device: str | torch.device = "cpu") -> FaceNetwork:
    """The FR network that `network` describes, with the weights of a file, in evaluation mode on `device`.

    `network` names a family of this project, `{family: insightface, architecture: iresnet50, image_size: 112}` or
    `{family: onnx, image_size: 112}`, of which may be left out what the file itself says; or a function of the user's
    own, `{factory: "path.to.module:function", image_size: 112, options: {...}}`, which is called with the options and
    the keywords `weights`, `image_size` and `device`. What it returns
    must be a torch module from images `[B, 3, S, S]` in [-1, 1] to embeddings `[B, E]`, or to unit embeddings and
    norms `[B, 1]`; the images are RGB unless its `colour_order` is "BGR". For any network, `reads_bytes` and
    `colour_order` say otherwise (see `load_backbone`). Other keys are not read.

    Raises `BrownidError` where the description or the file is wrong, or the result is no such network.
    """
    pixels = {"reads_bytes": network.get("reads_bytes"), "colour_order": network.get("colour_order")}
    if network.get("factory") is None:
        named = {key: network.get(key) for key in ("family", "architecture", "image_size")}
        return load_backbone(weights, **named, device=device, **pixels)
    factory, image_size = network["factory"], network["image_size"]
    build = import_factory(factory, "network")
    keywords = {**network.get("options", {}), "weights": str(weights), "image_size": image_size, "device": device}
    check_keywords(build, f"The network of factory {factory!r}", keywords)
    made = build(**keywords)
    name = f"What the network factory {factory!r} returned"
    if not isinstance(made, nn.Module):
        raise BrownidError(f"{name} is no torch module but {type(made).__name__}.")
    made = cast(FaceNetwork, made.eval().to(device))
    made.description = Description(factory, "", image_size, _embedding_dim(made, name, image_size, device))
    return as_configured(made, name, **pixels)


@torch.inference_mode()
def _embedding_dim(network: nn.Module, name: str, image_size: int, device: str | torch.device) -> int:
    output = network(torch.zeros(2, 3, image_size, image_size, device=device))
    unit = output[0] if isinstance(output, tuple) and len(output) == 2 else output
    if not isinstance(unit, Tensor) or unit.ndim != 2 or len(unit) != 2:
        raise BrownidError(
            f"{name} makes no embeddings of images [2, 3, {image_size}, {image_size}]: its output must be [2, E], or "
            "unit embeddings [2, E] and norms [2, 1]."
        )
    return unit.shape[1]
