"""Modules of NVIDIA's persistent classes: their class name and state, without the Python source they carry."""

import itertools
from collections.abc import Iterator, Mapping

from torch import Tensor

from brownid.generators.checkpoints.plain import MOST_VALUES, Frozen, RefusedError
from brownid.generators.checkpoints.tensors import StoredTensor

VERSION = 6  # of torch_utils.persistence, in every published file
DEEPEST = 50  # modules inside modules; published generators have 4


class Module(Frozen):
    """A module: what its class was called, and its `__dict__`."""

    __slots__ = ("class_name", "state")

    def __init__(self, class_name: str, state: Mapping[str, object]):
        self.class_name, self.state = class_name, state

    def attribute(self, name: str, kind: type) -> object:
        """A value of the state; an empty one of its kind where there is none."""
        value = self.state.get(name)
        if value is not None and not isinstance(value, kind):
            raise RefusedError(f"the {name} of its module {self.class_name} are a {type(value).__name__}")
        return kind() if value is None else value


def rebuild_module(description: object) -> Module:
    """`torch_utils.persistence._reconstruct_persistent_obj(description)`, less compiling the source in it."""
    if not isinstance(description, dict) or description.get("type") != "class":
        raise RefusedError("it holds a persistent object that is not an instance of a class")
    version, class_name, state = (description.get(key) for key in ("version", "class_name", "state"))
    if version != VERSION:
        raise RefusedError(f"its persistent classes are of version {version!r}, and version {VERSION} is read")
    if not isinstance(class_name, str) or not isinstance(state, dict):
        raise RefusedError("it holds a persistent object without a class name or state")
    return Module(class_name, state)


def named_tensors(module: Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by dotted name, float32 and contiguous, in the order of a state dict.

    A tensor that two modules share is under both names.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in _walk(module, "", 0, itertools.count()):
        found[name] = tensor.load()
    return found


def _walk(module: Module, prefix: str, depth: int, visits: Iterator[int]) -> Iterator[tuple[str, StoredTensor]]:
    if depth > DEEPEST:
        raise RefusedError(f"its modules are nested more than {DEEPEST} deep")
    transient = module.attribute("_non_persistent_buffers_set", set)
    for kind in ("_parameters", "_buffers"):
        for name, tensor in module.attribute(kind, dict).items():
            _count(visits)
            if tensor is None or (kind == "_buffers" and name in transient):
                continue
            if not isinstance(tensor, StoredTensor):
                raise RefusedError(f"its {prefix}{name} is no tensor but a {type(tensor).__name__}")
            yield f"{prefix}{name}", tensor
    for name, inner in module.attribute("_modules", dict).items():
        _count(visits)
        if inner is None:
            continue
        if not isinstance(inner, Module):
            raise RefusedError(f"its {prefix}{name} is no module but a {type(inner).__name__}")
        yield from _walk(inner, f"{prefix}{name}.", depth + 1, visits)


def _count(visits: Iterator[int]) -> None:
    """A small pickle can name a module often enough, at every depth, to walk for ever."""
    if next(visits) >= MOST_VALUES:
        raise RefusedError(f"its network holds more than {MOST_VALUES} tensors and modules")
