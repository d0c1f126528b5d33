"""The range of pixel values that an ONNX network reads, from the first operations of its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from brownid.recognition.embedding import BYTES, SIGNED

RANK = 4  # of a batch of images


@dataclass(frozen=True)
class Affine:
    """Values `scale · pixel + offset`, a row of numbers for the channels, along `axis` (None: it was taken away)."""

    scale: np.ndarray  # [C]
    offset: np.ndarray  # [C]
    axis: int | None
    largest: float = 0.0  # pixel that a quantisation or a clipping leaves room for

    def channels(self, chosen: slice | np.ndarray) -> Affine:
        return replace(self, scale=self.scale[chosen], offset=self.offset[chosen])

    def limited(self, largest: float) -> Affine:
        """The same after values above `largest` were cut off."""
        with np.errstate(divide="ignore", invalid="ignore"):
            pixel = float(np.max((largest - self.offset) / self.scale))
        return replace(self, largest=max(self.largest, pixel)) if np.isfinite(pixel) else self


def _sum(sign: int) -> Callable[..., Affine | None]:
    def rule(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
        values, constant, first = _pair(given, others, attributes)
        if constant is None:
            return None
        own, other = (1, sign) if first else (sign, 1)
        return replace(values, scale=own * values.scale, offset=own * values.offset + other * constant)

    return rule


def _product(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    values, constant, _ = _pair(given, others, attributes)
    return None if constant is None else _scaled(values, constant)


def _quotient(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    values, constant, first = _pair(given, others, attributes)
    return _scaled(values, 1 / constant) if constant is not None and first and constant.all() else None


def _scaled(values: Affine, by: np.ndarray | float) -> Affine:
    return replace(values, scale=values.scale * by, offset=values.offset * by)


def _negative(_: dict, given: Sequence[Affine | None], __: Sequence) -> Affine | None:
    return given[0] and _scaled(given[0], -1.0)


def _batch_norm(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    constants = [np.ravel(constant) for constant in others[1:5] if constant is not None]
    if given[0] is None or given[0].axis != 1 or len(constants) < 4:
        return None
    gamma, beta, mean, variance = constants
    factor = gamma / np.sqrt(np.maximum(variance, 0) + attributes.get("epsilon", 1e-5))
    if len(factor) != len(given[0].scale):
        return None
    return replace(given[0], scale=given[0].scale * factor, offset=(given[0].offset - mean) * factor + beta)


def _weighted(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    """A convolution of single pixels that gives each channel its own factor, or channels in another order."""
    values, weights = given[0], others[1]
    if values is None or values.axis != 1 or weights is None or weights.shape[1:] not in ((3, 1, 1), (1, 1, 1)):
        return None
    if weights.shape[1] == 1:  # depthwise
        weights = np.eye(len(weights)) * np.ravel(weights) if attributes.get("group") == len(values.scale) else weights
    weights = weights.reshape(len(weights), -1)
    if weights.shape != (len(values.scale),) * 2 or (np.count_nonzero(weights, axis=1) != 1).any():
        return None
    bias = others[2] if len(others) > 2 else 0.0
    return (
        None if bias is None else replace(values, scale=weights @ values.scale, offset=weights @ values.offset + bias)
    )


def _quantised(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    step = _per_channel(others[1], given[0], {}) if given[0] and others[1] is not None else None
    if given[0] is None or step is None or not step.all():
        return None
    zero = others[2] if len(others) > 2 and others[2] is not None else np.zeros(1, np.uint8)
    largest = np.iinfo(zero.dtype).max if zero.dtype.kind in "iu" else 0
    shift = float(np.mean(zero))
    values = given[0].limited((largest - shift) * float(step.max()))
    return replace(values, scale=values.scale / step, offset=values.offset / step + shift)


def _dequantised(_: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    step = _per_channel(others[1], given[0], {}) if given[0] and others[1] is not None else None
    if given[0] is None or step is None:
        return None
    shift = float(np.mean(others[2])) if len(others) > 2 and others[2] is not None else 0.0
    return replace(given[0], scale=given[0].scale * step, offset=(given[0].offset - shift) * step)


def _clipped(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    largest = attributes.get("max", others[2] if len(others) > 2 else None)
    if given[0] is None or largest is None:
        return given[0]
    return given[0].limited(float(np.max(largest)))


def _transposed(attributes: dict, given: Sequence[Affine | None], _: Sequence) -> Affine | None:
    order = attributes.get("perm", list(range(RANK))[::-1])
    values = given[0]
    return None if values is None or values.axis is None else replace(values, axis=list(order).index(values.axis))


def _reshaped(_: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    if given[0] is None:
        return None
    shape = [] if len(others) < 2 or others[1] is None else others[1].tolist()
    axis = next((axis for axis in (1, 3) if len(shape) == RANK and shape[axis] == len(given[0].scale)), None)
    return replace(given[0], axis=axis)


def _gathered(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    values, indices = given[0], others[1]
    if values is None or indices is None or attributes.get("axis", 0) % RANK != values.axis:
        return None
    chosen = values.channels(np.atleast_1d(indices).astype(int).ravel())
    return replace(chosen, axis=None) if np.ndim(indices) == 0 else chosen


def _sliced(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    values = given[0]
    more = dict(zip(("starts", "ends", "axes", "steps"), others[1:], strict=False))
    starts, ends, axes, steps = (more.get(key, attributes.get(key)) for key in ("starts", "ends", "axes", "steps"))
    if values is None or starts is None or ends is None:
        return None
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if int(axis) % RANK == values.axis:
            count = len(values.scale)
            stop = None if int(step) < 0 and int(end) < -count else int(end)  # the ONNX way to write "to the first"
            values = values.channels(slice(int(start), stop, int(step)))
    return values


def _split(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> list | None:
    values = given[0]
    if values is None or values.axis != attributes.get("axis", 0) % RANK:
        return None
    sizes = others[1] if len(others) > 1 and others[1] is not None else attributes.get("split")
    sizes = [1] * len(values.scale) if sizes is None else [int(size) for size in sizes]
    ends = np.cumsum(sizes)
    return [values.channels(slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


def _joined(attributes: dict, given: Sequence[Affine | None], _: Sequence) -> Affine | None:
    parts = [values for values in given if values is not None and values.axis == attributes.get("axis", 1) % RANK]
    if len(parts) < len(given):
        return None
    scale, offset = (np.concatenate([getattr(values, name) for values in parts]) for name in ("scale", "offset"))
    return Affine(scale, offset, parts[0].axis, max(values.largest for values in parts))


def _with_axis(attributes: dict, given: Sequence[Affine | None], others: Sequence[np.ndarray | None]) -> Affine | None:
    axes = others[1] if len(others) > 1 and others[1] is not None else attributes.get("axes")
    if given[0] is None or given[0].axis is not None or axes is None or len(axes) != 1:
        return None
    return replace(given[0], axis=int(axes[0]) % RANK)


RULES: dict[str, Callable[..., Affine | list[Affine] | None]] = {
    "Add": _sum(1),
    "Sum": lambda attributes, given, others: _sum(1)(attributes, given, others) if len(given) == 2 else None,
    "Sub": _sum(-1),
    "Mul": _product,
    "Div": _quotient,
    "Neg": _negative,
    "BatchNormalization": _batch_norm,
    "QuantizeLinear": _quantised,
    "DequantizeLinear": _dequantised,
    "Clip": _clipped,
    "Conv": _weighted,
    "Reshape": _reshaped,
    "Flatten": _reshaped,
    "Transpose": _transposed,
    "Gather": _gathered,
    "Slice": _sliced,
    "Split": _split,
    "Concat": _joined,
    "Unsqueeze": _with_axis,
}


def _pair(
    given: Sequence[Affine | None], others: Sequence[np.ndarray | None], attributes: dict
) -> tuple[Affine, np.ndarray | None, bool]:
    """The affine operand, the constant one for each channel (None: there is none), and whether the affine is first."""
    first = given[0] is not None
    values, constant = (given[0], others[1]) if first else (given[1], others[0])
    assert values is not None  # rules are asked where an operand is affine
    return values, None if constant is None else _per_channel(constant, values, attributes), first


def _per_channel(constant: np.ndarray, values: Affine, attributes: dict) -> np.ndarray | None:
    """A constant `[C]` as it is broadcast to images; the mean where it differs from pixel to pixel."""
    constant = np.asarray(constant, np.float64)
    if values.axis is None or constant.size == 1:
        return np.full(len(values.scale), constant.mean())
    if attributes.get("broadcast"):  # before version 7: aligned at an axis, not at the end
        place = attributes.get("axis", RANK - constant.ndim) % RANK
        constant = constant.reshape(constant.shape + (1,) * (RANK - place - constant.ndim))
    if constant.ndim > RANK:
        return None
    constant = constant.reshape((1,) * (RANK - constant.ndim) + constant.shape)
    rows = constant.mean(axis=tuple(axis for axis in range(RANK) if axis != values.axis))
    return np.broadcast_to(rows, len(values.scale)) if len(rows) in (1, len(values.scale)) else None


if TYPE_CHECKING:
    import onnx

UNIT = (0.0, 1.0)  # the third input range, after SIGNED and BYTES
LARGEST_CONSTANT = 2**20  # numbers: a mean image may be one
FAR_FROM_ZERO = 16  # a pixel value that only bytes have
MOVES_NOTHING = {"Identity", "Cast", "Dropout", "Pad", "Resize", "Upsample", "AveragePool", "Floor", "Ceil", "Round"}
ASKS_ONLY = {"Shape", "Size"}
NORMALISES_ITSELF = {"InstanceNormalization", "MeanVarianceNormalization"}

# Operations on constants that are computed, of few numbers: none of them makes many of few.
FOLDED = {
    *("Constant", "Identity", "Cast", "Neg", "Sqrt", "Reciprocal", "Add", "Sub", "Mul", "Div", "DequantizeLinear"),
    *("Reshape", "Unsqueeze", "Squeeze", "Transpose", "Concat", "Gather", "Slice"),
}
LARGEST_FOLDED = 2**12  # numbers of an operand
DEEPEST_FOLDED = 20  # operations

Node: TypeAlias = "onnx.NodeProto"


class _Constants:
    """The constants of a graph, by the name of the value."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.initialisers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes = {name: node for node in model.graph.node for name in node.output}
        self.versions = {entry.domain: entry.version for entry in model.opset_import}

    def get(self, name: str, depth: int = 0) -> np.ndarray | None:
        """A constant that a normalisation may have, from the file itself or computed; None for anything else."""
        from onnx import TensorProto, numpy_helper

        if name in self.initialisers:
            tensor = self.initialisers[name]
            small = np.prod(tensor.dims, dtype=float) <= LARGEST_CONSTANT
            return numpy_helper.to_array(tensor) if small and tensor.data_location != TensorProto.EXTERNAL else None
        node = self.nodes.get(name)
        if node is None or node.op_type not in FOLDED or depth > DEEPEST_FOLDED:
            return None
        found = {operand: self.get(operand, depth + 1) for operand in node.input if operand}
        operands = {name: value for name, value in found.items() if value is not None and value.size <= LARGEST_FOLDED}
        if len(operands) < len(found):
            return None
        return self._computed(node, name, operands)

    def _computed(self, node: Node, name: str, operands: Mapping[str, np.ndarray]) -> np.ndarray | None:
        from onnx.reference import ReferenceEvaluator

        try:
            found = ReferenceEvaluator(node, opsets=self.versions).run(None, dict(operands))
        except Exception:  # of any class; onnxruntime took the file, so this is something that onnx does not compute
            return None
        assert isinstance(found, list)  # a dictionary only if asked for
        return np.asarray(found[list(node.output).index(name)])


