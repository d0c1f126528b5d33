"""Named tensors: where they stand in a file, into a module all or none, and files of ours with their checksum."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from brownid.runtime.errors import BrownidError, listed
from brownid.runtime.files import atomic_path, check_regular
from brownid.runtime.process import logger
from brownid.weights.torch_files import load_torch
from brownid.weights.unpickler import RefusedError, check_needed, is_name, short_reason

Network = TypeVar("Network", bound=nn.Module)

BACKBONE = "brownid_backbone"  # the key of the description in files of FR networks
TORCH_STARTS = (b"PK\x03\x04", b"\x80")  # a ZIP file, or a pickle
DEEPEST_SECTION = 4  # of a checkpoint's nested sections
CHECKSUM = "sha256"  # next to the description in a file of ours
# Weights that a file may declare: a factor on those that it holds, and a number that is allowed in any case.
MOST_DECLARED, FEW_WEIGHTS = 2, 2**22
COUNTER = "num_batches_tracked"  # of batch-norm: absent before torch 0.4, and unused in evaluation
AVERAGED = re.compile(r"(^|[._])(ema|teacher|momentum|swa)([._]|$)")  # copies of the network that was trained


def checksum(tensors: Mapping[str, Tensor], about: str = "") -> str:
    """SHA-256 of a text, and of the names, shapes, formats and bytes of tensors in the order of their names."""
    digest = sha256(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_described(path: str | Path, tensors: Mapping[str, Tensor], key: str, about: Mapping[str, object]) -> None:
    """Write safetensors with `about` and the checksum of both as JSON under `key`; equal content gives equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    described = {**about, CHECKSUM: checksum(tensors, json.dumps(about, sort_keys=True))}
    metadata = {key: json.dumps(described, sort_keys=True)}  # one key: safetensors does not keep the order of several
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors, metadata))  # save_file would make it private to the user


def load_described(path: str | Path, key: str) -> tuple[dict[str, Tensor], dict | None, dict[str, str]]:
    """The tensors of a safetensors file, what stands under `key` (None in a foreign file), and all its metadata.

    The checksum is compared, where there is one: files of older versions have none. Raises `BrownidError` for a damaged
    file.
    """
    check_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        described = json.loads(metadata[key]) if metadata.get(key) else None
    except OSError as error:
        raise BrownidError(f"{path}: cannot be read: {error.strerror or error}.") from error
    # RuntimeError, TypeError: shapes without any number, of more dimensions or larger ones than torch knows
    except (SafetensorError, ValueError, RecursionError, RuntimeError, TypeError) as error:
        raise BrownidError(f"{path}: damaged safetensors file: {error}; fetch or write it again.") from error
    if isinstance(described, dict) and CHECKSUM in described:
        written = described.pop(CHECKSUM)
        if written != checksum(tensors, json.dumps(described, sort_keys=True)):
            raise BrownidError(f"{path}: damaged: its content does not match its checksum; fetch or write it again.")
    return tensors, described, metadata


def read_content(path: str | Path, key: str) -> tuple[Any, dict | None]:
    """Content of a weights file (safetensors or torch), and a safetensors file's metadata under `key` (or None).

    Of a torch file: tensors and plain containers, and placeholders for all else. Raises `BrownidError` for any other
    file, and for a damaged one.
    """
    path = Path(path)
    check_regular(path)
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise BrownidError(f"{path}: cannot read the weights: {error.strerror}.") from error
    if start[8:] == b"{" or path.suffix == ".safetensors":  # the header, JSON, follows its 8-byte length
        return load_described(path, key)[:2]
    if not start.startswith(TORCH_STARTS):
        raise BrownidError(
            f"{path}: not a file of weights, or damaged: it begins neither as safetensors nor as a file of torch's."
        )
    try:
        return load_torch(path), None
    except RefusedError as error:
        raise BrownidError(f"{path}: refused as weights: {error}; what a file names is never executed.") from error
    # A damaged file can fail in any way that its reader can: all of them mean the same to the user.
    except Exception as error:
        raise BrownidError(f"{path}: not a file of weights, or damaged ({short_reason(error)}).") from error


def read_weights(path: str | Path, names: Collection[str] = ()) -> dict[str, Tensor]:
    """The tensors of a weight file that go by `names`, wherever they stand in it (see `find_state_dict`).

    Without names, those of its first section that has tensors, under the names that they have there.
    """
    return named_tensors(read_content(path, BACKBONE)[0], names, path)[0]


def named_tensors(content: object, names: Collection[str], path: str | Path) -> tuple[dict[str, Tensor], str]:
    """Tensors found by `find_state_dict` in the content of a file; `BrownidError` if any is not finite."""
    try:
        tensors, place = find_state_dict(content, names, path)
    except RefusedError as error:
        raise BrownidError(
            f"{path}: refused as weights: {error}; what a file names is never executed. Save the network's "
            "state_dict() alone."
        ) from error
    check_finite(tensors, path)
    return tensors, place


