"""What every precision needs from an ONNX graph: one input size, names for all nodes, and the part that may be narrowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakegate.errors import EngineNotBuilt

# The operators that do the arithmetic worth narrowing.
COMPUTE = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
ALL_INPUTS = tuple(range(64))
# Per operator the inputs that carry weights or activations; an operator that is not here stays in float32.
CARRYING_INPUTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (0, 1, 2),
    "ConvTranspose": (0, 1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "Add": (0, 1),
    "Mul": (0, 1),
    "Concat": ALL_INPUTS,
    "Relu": (0,),
    "LeakyRelu": (0,),
    "PRelu": (0, 1),
    "Clip": (0, 1, 2),
    "Sigmoid": (0,),
    "HardSigmoid": (0,),
    "HardSwish": (0,),
    "MaxPool": (0,),
    "AveragePool": (0,),
    "GlobalAveragePool": (0,),
    "Resize": (0,),
    "Identity": (0,),
    "Reshape": (0,),
    "Transpose": (0,),
}
STANDARD_DOMAINS = frozenset({"", "ai.onnx"})


@dataclass(frozen=True)
class Region:
    """Names of nodes: all that compute, the heads among them (nothing computes after), and what lies between two."""

    compute: tuple[str, ...]
    heads: tuple[str, ...]
    between: tuple[str, ...]

    @property
    def inside(self) -> frozenset[str]:
        """Everything that may be narrowed: box arithmetic after the heads and the normalisation before are not in it."""
        return frozenset((*self.compute, *self.between))


def prepare(source: Path, input_px: tuple[int, int], out: Path) -> Any:
    """Fix height and width, fold what is constant then, name every node; the batch stays free.

    An engine is built for one size, the one that the pre-processing delivers. Returns the model, which is also at ``out``.

    Raises:
        EngineNotBuilt: the graph holds operators that are not standard ONNX.
    """
    import onnx
    import onnxruntime

    model = onnx.load(str(source))
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    for index, side_px in zip((2, 3), input_px, strict=True):
        dimensions[index].ClearField("dim_param")
        dimensions[index].dim_value = side_px
    del model.graph.value_info[:]  # they name the free sides; ONNX Runtime would believe them and fold nothing
    for item in model.graph.output:
        for side in item.type.tensor_type.shape.dim[1:]:
            side.ClearField("dim_param")
    _fold_known_sides(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    prepared = onnx.load(str(out))
    foreign = sorted({node.domain for node in prepared.graph.node} - STANDARD_DOMAINS)
    if foreign:
        raise EngineNotBuilt(f"{source.name} holds operators of {', '.join(foreign)}, expected standard ONNX; export it again")
    for index, node in enumerate(prepared.graph.node):
        node.name = f"{node.op_type}_{index}"
    restamp(prepared, metadata_of(model))
    save(prepared, out)
    return prepared


def _fold_known_sides(model: Any) -> None:
    """Replace each Shape operator whose result is known now by a constant; ONNX Runtime folds what follows from it."""
    import numpy as np
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    values = (*inferred.graph.input, *inferred.graph.value_info)
    shapes = {item.name: [side.dim_value for side in item.type.tensor_type.shape.dim] for item in values}
    for node in [item for item in model.graph.node if item.op_type == "Shape" and item.input[0] in shapes]:
        limits = {item.name: item.i for item in node.attribute}
        sides = shapes[node.input[0]][limits.get("start", 0) : limits.get("end")]
        if sides and all(sides):  # 0 stands for a free side
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(sides, np.int64), node.output[0]))
            model.graph.node.remove(node)


def find_region(model: Any) -> Region:
    """Find the nodes between the first and the last that compute, following weights and activations only."""
    nodes = list(model.graph.node)
    below, above, then_computes = set[str](), set[str](), set[str]()
    made_below, used_above, used_by_compute = set[str](), set[str](), set[str]()
    for node in nodes:
        if node.op_type in COMPUTE or (node.op_type in CARRYING_INPUTS and made_below & set(carried(node))):
            below.add(node.name)
            made_below.update(node.output)
    for node in reversed(nodes):
        if node.op_type not in CARRYING_INPUTS:
            continue
        outputs = set(node.output)
        if outputs & used_by_compute:
            then_computes.add(node.name)
        if node.op_type in COMPUTE or outputs & used_above:
            above.add(node.name)
            used_above.update(carried(node))
            used_by_compute.update(carried(node))
    compute = [node.name for node in nodes if node.op_type in COMPUTE]
    return Region(
        compute=tuple(compute),
        heads=tuple(name for name in compute if name not in then_computes),
        between=tuple(node.name for node in nodes if node.op_type not in COMPUTE and node.name in below & above),
    )


def carried(node: Any) -> list[str]:
    """Return the inputs of a node that carry weights or activations."""
    positions = CARRYING_INPUTS.get(node.op_type, ())
    return [name for index, name in enumerate(node.input) if index in positions and name]


def float_tensors(model: Any) -> frozenset[str]:
    """Return the names of all float32 tensors: inputs, weights and what lies between."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    values = {item.name: item.type.tensor_type.elem_type for item in (*graph.input, *graph.value_info, *graph.output)}
    values |= {item.name: item.data_type for item in graph.initializer}
    return frozenset(name for name, kind in values.items() if kind == onnx.TensorProto.FLOAT)


def metadata_of(model: Any) -> dict[str, str]:
    """Return the file's own words: labels, sizes, digests, provenance."""
    return {item.key: item.value for item in model.metadata_props}


def restamp(model: Any, metadata: Mapping[str, str]) -> None:
    """Write the metadata anew: every tool that transforms a model may drop it."""
    del model.metadata_props[:]
    for key in sorted(metadata):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, metadata[key]


def save(model: Any, path: Path) -> None:
    """Check the model with full type inference, then write it aside and rename it.

    Raises:
        EngineNotBuilt: the checker does not accept the model.
    """
    import onnx

    del model.graph.value_info[:]
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineNotBuilt(f"the transformation made an ONNX file that is not valid: {error}; report this") from error
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(model.SerializeToString())
    aside.replace(path)
