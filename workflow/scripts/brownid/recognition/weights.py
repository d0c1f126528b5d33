"""Weights of backbones: written as safetensors, read from safetensors, a plain state dict or an AdaFace `.ckpt`.

Nothing is executed from a file. Checkpoints name classes of the program that wrote them (callbacks, hyper-parameters):
outside the state dict they are left out, in it they are refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.pickles import RefusedError, check_needed, short_reason
from brownid.recognition import onnx
from brownid.recognition.backbones import Description, backbone
from brownid.statedict import check_finite, listed, load_strictly
from brownid.torchfiles import load_torch

FORMAT_VERSION = 1
METADATA_KEY = "brownid_backbone"  # one key with JSON: safetensors does not keep the order of several
MODEL, HEAD = "model.", "head."  # of an AdaFace checkpoint


def save_backbone(path: str | Path, network: nn.Module) -> None:
    """Write the weights of a network made by `backbone` with its description; equal weights give equal bytes."""
    metadata = {METADATA_KEY: json.dumps({"version": FORMAT_VERSION, **asdict(network.description)}, sort_keys=True)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))  # save_file would make it private to the user


def load_backbone(
    path: str | Path,
    family: str | None = None,
    architecture: str | None = None,
    side: int | None = None,
    embedding_dim: int | None = None,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """The network whose weights a file holds, in evaluation mode on `device`.

    A file of ours says what it is; for any other, `family` and `architecture` are needed (`side` is then 112 and
    `embedding_dim` 512 unless given). Every key must be there, with its shape, and no other: `BrownidError` names what
    is missing, unexpected or misshapen, and a description given here that differs from the file's. The family "onnx"
    has no architectures: the file is the whole network (see `OnnxBackbone`), and takes no gradients.
    """
    path = Path(path)
    if family == onnx.FAMILY:
        network = onnx.OnnxBackbone(path)
        for name, value in (("side", side), ("embedding_dim", embedding_dim)):
            if value not in (None, (found := getattr(network.description, name))):
                raise BrownidError(f"{path}: the network has {name} {found}, not {value}")
        return network.eval().to(device)
    tensors, described = read_weights(path)
    given = {"family": family, "architecture": architecture, "side": side, "embedding_dim": embedding_dim}
    for name, value in given.items():
        if described and value is not None and value != described[name]:
            raise BrownidError(f"{path}: the weights were saved with {name} {described[name]!r}, not {value!r}")
    settings = {"side": 112, "embedding_dim": 512, **(described or {k: v for k, v in given.items() if v is not None})}
    if "family" not in settings or "architecture" not in settings:
        raise BrownidError(f"{path}: the file does not say which network it belongs to; name family and architecture")
    description = Description(**settings)
    network = backbone(**asdict(description))
    load_strictly(network, tensors, f"{path} (as {description.family} {description.architecture})")
    return network.eval().to(device)


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict | None]:
    """The named tensors of a weight file and, for files of ours, the fields of its `Description`."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise BrownidError(f"{path}: cannot read the weights: {error.strerror}") from error
    if start[8:] == b"{" or path.suffix == ".safetensors":  # the header, JSON, follows its 8-byte length
        tensors, described = _read_safetensors(path)
    else:
        tensors, described = _state_dict(_read_torch(path), path), None
    check_finite(tensors, path)
    return tensors, described


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict | None]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        described = json.loads(metadata) if metadata else None
    except (SafetensorError, ValueError) as error:
        raise BrownidError(f"{path}: damaged safetensors file: {error}") from error
    if described is None:
        return tensors, None
    if not isinstance(described, dict) or described.pop("version", None) != FORMAT_VERSION:
        raise BrownidError(f"{path}: weights of another format version; this program reads version {FORMAT_VERSION}")
    if {name: type(value) for name, value in described.items()} != Description.__annotations__:
        raise BrownidError(f"{path}: the description of the network is damaged; fetch or write the file again")
    return tensors, described


def _read_torch(path: Path) -> object:
    """The state dict of a torch file, or the whole of it; refuses what is neither tensor nor plain container in it."""
    try:
        content = load_torch(path)
        if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
            content = content["state_dict"]
        check_needed(content)
    except RefusedError as error:
        raise BrownidError(f"{path}: refused as weights: {error}; what a file names is never executed.") from error
    # A damaged file can fail in any way that its reader can: all of them mean the same to the user.
    except Exception as error:
        raise BrownidError(f"{path}: not a file of weights, or damaged ({short_reason(error)})") from error
    return content


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The backbone's tensors: of a plain state dict, or those prefixed `model.` of a Lightning checkpoint.

    Beside `model.` there may only be the `head.` of the training loss, which is left out.
    """
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided
        for name, value in content.items()
    ):
        raise BrownidError(f"{path}: holds no state dict; expected named tensors, or a checkpoint with `state_dict`")
    prefixed = {name.removeprefix(MODEL): tensor for name, tensor in content.items() if name.startswith(MODEL)}
    if not prefixed:
        return dict(content)
    others = [name for name in content if not name.startswith((MODEL, HEAD))]
    if others:
        raise BrownidError(f"{path}: beside the network, {MODEL}…, and its head, {HEAD}…, it holds {listed(others)}")
    return prefixed
