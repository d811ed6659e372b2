"""float16 as a transformation of the ONNX file: between the first and the last convolution, casts at the borders."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lakegate.engines.onnx_graphs import CARRYING_INPUTS, find_region, float_tensors
from lakegate.errors import EngineNotBuilt

NARROW = "__narrow"
LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class HalfReport:
    """How much was narrowed, and what it cost the weights."""

    n_nodes: int
    n_casts: int
    n_weights: int
    n_weights_flushed_to_zero: int


def to_half(model: Any) -> HalfReport:
    """Narrow ``model`` in place. Inputs, outputs, normalisation and box arithmetic stay float32.

    Raises:
        EngineNotBuilt: nothing computes in the graph, or a weight is beyond the range of float16.
    """
    region = find_region(model)
    if not region.compute:
        raise EngineNotBuilt("fp16: no convolution or matrix product to narrow was found; declare precision = 'fp32'")
    return _Narrowing(model, region.inside).run()


class _Narrowing:
    """One pass over a graph; tensors in float16 get a name of their own, so nobody mixes them up."""

    def __init__(self, model: Any, inside: frozenset[str]) -> None:
        self.graph, self.inside = model.graph, inside
        self.floats = float_tensors(model)
        self.weights = {item.name: item for item in model.graph.initializer}
        self.nodes: list[Any] = []
        self.narrow: set[str] = set()  # tensors that exist in float16
        self.wide: set[str] = set(self.floats)  # float tensors that exist in float32
        self.n_casts = self.n_weights = self.n_flushed = 0

    def run(self) -> HalfReport:
        for node in self.graph.node:
            if node.name in self.inside:
                self.wide.difference_update(node.output)
        n_nodes = 0
        for node in list(self.graph.node):
            if node.name in self.inside:
                self._narrow_node(node)
                n_nodes += 1
            else:
                self._widen_inputs(node.input)
                self.nodes.append(node)
        self._widen_inputs([item.name for item in self.graph.output])
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self._drop_unused_weights()
        return HalfReport(n_nodes, self.n_casts, self.n_weights, self.n_flushed)

    def _narrow_node(self, node: Any) -> None:
        positions = CARRYING_INPUTS[node.op_type]
        for index, name in enumerate(node.input):
            if name in self.floats and index in positions:
                self._make_narrow(name)
                node.input[index] = name + NARROW
            elif name in self.floats:
                self._widen_inputs([name])
        for index, name in enumerate(node.output):
            if name in self.floats:
                node.output[index] = name + NARROW
                self.narrow.add(name)
        self.nodes.append(node)

    def _make_narrow(self, name: str) -> None:
        import onnx

        if name in self.narrow:
            return
        self.narrow.add(name)
        if name in self.weights:
            values = onnx.numpy_helper.to_array(self.weights[name])
            self.graph.initializer.append(onnx.numpy_helper.from_array(self._rounded(name, values), name + NARROW))
        else:
            self._cast(name, name + NARROW, onnx.TensorProto.FLOAT16)

    def _rounded(self, name: str, values: Any) -> Any:
        largest = float(np.abs(values).max(initial=0.0))
        if not largest <= LARGEST_HALF:
            raise EngineNotBuilt(
                f"fp16: the weight {name} holds {largest:g}, float16 ends at {LARGEST_HALF:g}; declare precision = 'fp32'"
            )
        rounded = values.astype(np.float16)
        self.n_weights += values.size
        self.n_flushed += int(((rounded == 0) & (values != 0)).sum())
        return rounded

    def _widen_inputs(self, names: Any) -> None:
        import onnx

        for name in names:
            if name in self.narrow and name not in self.wide:
                self.wide.add(name)
                self._cast(name + NARROW, name, onnx.TensorProto.FLOAT)

    def _cast(self, source: str, target: str, kind: int) -> None:
        import onnx

        self.nodes.append(onnx.helper.make_node("Cast", [source], [target], name=f"border_{self.n_casts}", to=kind))
        self.n_casts += 1

    def _drop_unused_weights(self) -> None:
        used = {name for node in self.graph.node for name in node.input} | {item.name for item in self.graph.output}
        kept = [item for item in self.graph.initializer if item.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