def input_range(model: onnx.ModelProto) -> tuple[float, float]:
    """The values of black and white that a network reads: `BYTES`, `UNIT` or, where nothing else shows, `SIGNED`."""
    weights = {tensor.name for tensor in model.graph.initializer}
    images = {
        entry.name: Affine(np.ones(3), np.zeros(3), _channel_axis(entry))
        for entry in model.graph.input
        if entry.name not in weights
    }
    ranges = {_range(values) for values in _ends(model.graph.node, images, _Constants(model))}
    return next((found for found in (BYTES, UNIT) if found in ranges), SIGNED)


def without_weight_inputs(graph: onnx.GraphProto) -> int:
    """Remove the inputs that nothing reads, and those that only name weights; how many nothing reads.

    onnxruntime asks for a value for each of the former, and folds no constants with the latter.
    """
    weights = {tensor.name for tensor in graph.initializer}
    read = set(_read_names(graph))
    unread = [entry.name for entry in graph.input if entry.name not in read and entry.name not in weights]
    kept = [entry for entry in graph.input if entry.name in read and entry.name not in weights]
    del graph.input[:]
    graph.input.extend(kept)
    return len(unread)


def _range(values: Affine) -> tuple[float, float]:
    """By the pixel that becomes zero, which lies in the middle of a range, and by how much the others are stretched."""
    varies = values.scale != 0
    if not varies.any():
        return SIGNED
    zero = -values.offset[varies] / values.scale[varies]
    scale = float(np.abs(values.scale[varies]).mean())
    if values.largest > FAR_FROM_ZERO or zero.mean() > FAR_FROM_ZERO or 1 / 512 < scale < 1 / FAR_FROM_ZERO:
        return BYTES
    if (zero.min() > 0.2 and zero.max() < 0.8 and scale > 1.2) or (np.abs(zero).max() < 0.1 and scale > 100):
        return UNIT
    return SIGNED


