"""A simulated GPU for machines without one: tensors that say cuda:0 and keep their numbers in hidden CPU tensors.

Within `SimulatedGPU()` whatever is created on "cuda" or copied there is a `DeviceTensor`. An operation on these runs on
the hidden tensors, so that its numbers are the CPU's. What CUDA refuses is refused (operands on two devices, NumPy from
a device tensor), what it accepts is accepted (a host number in elementwise arithmetic, host indices), and each transfer
and each synchronisation is counted for the function of `brownid` that causes it.

Not simulated: kernels and their rounding, streams, memory, NCCL, torch.compile. Autocast is emulated by the lists of
torch's documentation, `inference_mode` is replaced by `no_grad`.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
SCENARIOS = "planning/scenarios.py"  # of the library, but not audited: it stands for a user's program
TO_DEVICE, TO_HOST, WAITS = "to device", "to host", "waits"  # kinds of crossings
# The host must know their result, or the size of it.
WAITING = {
    *("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "equal", "is_nonzero"),
    *("_local_scalar_dense", "_linalg_check_errors", "_linalg_eigh", "_linalg_svd"),
}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
SCALAR_OPERAND = {"masked_fill", "masked_fill_", "fill", "fill_"}  # accept a host number, besides elementwise ones
IN_BFLOAT16 = {
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "linear", "matmul", "__matmul__", "mm"),
    *("__rmatmul__", "bmm", "addmm", "baddbmm", "prelu", "scaled_dot_product_attention", "einsum"),
}
IN_FLOAT32 = {
    *("vector_norm", "norm", "softmax", "log_softmax", "layer_norm", "group_norm", "cross_entropy", "pow", "exp"),
    *("sum", "cdist", "acos", "rsqrt", "cumsum", "prod", "nll_loss", "mse_loss"),
}


class MixedDevicesError(RuntimeError):
    """Operands are on different devices, which CUDA refuses."""


class Crossing(NamedTuple):
    """A place where host and device meet: a file of the library, a function in it, and what happens."""

    place: str
    kind: str


class DeviceTensor(torch.Tensor):
    """To C++ a tensor without numbers (meta), to Python one on cuda:0; `hidden` has the numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    hidden: torch.Tensor
    gpu: "SimulatedGPU"

    @staticmethod
    def __new__(cls, hidden, gpu):
        shape = torch.empty_strided(hidden.size(), hidden.stride(), dtype=hidden.dtype, device="meta")
        self = torch.Tensor._make_subclass(cls, shape, False, device_for_backend_keys=DEVICE)
        self.hidden, self.gpu = hidden, gpu
        return self

    def __init__(self, hidden, gpu):
        pass

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        (gpu, *_) = (x.gpu for x in tree_leaves((args, kwargs)) if isinstance(x, DeviceTensor))
        return gpu.run(func, args, kwargs or {})

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)
    is_cpu = property(lambda self: False)

    def get_device(self):
        return 0

    def item(self):
        self.gpu.count(WAITS, self.element_size())
        with _disable_current_modes():
            return self.hidden.item()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    __index__ = __int__

    def __bool__(self):
        return bool(self.item())

    def __format__(self, spec):
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    def tolist(self):
        self.gpu.count(TO_HOST, self.nbytes)
        with _disable_current_modes():
            return self.hidden.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor first.")

    __array__ = numpy

    def data_ptr(self):
        return self.hidden.data_ptr()

    def __repr__(self):
        return f"DeviceTensor({tuple(self.shape)}, {self.dtype})"

    def __deepcopy__(self, memo):
        with _disable_current_modes():
            copied = DeviceTensor(self.hidden.clone(), self.gpu)
        return torch.nn.Parameter(copied, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copied

    def __reduce_ex__(self, protocol):
        return self.cpu().__reduce_ex__(protocol)


class SimulatedGPU(TorchDispatchMode):
    """The context in which "cuda" is the simulated device; `crossings` and `bytes` count by `Crossing`."""

    def __init__(self) -> None:
        super().__init__()
        self.crossings: Counter[Crossing] = Counter()
        self.bytes: Counter[Crossing] = Counter()
        self._stack = ExitStack()

    def __enter__(self):
        for target, value in self._replacements().items():
            self._stack.enter_context(mock.patch(target, value))
        self._stack.enter_context(_Functions(self))
        self._stack.enter_context(_overwriting_parameters())
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._stack.close()

    def count(self, kind: str, size: int) -> None:
        """Note a crossing of `size` bytes for the innermost function of the library that is running."""
        place = _place()
        if place is None:
            return
        crossing = Crossing(place, kind)
        self.crossings[crossing] += 1
        self.bytes[crossing] += size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.run(func, args, kwargs or {})

    def run(self, func, args, kwargs):
        """Every operation comes here: on tensors of the host, of the device, or both."""
        name = func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        on_device = [x for x in tensors if isinstance(x, DeviceTensor)]
        target = kwargs.get("device")
        target = None if target is None else torch.device(target).type
        if not on_device:
            # Where C++ asks a device tensor for its device, it gets meta.
            if target not in ("cuda", "meta"):
                return func(*args, **kwargs)
            kwargs = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
            if tensors and name != "_to_copy":
                raise NotImplementedError(f"{func} creates on the device what a host tensor describes")
            if tensors:
                self.count(TO_DEVICE, tensors[0].nbytes)
                kwargs.pop("non_blocking", None)
            with _disable_current_modes():
                made = func(*args, **kwargs, device="cpu") if not tensors else _copied(func, args, kwargs)
            return tree_map(self._on_device, made)
        hosts = [x for x in tensors if not isinstance(x, DeviceTensor)]
        if target == "cpu" and name == "_to_copy":
            self.count(TO_HOST, on_device[0].nbytes)
        elif target != "cpu":
            kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "pin_memory", "non_blocking")}
            self._check(func, name, args, hosts)
        with _disable_current_modes():
            hidden_args, hidden_kwargs = tree_map(_hidden, (args, kwargs))
            if target == "cpu":
                return func(*hidden_args, **hidden_kwargs).clone()
            result = func(*hidden_args, **hidden_kwargs)
        return self._wrapped(func, args, kwargs, result)

    def _check(self, func, name: str, args, hosts: list[torch.Tensor]) -> None:
        """Count what crosses, and refuse what CUDA refuses, before an operation of which `hosts` are operands."""
        if name in WAITING or (name == "repeat_interleave" and len(args) == 1):
            self.count(WAITS, 8)
        if name in INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            filled = name not in ("index", "_unsafe_index") and args[2].dim() == 0  # becomes masked_fill
            self.count(WAITS, 8) if not filled else None
        if name == "copy_" and hosts:
            kind = TO_DEVICE if isinstance(args[0], DeviceTensor) else TO_HOST
            self.count(kind, args[1].nbytes)
            return
        if name in INDEXING and isinstance(args[0], DeviceTensor):
            indices = [x for x in hosts if any(x is index for index in args[1])]
            for index in indices:
                self.count(TO_DEVICE, index.nbytes)
            hosts = [x for x in hosts if x.dim() and not any(x is index for index in indices)]
        elif torch.Tag.pointwise in func.tags or name in SCALAR_OPERAND or name.startswith("_foreach"):
            hosts = [x for x in hosts if x.dim()]
        if hosts:
            shape = tuple(hosts[0].shape)
            raise MixedDevicesError(
                f"Expected all tensors to be on the same device, but found cuda:0 and cpu: {func} in {_place()} got a "
                f"host tensor of shape {shape}."
            )

    def _wrapped(self, func, args, kwargs, result):
        """Results on the device; an operation in place returns the very tensor that it was given."""
        given = {}
        for position, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = kwargs.get(argument.name, args[position] if position < len(args) else None)
                given |= {id(_hidden(x)): x for x in tree_leaves(value) if isinstance(x, torch.Tensor)}
        return tree_map(lambda x: given[id(x)] if id(x) in given else self._on_device(x), result)

    def _on_device(self, value):
        return DeviceTensor(value, self) if isinstance(value, torch.Tensor) else value

    def _replacements(self) -> dict[str, object]:
        properties = mock.Mock(total_memory=140 * 2**30, major=9, minor=0, multi_processor_count=132)
        properties.name = "simulated GPU"
        return {
            "torch.cuda.is_available": lambda: True,
            "torch.cuda.device_count": lambda: 1,
            "torch.cuda.current_device": lambda: 0,
            "torch.cuda.set_device": lambda *_: None,
            "torch.cuda.get_device_name": lambda *_: "simulated GPU",
            "torch.cuda.get_device_properties": lambda *_: properties,
            "torch.cuda.get_device_capability": lambda *_: (9, 0),
            "torch.cuda.is_bf16_supported": lambda *_, **__: True,
            "torch.cuda.synchronize": lambda *_: self.count(WAITS, 0),
            "torch.cuda.mem_get_info": lambda *_: (140 * 2**30, 140 * 2**30),
            "torch.cuda.get_arch_list": lambda: ["sm_80", "sm_90"],
            "torch.cuda.empty_cache": lambda: None,
            "torch.cuda._lazy_init": lambda: None,
            "torch.compile": lambda function, **_: function,
            "torch.cuda.Event": lambda **_: mock.Mock(**{"elapsed_time.return_value": 1.0}),
            "torch.Tensor.pin_memory": lambda tensor, *_: tensor,
            "torch.inference_mode.__enter__": _enter_no_grad,  # decorators have made theirs already
            "torch.inference_mode.__exit__": _exit_no_grad,
        }


