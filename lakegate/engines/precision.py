"""Precision is a transformation of the ONNX file, never a flag of the builder: TensorRT 11 has no such flags."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lakegate.canonical import sha256_file
from lakegate.declarations import Precision
from lakegate.engines.calibration import read_inputs
from lakegate.engines.half_precision import to_half
from lakegate.engines.onnx_graphs import metadata_of, prepare, restamp, save
from lakegate.engines.quantisation import quantise

RECIPE_VERSION = 1  # count up when a transformation changes


@dataclass(frozen=True)
class NarrowedModel:
    """An ONNX file in the wanted precision, how it was made, and what was done to it."""

    path: Path
    sha256: str
    recipe: dict[str, str]
    report: Mapping[str, object]


def narrow(
    source: Path, precision: Precision, input_px: tuple[int, int], out: Path, calibration: Sequence[Path] = ()
) -> NarrowedModel:
    """Write ``source`` in ``precision`` for one input size; inputs and outputs stay float32, the metadata is kept.

    Args:
        source: ``model.onnx`` of a run.
        precision: fp32 keeps every number.
        input_px: (height, width) that the engine is for.
        out: the file to write.
        calibration: images for int8.

    Raises:
        EngineNotBuilt: this network cannot be had in this precision; the message says why.
    """
    recipe = {"precision": precision, "recipe_version": str(RECIPE_VERSION), **_tools(precision)}
    model = prepare(source, input_px, out)
    metadata = {**metadata_of(model), **recipe, "source_sha256": sha256_file(source)}
    report: Mapping[str, object] = {}
    if precision == "fp16":
        report = asdict(to_half(model))
    if precision == "int8":
        model, quantised = quantise(out, read_inputs(calibration, input_px), out.with_name(f".{out.name}.int8"))
        out.with_name(f".{out.name}.int8").unlink()
        report = asdict(quantised)
    restamp(model, metadata)
    save(model, out)
    return NarrowedModel(out, sha256_file(out), recipe, report)


def _tools(precision: Precision) -> dict[str, str]:
    import onnxruntime

    tools = {"folded_by": f"onnxruntime {onnxruntime.__version__}"}
    if precision == "int8":
        tools["scales"] = "MinMax, symmetric, per channel of weights"
    return tools
