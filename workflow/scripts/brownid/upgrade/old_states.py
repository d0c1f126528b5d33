"""States of interrupted jobs as version 0.1 laid them out, for those that go on under a newer one."""

import io
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from brownid.jobs.resume import SavedState, state_path
from brownid.runtime.errors import BrownidError
from brownid.runtime.files import sha256 as checksum_of
from brownid.weights.torch_files import load_torch

CHECKPOINT = ".ckpt"  # of Lightning, in which FR training kept its state
FINGERPRINTS = ".snakemake/fingerprints"  # of all code that ran in a folder
SEAL = 64  # bytes of the SHA-256 at the end of a checkpoint
MOMENTS = ("momentum_buffer", "exp_avg", "exp_avg_sq")  # of torch's SGD and AdamW
IDENTITY = ("classes", "side", "seed")  # among the hyper-parameters of a checkpoint, beyond the settings
BLOCK = 2048  # images of a block of embed_dataset


def read_checkpoint(path: Path, images: Sequence[str]) -> tuple[dict[str, Any], SavedState]:
    """Owner of the state of an FR training on these image files, and the state in today's layout.

    The code and the precision that it belongs to show in its name alone: they are found among all code that ran here.
    """
    content = path.read_bytes()
    if sha256(content[:-SEAL]).hexdigest().encode() != content[-SEAL:]:
        raise BrownidError(f"{path}: this state is damaged: its content does not match its checksum.")
    saved = load_torch(io.BytesIO(content))
    settings = {name: value for name, value in saved["hyper_parameters"].items() if name not in IDENTITY}
    owner = {"settings": settings, "images": [checksum_of(image) for image in images]}
    owner |= {name: saved["hyper_parameters"][name] for name in ("seed", "side")}  # under the names of its time
    codes = [fingerprint.read_text() for fingerprint in sorted(Path(FINGERPRINTS).glob("*"))]
    named = [{**owner, "precision": precision, "code": code} for precision in ("float32", "bfloat16") for code in codes]
    found = [candidate for candidate in named if state_path(path.parent, candidate).stem == path.stem]
    if not found:
        raise BrownidError(f"{path}: this state belongs to other images, or to code that never ran in this folder.")
    return found[0], _of_checkpoint(saved)


def _of_checkpoint(saved: Mapping[str, Any]) -> SavedState:
    [optimiser] = saved["optimizer_states"]
    names = [name for name in MOMENTS if name in optimiser["state"][0]]
    moments = {
        f"optimiser.{group}.{order}.{number}": optimiser["state"][parameter][name]
        for group, parameters in enumerate(optimiser["param_groups"])
        for order, name in enumerate(names)
        for number, parameter in enumerate(parameters["params"])
    }
    history = torch.tensor([list(row.values()) for row in saved["history"]], dtype=torch.float64)
    return SavedState(len(history), {**saved["state_dict"], **moments, "history": history})


def laid_out(rule: str, saved: SavedState) -> SavedState:
    """The state of a job of this rule, as it is laid out today."""
    place = saved.tensors.get("place")
    if rule == "project_database" and place is not None and len(place) == 3:
        return _of_projection(saved, *place.tolist())
    if rule == "embed_dataset" and place is None:
        return _of_embedding(saved)
    return saved


def _of_projection(saved: SavedState, first: int, stop: int, iteration: int) -> SavedState:
    tensors = {name: tensor for name, tensor in saved.tensors.items() if name.startswith("done/") and first}
    for name, tensor in saved.tensors.items():
        if name.startswith("running/"):
            _, part, name = name.split("/", 2)  # part: values, first or second (moments)
            tensors[f"inside/{name}" if part == "values" else f"inside/{part}/{name}"] = tensor
    if stop > first:
        tensors |= {"inside/losses": torch.zeros(stop - first), "inside/records": torch.zeros(iteration, 0).double()}
    tensors["place"] = torch.tensor([first, saved.iteration - iteration, stop, iteration])
    return SavedState(saved.iteration, tensors)


def _of_embedding(saved: SavedState) -> SavedState:
    failures = json.loads(saved.tensors["failures"].numpy().tobytes())
    lines = "".join(json.dumps(failure) + "\n" for failure in failures)
    tensors = {
        "done/embeddings": saved.tensors["embeddings"],
        "done/failures": torch.tensor(list(lines.encode()), dtype=torch.uint8),
        "place": torch.tensor([saved.iteration * BLOCK, saved.iteration, 0, 0]),
    }
    return SavedState(saved.iteration, tensors)
