"""Weights of backbones: written as safetensors, read from safetensors, a plain state dict or an AdaFace `.ckpt`.

Nothing is executed from a file. Old Lightning checkpoints name classes of the program that wrote them (callbacks,
hyper-parameters); those few are read into inert stand-ins, every other class is refused.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from brownid.errors import BrownidError
from brownid.files import atomic_path
from brownid.recognition import onnx
from brownid.recognition.backbones import Description, backbone
from brownid.statedict import load_strictly

FORMAT_VERSION = 1
METADATA_KEY = "brownid_backbone"  # one key with JSON: safetensors does not keep the order of several
INERT_MODULES = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "argparse.", "omegaconf.")


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
        return _read_safetensors(path)
    return _state_dict(_read_torch(path), path), None


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict | None]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        described = json.loads(metadata) if metadata else None
    except (SafetensorError, ValueError) as error:
        raise BrownidError(f"{path}: damaged safetensors file: {error}") from error
    if described and described.pop("version", None) != FORMAT_VERSION:
        raise BrownidError(f"{path}: weights of another format version; this program reads version {FORMAT_VERSION}")
    return tensors, described


def _read_torch(path: Path) -> object:
    """Tensors and containers of a torch file; refuses everything else."""
    try:
        stand_ins = _stand_ins(path) if zipfile.is_zipfile(path) else []
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = str(error).split("\n")[0].split(" This file can still be loaded")[0]
        raise BrownidError(
            f"{path}: not a file of weights, damaged, or it names code, which is never executed ({reason})"
        ) from error


def _stand_ins(path: Path) -> list[tuple[type, str]]:
    """One inert class for each class of the writing program that a checkpoint names."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    return [(type("Ignored", (_Ignored,), {}), name) for name in names if name.startswith(INERT_MODULES)]


class _Ignored:
    """Takes the place of an object that nobody needs: keeps nothing, does nothing."""

    def __new__(cls, *arguments, **keywords):
        return super().__new__(cls)

    def __init__(self, *arguments, **keywords):
        pass

    def __setstate__(self, state):
        pass


def _state_dict(content: object, path: Path) -> dict[str, Tensor]:
    """The backbone's tensors: of a plain state dict, or those prefixed `model.` of a Lightning checkpoint."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise BrownidError(f"{path}: holds no state dict; expected named tensors, or a checkpoint with `state_dict`")
    prefixed = {name.removeprefix("model."): tensor for name, tensor in content.items() if name.startswith("model.")}
    return prefixed or dict(content)