def find_state_dict(content: object, names: Collection[str], source: object) -> tuple[dict[str, Tensor], str]:
    """The tensors in the content of a file that go by most of `names`, and a phrase for where they were found.

    They may stand in a section of a checkpoint (`state_dict`, `model`, `state_dict_backbone` and so on), and behind a
    prefix that wrappers put before every name (`module.`, `backbone.`, `_orig_mod.`, also several). With a prefix the
    names without it are left out: a classification head next to the network, for example. The log names what was left
    out, and warns where two places serve equally well: the first is taken that is no running average of weights.
    Raises `BrownidError`, beginning with `source`, where there are no named tensors, and `RefusedError` where something
    else that is not read stands under a name that is asked for.
    """
    sections = dict(_sections(content))
    if not sections:
        check_needed(content)
        raise BrownidError(
            f"{source}: holds no state dict; expected named tensors, or a checkpoint with them in a section such as "
            "`state_dict` or `model`."
        )
    wanted = {name for name in names if not name.endswith(COUNTER)}
    found = {
        (section, prefix): hits
        for section, tensors in sections.items()
        for prefix, hits in (_prefixes(tensors, wanted) or {"": 0}).items()
    }
    most = max(found.values())
    best = sorted((place for place, hits in found.items() if hits == most), key=_is_averaged)
    section, prefix = best[0]
    check_needed([sections[section].get(prefix + name) for name in names])
    tensors = {name: value for name, value in sections[section].items() if isinstance(value, Tensor)}
    if most == len(wanted) and len(best) > 1:
        logger.warning("%s: several sets of weights fit; %s is read, not %s", source, *map(_place, best[:2]))
    left_out = [name for name in tensors if not name.startswith(prefix)]
    if left_out:
        logger.info("%s: read with the prefix %s; left out: %s", source, prefix, listed(left_out))
    chosen = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    chosen = {k: v for k, v in chosen.items() if not (k.endswith(COUNTER) and v.is_floating_point())}  # half overflows
    return chosen, _place(best[0]) if section or prefix else ""


def _sections(content: object) -> Iterator[tuple[str, dict[str, object]]]:
    """The mappings in a file that hold named tensors, each with the keys that lead to it, the outer ones first."""
    waiting, seen = [("", content)], {id(content)}
    for path, mapping in waiting:
        if not isinstance(mapping, Mapping):
            continue
        named = {name: value for name, value in mapping.items() if is_name(name)}
        if any(isinstance(value, Tensor) and _is_plain(value) for value in named.values()):
            yield path, {k: v for k, v in named.items() if not isinstance(v, Tensor) or _is_plain(v)}
        if path.count(".") < DEEPEST_SECTION:
            inner = {name: value for name, value in named.items() if id(value) not in seen}
            seen.update(map(id, inner.values()))  # a small file can hold one section any number of times
            waiting += [(f"{path}.{name}" if path else name, value) for name, value in inner.items()]


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_meta or tensor.is_complex())


def _prefixes(tensors: Mapping[str, object], wanted: Collection[str]) -> Counter[str]:
    """Number of wanted names per prefix."""
    return Counter(
        name[:start]
        for name in tensors
        for start in (0, *(match.end() for match in re.finditer(r"\.", name)))
        if name[start:] in wanted
    )


def _is_averaged(place: tuple[str, str]) -> bool:
    return any(AVERAGED.search(part) is not None for part in place)


def _place(place: tuple[str, str]) -> str:
    section, prefix = place
    parts = [f"the section {listed([section])}"] * bool(section) + [f"the prefix {prefix}"] * bool(prefix)
    return " and ".join(parts) or "the file's own level"


def check_finite(tensors: Mapping[str, Tensor], source: object) -> None:
    """A NaN or infinite number in a tensor is a `BrownidError` that begins with `source` and names the tensor."""
    damaged = [name for name, tensor in tensors.items() if not _comparable(tensor).isfinite().all()]
    if damaged:
        raise BrownidError(f"{source}: NaN or infinite numbers in {listed(damaged)}; fetch or write the file again.")


def _comparable(tensor: Tensor) -> Tensor:
    """Numbers of 8 bits, for which torch has no comparisons, in a larger format."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor


def made_within(make: Callable[[], Network], tensors: Mapping[str, Tensor], source: str) -> Network:
    """The network that `make` gives by sizes that a file declares, unless these need far more than its tensors hold.

    The sizes are tried without memory first: a few bytes of a description could ask for all there is.
    """
    held = sum(tensor.numel() for tensor in tensors.values())
    try:
        with torch.device("meta"):
            declared = sum(tensor.numel() for tensor in make().state_dict().values())
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:  # beyond what numbers of bytes can say
        raise BrownidError(f"{source}: no network has the sizes that it declares; fetch or write it again.") from error
    if declared > MOST_DECLARED * held + FEW_WEIGHTS:
        raise BrownidError(f"{source}: declares {declared:,} weights, but holds {held:,}; fetch or write it again.")
    return make()


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict; a missing, unexpected or misshapen key is a `BrownidError` that begins with `source`.

    Weights in another floating-point format (half, bfloat16, double) are converted to the network's.
    """
    wanted = network.state_dict()
    common = [name for name in wanted if name in tensors]
    misshapen = [
        f"{name} {list(tensors[name].shape)} instead of {list(wanted[name].shape)}"
        for name in common
        if tensors[name].shape != wanted[name].shape
    ]
    other = [
        f"{name} {str(tensors[name].dtype).removeprefix('torch.')}"
        for name in common
        if wanted[name].is_floating_point() and not tensors[name].is_floating_point()
    ]
    missing = [k for k in wanted if k not in tensors and not k.endswith(COUNTER)]
    unexpected = [k for k in tensors if k not in wanted]
    named = (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", misshapen),
        ("not of floating-point numbers", other),
    )
    problems = [f"{len(names)} {what}: {listed(names)}" for what, names in named if names]
    if problems:
        raise BrownidError(f"{source}: the weights do not fit the network; {'; '.join(problems)}.")
    network.load_state_dict(tensors, strict=False)
