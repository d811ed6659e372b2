"""A detector without weights, made in milliseconds: it finds bright red, green or blue cells of a fixed grid."""

import io
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lakegate.canonical import sha256_file
from lakegate.declarations import OperatingTable
from lakegate.detections import FoundObject, decode
from lakegate.engines.onnx_session import OnnxModel
from lakegate.imaging import PREPROCESSING_DIGEST, decode_image, to_input
from lakegate.registry.documents import RunReference
from lakegate.serving.model_files import ModelFiles

LABELS = ("red", "green", "blue")
INPUT_PX = (64, 96)
CELL_PX = 16


def write_spots(
    path: Path, gain: float = 1.0, labels=LABELS, preprocessing_digest: str = PREPROCESSING_DIGEST, burns: int = 0
) -> Path:
    """Write the ONNX file: a score per cell and colour is the mean of that channel over 255, times ``gain``.

    ``burns`` products of two 512 x 512 matrices make each image slower and change nothing.
    """
    height, width = INPUT_PX
    rows, columns = height // CELL_PX, width // CELL_PX
    y, x = (axis.reshape(-1) * CELL_PX for axis in np.mgrid[0:rows, 0:columns])
    grid = np.stack([x, y, x + CELL_PX, y + CELL_PX], axis=1).astype(np.float32)[np.newaxis]
    constants = {
        "grid": grid,
        "scale": np.array(gain / 255, np.float32),
        "flat": np.array([0, 3, -1], np.int64),
        "tail": np.array([rows * columns, 4], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["cells"], kernel_shape=[CELL_PX] * 2, strides=[CELL_PX] * 2),
        helper.make_node("Mul", ["cells", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "flat"], ["by_channel"]),
        helper.make_node("Transpose", ["by_channel"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "tail"], ["shape"], axis=0),
        helper.make_node("Expand", ["grid", "shape"], ["boxes"]),
    ]
    scores = nodes[3].output[0]
    if burns:
        constants |= {"heat": np.full((512, 512), 1e-3, np.float32), "zero": np.array(0, np.float32)}
        nodes[3].output[0] = "cool"
        nodes += [
            helper.make_node("ReduceMax", ["images"], ["bright"], keepdims=0),
            helper.make_node("Mul", ["heat", "bright"], ["heat_0"]),
            *(helper.make_node("MatMul", [f"heat_{index}", "heat"], [f"heat_{index + 1}"]) for index in range(burns)),
            helper.make_node("ReduceMax", [f"heat_{burns}"], ["smoke"], keepdims=0),
            helper.make_node("Mul", ["smoke", "zero"], ["nothing"]),
            helper.make_node("Add", ["cool", "nothing"], [scores]),
        ]
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, *INPUT_PX])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("boxes", "scores")]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "spots", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    properties = {"labels": json.dumps(labels), "input_px": json.dumps(INPUT_PX), "preprocessing_digest": preprocessing_digest}
    helper.set_model_props(model, properties)
    onnx.save(model, str(path))
    return path


def spots_files(onnx_file: Path, number: int = 1, model: str = "spots", **changes) -> ModelFiles:
    """Return what a version directory of that file is filled with."""
    content = {
        "model": model,
        "number": number,
        "onnx": onnx_file,
        "run": RunReference(run_id=f"run{number}", commit=f"{number:064x}", model_sha256=sha256_file(onnx_file)),
        "labels": LABELS,
        "input_px": INPUT_PX,
        "operating": OperatingTable(score_threshold=0.5, max_objects=8),
        "max_batch": 4,
        "sampling_ratio": 0.0,
        "threads": 1,
        **changes,
    }
    return ModelFiles(**content)


def encoded(pixels: np.ndarray, suffix: str = "png") -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {"jpg": "jpeg"}.get(suffix, suffix))
    return buffer.getvalue()


def as_evaluated(files: ModelFiles, image: bytes | np.ndarray) -> list[FoundObject]:
    """Return what the modules of evaluation find in the image, in this process."""
    pixels = decode_image(image) if isinstance(image, bytes) else image
    network = OnnxModel(files.onnx, files.threads)
    prepared = to_input(pixels, network.input_px)
    boxes, scores = network.infer(prepared.pixels[np.newaxis])
    cut = files.operating
    found = decode(boxes[0], scores[0], prepared.scale, cut.score_threshold, cut.nms_iou, cut.max_objects)
    return found.named(network.labels)


def picture(*cells: tuple[int, int, int], size_px: tuple[int, int] = (128, 192)) -> np.ndarray:
    """Return a dark RGB image with one bright cell for each (row, column, channel) of the grid."""
    height, width = size_px
    pixels = np.full((height, width, 3), 20, np.uint8)
    cell_h, cell_w = height * CELL_PX // INPUT_PX[0], width * CELL_PX // INPUT_PX[1]
    for row, column, channel in cells:
        pixels[row * cell_h : (row + 1) * cell_h, column * cell_w : (column + 1) * cell_w, channel] = 250
    return pixels
