"""NVIDIA's pickles of generators: persistent classes read by name and state, without their Python source."""

import functools
import io
import itertools
from collections.abc import Iterator, Mapping
from typing import TypeVar, cast

from torch import Tensor

from brownid.weights.pickled_tensors import MOST_VALUES, PlainValue, Storage, StoredTensor, TensorReader, plain
from brownid.weights.torch_files import load_torch
from brownid.weights.unpickler import Function, Inert, RefusedError, check_needed, is_name

VERSION = 6  # of torch_utils.persistence, in every published file
DEEPEST = 50  # modules inside modules; published generators have 4

Kind = TypeVar("Kind")


class Module(Inert):
    """A module: what its class was called, and its `__dict__`."""

    __slots__ = ("class_name", "state")

    def __init__(self, class_name: str, state: Mapping[str, object]):
        self.class_name, self.state = class_name, state

    def parts(self) -> tuple[object]:
        """Attributes that its class has set."""
        return (self.state,)

    def attribute(self, name: str, kind: type[Kind]) -> Kind:
        """A value of the state; an empty one of its kind where there is none."""
        value = self.state.get(name)
        if value is not None and not isinstance(value, kind):
            raise RefusedError(f"the {name} of its module {self.class_name} are a {type(value).__name__}")
        return kind() if value is None else value


class NetworkReader(TensorReader):
    """Reads NVIDIA's network pickles; what G_ema does not need can be anything."""

    lenient = True

    def __init__(self, data: bytes):
        super().__init__(data)
        self._storages: dict[int, tuple[object, Storage]] = {}  # by the id of their bytes, which are kept with them
        self.names |= {
            ("torch_utils.persistence", "_reconstruct_persistent_obj"): Function(rebuild_module),
            ("dnnlib.util", "EasyDict"): self.names["collections", "OrderedDict"],
            ("torch.storage", "_load_from_bytes"): Function(self._storage),
        }

    def _storage(self, raw: object) -> Storage:
        """`torch.storage._load_from_bytes(raw)`: a small torch file inside the pickle, read when it is needed."""
        if not isinstance(raw, bytes | bytearray):
            raise RefusedError("it holds a tensor whose content is not raw bytes")
        if id(raw) not in self._storages:
            self._storages[id(raw)] = raw, Storage(functools.cache(lambda: _stored_numbers(raw)))
        return self._storages[id(raw)][1]


def _stored_numbers(raw: bytes | bytearray) -> Tensor:
    stored = load_torch(io.BytesIO(raw))
    check_needed(stored)
    if not isinstance(stored, Storage):
        raise RefusedError(f"it holds a {type(stored).__name__} where the numbers of a tensor should be")
    return stored.numbers()


def rebuild_module(description: object) -> Module:
    """`torch_utils.persistence._reconstruct_persistent_obj(description)`, less compiling the source in it."""
    if not isinstance(description, dict) or description.get("type") != "class":
        raise RefusedError("it holds a persistent object that is not an instance of a class")
    version, class_name, state = (description.get(key) for key in ("version", "class_name", "state"))
    if type(version) is not int or version != VERSION:
        found = f"version {version}" if type(version) is int else "no version"
        raise RefusedError(f"its persistent classes are of {found}, and version {VERSION} is read")
    if not is_name(class_name) or not isinstance(state, dict):
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
            _count(visits, name)
            if tensor is None or (kind == "_buffers" and name in transient):
                continue
            if not isinstance(tensor, StoredTensor):
                raise RefusedError(f"its {prefix}{name} is no tensor but a {type(tensor).__name__}")
            yield f"{prefix}{name}", tensor
    for name, inner in module.attribute("_modules", dict).items():
        _count(visits, name)
        if inner is None:
            continue
        if not isinstance(inner, Module):
            raise RefusedError(f"its {prefix}{name} is no module but a {type(inner).__name__}")
        yield from _walk(inner, f"{prefix}{name}.", depth + 1, visits)


def _count(visits: Iterator[int], name: object) -> None:
    """A small pickle can name a module often enough, at every depth, to walk for ever."""
    if next(visits) >= MOST_VALUES:
        raise RefusedError(f"its network holds more than {MOST_VALUES} tensors and modules")
    if not is_name(name):
        raise RefusedError("its network holds tensors or modules whose names are none")


# The first parameters of both generators' constructors, in their published order.
_POSITIONS = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs")


def read_network_pickle(data: bytes) -> tuple[str, dict[str, PlainValue], dict[str, Tensor]]:
    """Family ("stylegan2" or "stylegan3"), constructor arguments and named tensors of a pickle's `G_ema`.

    Constructor arguments have one form for a family, whichever program wrote the file: named, even if given by
    position, and those of the synthesis network nested in `synthesis_kwargs` for StyleGAN2 (as stylegan2-ada-pytorch
    writes them), but next to the others for StyleGAN3 (as stylegan3 writes both families).
    Raises `RefusedError` or, for a damaged pickle, whatever its opcodes happen to raise.
    """
    content = NetworkReader(data).read()
    generator = content.get("G_ema") if isinstance(content, dict) else None
    check_needed(content if generator is None else generator)
    if not isinstance(generator, Module):
        raise RefusedError("it holds no network 'G_ema', the averaged generator of NVIDIA's network pickles")
    arguments = _arguments(generator)  # first: it is quicker than the tensors
    tensors = named_tensors(generator)
    family = _family(tensors, generator.class_name)
    return family, _in_one_form(arguments, family), tensors


def _arguments(generator: Module) -> dict[str, PlainValue]:
    if "_init_kwargs" not in generator.state:
        raise RefusedError("its G_ema does not tell the arguments that it was constructed with")
    positional = generator.attribute("_init_args", tuple)
    if len(positional) > len(_POSITIONS):
        raise RefusedError(f"its G_ema was constructed with {len(positional)} arguments by position")
    named = {
        **dict(zip(_POSITIONS, positional, strict=False)),
        **generator.attribute("_init_kwargs", dict),
    }
    return cast(dict[str, PlainValue], plain(named, "constructor arguments"))  # the plain form of a dict is one


def _in_one_form(arguments: dict[str, PlainValue], family: str) -> dict[str, PlainValue]:
    nested = arguments.get(_POSITIONS[-1]) or {}
    if not isinstance(nested, dict) or type(arguments.get("img_resolution")) is not int:
        raise RefusedError("the constructor arguments of its G_ema are not those of StyleGAN2 or StyleGAN3")
    own = {name: value for name, value in arguments.items() if name in _POSITIONS[:-1]}
    synthesis = nested | {name: value for name, value in arguments.items() if name not in _POSITIONS}
    return {**own, "synthesis_kwargs": synthesis} if family == "stylegan2" else {**synthesis, **own}


def _family(tensors: dict[str, Tensor], class_name: str) -> str:
    if any(name.startswith("synthesis.input.") for name in tensors):
        return "stylegan3"
    if "synthesis.b4.const" in tensors:
        return "stylegan2"
    raise RefusedError(f"its G_ema is of a class {class_name!r} that is neither StyleGAN2 nor StyleGAN3")