def _enter_no_grad(context) -> None:
    context.was_enabled = torch.is_grad_enabled()
    torch._C._set_grad_enabled(context.was_enabled and not context.mode)


def _exit_no_grad(context, *exception) -> None:
    torch._C._set_grad_enabled(context.was_enabled)


class _Functions(TorchFunctionMode):
    """What C++ decides before an operation is dispatched: "cuda" as cuda:0, keys of indexing, autocast."""

    def __init__(self, gpu: SimulatedGPU) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        args, kwargs = tuple(map(_numbered, args)), {key: _numbered(value) for key, value in kwargs.items()}
        if name in ("__getitem__", "__setitem__") and isinstance(args[0], torch.Tensor):
            args = (args[0], self._key(args[0], args[1]), *args[2:])
        if name in ("tensor", "as_tensor", "asarray", "scalar_tensor") and kwargs.get("device") == DEVICE:
            return func(*args, **{key: value for key, value in kwargs.items() if key != "device"}).to(DEVICE)
        if name == "cuda" and isinstance(args[0], torch.Tensor):
            return args[0].to(DEVICE)
        if name == "new_tensor" and isinstance(args[0], DeviceTensor):
            return torch.tensor(args[1], dtype=kwargs.get("dtype") or args[0].dtype).to(DEVICE)
        if name in ("zeros", "ones", "empty", "full", "randn", "rand") and kwargs.get("pin_memory"):
            kwargs = kwargs | {"pin_memory": False}
        if torch.is_autocast_enabled("cuda") and name in IN_BFLOAT16 | IN_FLOAT32:
            wanted = torch.get_autocast_dtype("cuda") if name in IN_BFLOAT16 else torch.float32
            args, kwargs = tree_map(lambda x: _cast(x, wanted), (args, kwargs))
        return func(*args, **kwargs)

    def _key(self, tensor: torch.Tensor, key):
        """The key of an indexing with sequences as tensors of the device; host tensors take no keys from it."""
        if isinstance(key, tuple):
            return tuple(self._key(tensor, part) for part in key)
        if isinstance(tensor, DeviceTensor):
            is_array = type(key).__module__ == "numpy" and getattr(key, "ndim", 0)
            return torch.as_tensor(list(key)).to(DEVICE) if is_array or isinstance(key, list | range) else key
        if isinstance(key, DeviceTensor) and key.dim():
            raise MixedDevicesError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu): "
                f"{_place()} indexes a host tensor by one of the device."
            )
        return key


