"""Counts kernels, bytes and operations of a pass without computing it: on tensors that have shapes only.

The rule: each ATen operation that a pass dispatches below autograd is one kernel, except for views and allocations. It
reads each of its input tensors once and writes each of its output tensors once; an operation in place reads and writes
its tensor. A dimension that is expanded (stride 0) is read once. What kernels fetch twice, caches and launches are not
counted. A chain of elementwise steps (brownid.runtime.fusing) that is said to be compiled counts as one kernel that
reads its inputs and writes its maps, and as a second one that reads them again where it has sums as well: the count
does not rely on a compiler that makes one of the two.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from brownid.runtime import fusing

FREE = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias", "lift_fresh"}
FREE |= {"_unsafe_view", "_reshape_alias"}
OVERWRITES = {"copy_", "fill_", "zero_", "normal_", "uniform_"}  # in place, without a look at what was there
PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}


@dataclass
class Count:
    """Kernels, bytes read and written, and floating-point operations."""

    kernels: int = 0
    bytes: int = 0
    operations: int = 0


class Counter(TorchDispatchMode):
    """Counts what is dispatched while it is active, by kind: see `kind_of`."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, Count] = defaultdict(Count)
        self.paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self.paused and not _is_free(func):
            name = func.overloadpacket.__name__
            read = tree_leaves((args, kwargs))
            if name in OVERWRITES:
                read = read[1:]
            self.add(kind_of(name, args), read, tree_leaves(result), _operations(name, args, result))
        return result

    def add(self, kind: str, read: list, written: list, operations: int = 0) -> None:
        """Counts one kernel."""
        count = self.counts[kind]
        count.kernels += 1
        count.bytes += sum(_bytes(x) for x in _distinct(read)) + sum(_bytes(x) for x in _distinct(written))
        count.operations += operations

    def run(self, function: Callable[..., Any], arguments: tuple) -> Any:
        """In place of `brownid.runtime.fusing.run`: counts a compiled chain."""
        self.paused = True
        result = function(*arguments)
        self.paused = False
        read, written = tree_leaves(arguments), _distinct(tree_leaves(result))
        largest = max(x.numel() for x in _distinct(read))
        for part in ([x for x in written if x.numel() >= largest], [x for x in written if x.numel() < largest]):
            if part:
                self.add("elementwise", read, part)
        return result

    def total(self) -> Count:
        """The sum over all kinds."""
        return Count(*(sum(getattr(c, f) for c in self.counts.values()) for f in ("kernels", "bytes", "operations")))


def kind_of(name: str, args: tuple) -> str:
    """ "convolution", "depthwise" (a group per channel), "product" (of matrices) or "elementwise" (all others)."""
    if name in ("convolution", "convolution_backward"):
        groups = args[-1] if name == "convolution" else args[-2]
        return "depthwise" if groups > 1 else "convolution"
    return "product" if name in PRODUCTS else "elementwise"


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Tensors made and operations run inside have shapes, layouts and number formats, but no numbers."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def counted(work: Callable[[], Any], compiled_chains: bool = False) -> dict[str, Count]:
    """Counts of `work` by kind; call it inside `shapes_only`."""
    with Counter() as counter, mock.patch.object(fusing, "run", counter.run if compiled_chains else fusing.run):
        work()
    return dict(counter.counts, total=counter.total())


def _is_free(func: Any) -> bool:
    if func.namespace == "prim" or func.overloadpacket.__name__ in FREE:
        return True
    aliases = [r.alias_info for r in func._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


def _distinct(values: list) -> list[Tensor]:
    return list({id(x): x for x in values if isinstance(x, Tensor)}.values())


def _bytes(tensor: Tensor) -> int:
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= 1 if stride == 0 and size else size
    return elements * tensor.element_size()


def _operations(name: str, args: tuple, result: Any) -> int:
    """Two for each multiplication of a convolution or a matrix product; none for others."""
    if name in PRODUCTS:
        return 2 * args[-2].numel() * args[-1].shape[-1]
    if name == "convolution":
        x, weight, transposed = args[0], args[1], args[6]
        return 2 * weight[0].numel() * (x if transposed else result).numel()
    if name == "convolution_backward":
        gradient, x, weight, transposed, mask = args[0], args[1], args[2], args[7], args[10]
        return 2 * weight[0].numel() * (x if transposed else gradient).numel() * sum(mask[:2])
    return 0