def _ends(nodes: Sequence[Node], images: Mapping[str, Affine], constants: _Constants) -> Iterator[Affine]:
    """Values that reach the first operations that are not affine."""
    values = dict(images)
    for node in nodes:
        given = [values.get(name) for name in node.input]
        if not any(given):
            continue
        found = _followed(node, given, constants)
        if found is None:
            if node.op_type not in ASKS_ONLY | NORMALISES_ITSELF:
                yield from filter(None, given)
        else:
            values |= dict(zip(node.output, found, strict=False))


def _followed(node: Node, given: Sequence[Affine | None], constants: _Constants) -> list[Affine] | None:
    """The outputs of a node, as far as they are affine in the pixels; None where they are not."""
    rule = RULES.get(node.op_type)
    if node.op_type in MOVES_NOTHING:
        return [given[0]] if given[0] else None
    if rule is None:
        return None
    others = [None if value else constants.get(name) for name, value in zip(node.input, given, strict=True)]
    found = rule(_attributes(node), given, others)
    return [found] if isinstance(found, Affine) else found


def _attributes(node: Node) -> dict:
    from onnx import TensorProto, helper, numpy_helper

    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {k: numpy_helper.to_array(v) if isinstance(v, TensorProto) else v for k, v in found.items()}


def _channel_axis(entry: onnx.ValueInfoProto) -> int:
    lengths = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim]
    return 3 if len(lengths) == RANK and lengths[3] == 3 and lengths[1] != 3 else 1


def _read_names(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that nodes read, those of the graphs inside of conditions and loops among them, and the outputs."""
    yield from (entry.name for entry in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from _read_names(inner)