def _numbered(value):
    """ "cuda" as cuda:0, for which CUDA would be asked."""
    if value == "cuda" if isinstance(value, str) else isinstance(value, torch.device) and value.type == "cuda":
        return DEVICE
    return value


def _cast(value, dtype: torch.dtype):
    is_cast = isinstance(value, DeviceTensor) and value.dtype in (torch.float32, torch.bfloat16)
    return value.to(dtype) if is_cast and value.dtype != dtype else value


def _hidden(value):
    return value.hidden if isinstance(value, DeviceTensor) else value


def _copied(func, args, kwargs):
    """A copy for the device in its own memory."""
    made = func(*args, **kwargs)
    return made.clone() if made is args[0] else made


def _place() -> str | None:
    """File and function of the innermost frame that belongs to the library; None outside, and where a module moves."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code is torch.nn.Module._apply.__code__:
            return None  # its weights, once
        _, library, path = frame.f_code.co_filename.rpartition("/scripts/brownid/")
        if library and "/site-packages/" not in frame.f_code.co_filename and not path.startswith(SCENARIOS):
            names = frame.f_code.co_qualname.split(".")
            return f"{path} {'.'.join(name for name in names if not name.startswith('<'))}"
        frame = frame.f_back
    return None


@contextmanager
def _overwriting_parameters() -> Iterator[None]:
    """Within, `Module.to` replaces parameters: those of the host cannot change into tensors of another class."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
