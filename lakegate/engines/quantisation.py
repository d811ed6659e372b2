"""int8 as a transformation of the ONNX file: quantise and dequantise pairs with scales from real images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lakegate.engines.onnx_graphs import find_region, metadata_of, restamp
from lakegate.engines.onnx_session import INPUT_NAME
from lakegate.errors import EngineNotBuilt
from lakegate.imaging import FloatArray

# Only these are quantised; what stands between them follows where the runtime can fuse it.
QUANTISED_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add")
MAX_PROBLEMS_SHOWN = 5


@dataclass(frozen=True)
class QuantisationReport:
    """What was quantised; the heads stay in float32, their outputs are scores and distances in px."""

    n_pairs: int
    n_nodes: int
    heads_kept: tuple[str, ...]
    n_images: int


def quantise(prepared: Path, inputs_NCHW: Iterable[FloatArray], out: Path) -> tuple[Any, QuantisationReport]:
    """Insert symmetric int8 pairs: one scale per tensor of activations, one per output channel of weights.

    Args:
        prepared: an ONNX file as ``onnx_graphs.prepare`` leaves it.
        inputs_NCHW: batches as the network gets them, float32 0..255, of real images.
        out: where the tool may write; the caller stamps and saves the returned model.

    Raises:
        EngineNotBuilt: no images, nothing to quantise, or TensorRT would not take what came out.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    source = onnx.load(str(prepared))
    region = find_region(source)
    names = sorted(region.inside - set(region.heads))
    if not names:
        raise EngineNotBuilt("int8: nothing but the heads computes in this network; declare precision = 'fp16'")
    restamp(source, {**metadata_of(source), "onnx.quant.pre_process": "onnxruntime.quant"})  # it is folded already
    reader = _Reader(inputs_NCHW)
    quantize_static(
        source,
        str(out),
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTISED_OPERATORS),
        nodes_to_quantize=names,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        # ONNX Runtime's "entropy" computes the same as MinMax with the bins that it allows.
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
        },
    )
    model = onnx.load(str(out))
    problems = lint(model)
    if problems:
        more = f" and {len(problems) - MAX_PROBLEMS_SHOWN} more" if len(problems) > MAX_PROBLEMS_SHOWN else ""
        raise EngineNotBuilt(f"int8: TensorRT does not take this: {'; '.join(problems[:MAX_PROBLEMS_SHOWN])}{more}")
    pairs = sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    return model, QuantisationReport(pairs, len(names), region.heads, reader.n_images)


def lint(model: Any) -> list[str]:
    """Name what TensorRT refuses: it takes symmetric signed int8, one scale per activation tensor, float32 biases."""
    import onnx

    weights = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    quantised = {name: node.input[0] for node in pairs if node.op_type == "QuantizeLinear" for name in node.output}
    problems = [] if pairs else ["no pair of QuantizeLinear and DequantizeLinear is in the graph"]
    for node in pairs:
        source = quantised.get(node.input[0], node.input[0])
        problems += [f"{node.name or node.output[0]}: {words}" for words in _lint_pair(node, source in weights, weights)]
    return problems


def _lint_pair(node: Any, is_weight: bool, weights: dict[str, Any]) -> Iterator[str]:
    scale = weights.get(node.input[1])
    zero = weights.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if scale is None:
        yield "the scale is computed, expected a constant"
    elif not (np.isfinite(scale).all() and (scale > 0).all()):
        yield "a scale is not a positive number; give calibration images on which the layer answers"
    elif scale.size > 1 and not is_weight:
        yield f"{scale.size} scales for activations, expected one per tensor"
    if zero is None:
        yield "no constant zero-point; without one the type is unsigned"
    elif zero.dtype == np.int32:
        yield "a bias in int32, expected float32 biases"
    elif zero.dtype != np.int8:
        yield f"quantised to {zero.dtype}, expected int8"
    elif zero.any():
        yield f"zero-point {int(zero.flat[np.flatnonzero(zero)[0]])}, expected 0: quantisation must be symmetric"


class _Reader:
    """What ONNX Runtime's calibration asks for images; refuses to calibrate on none."""

    def __init__(self, inputs_NCHW: Iterable[FloatArray]) -> None:
        self._inputs = iter(inputs_NCHW)
        self.n_images = 0

    def get_next(self) -> dict[str, FloatArray] | None:
        """Return the next batch by input name; ``None`` after the last."""
        batch = next(self._inputs, None)
        if batch is None:
            if not self.n_images:
                raise EngineNotBuilt("int8: no calibration images came; scales from nothing would be arbitrary")
            return None
        self.n_images += len(batch)
        return {INPUT_NAME: batch}
