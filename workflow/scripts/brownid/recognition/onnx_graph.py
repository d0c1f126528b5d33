"""What the beginning of an ONNX graph does to the pixels: which range of values a network reads.

Followed from the input to the first operation that is not affine per channel: sums, products, batch-norm, pooling and
(de)quantisation with constants, whatever their order, and what only moves, splits or joins the channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from brownid.recognition.embedding import BYTES, SIGNED
from brownid.recognition.onnx_rules import RANK, RULES, Affine

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

Node = "onnx.NodeProto"


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
        operands = {operand: self.get(operand, depth + 1) for operand in node.input if operand}
        if any(found is None or found.size > LARGEST_FOLDED for found in operands.values()):
            return None
        return self._computed(node, name, operands)

    def _computed(self, node: Node, name: str, operands: Mapping[str, np.ndarray]) -> np.ndarray | None:
        from onnx.reference import ReferenceEvaluator

        try:
            found = ReferenceEvaluator(node, opsets=self.versions).run(None, dict(operands))
        except Exception:  # of any class; onnxruntime took the file, so this is something that onnx does not compute
            return None
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
    """What reaches the first operations that are not affine."""
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
