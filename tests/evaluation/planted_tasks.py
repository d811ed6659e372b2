"""Classifiers and segmenters with known answers: ONNX models that look their output up by an image's number, or full caches."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lakegate.canonical import sha256_file
from lakegate.declarations import ModelDeclaration, ModelTask
from lakegate.engines.onnx_session import OnnxModel
from lakegate.evaluation.prediction_cache import PredictionCache
from lakegate.evaluation.predictions import ModelUnderTest, prediction_key
from lakegate.task_types.registry import task_type
from tests.evaluation.planted import SIDE_PX, World


def lookup_model(
    world: World, run_id: str, task: ModelTask, answers: Mapping[int, np.ndarray], labels: tuple[str, ...]
) -> ModelUnderTest:
    """A model that gives ``answers[image number]`` as its probabilities; all answers have one shape."""
    path = world.folder / f"{run_id}.onnx"
    _write_lookup(path, task, np.stack([answers[number] for number in range(max(answers) + 1)]).astype(np.float32), labels)
    architecture = {"input_px": [SIDE_PX, SIDE_PX], "task": task}
    declaration = ModelDeclaration.model_validate({"data": {"train": ["planted"]}, "architecture": architecture})

    def load(threads: int) -> OnnxModel:
        world.loads.append(OnnxModel(path, threads))
        return world.loads[-1]

    digest, size = sha256_file(path), path.stat().st_size
    return ModelUnderTest("planted", run_id, digest, declaration, labels, load, size_bytes=size, task=task)


def cached_model(
    world: World, run_id: str, task: ModelTask, predictions: Mapping[str, Any], labels: tuple[str, ...]
) -> ModelUnderTest:
    """A model without a file whose predictions, by the SHA-256 of the image, are all in the cache."""
    declaration = ModelDeclaration.model_validate({"data": {"train": ["planted"]}, "architecture": {"task": task}})

    def load(threads: int) -> OnnxModel:
        raise AssertionError(f"{run_id} must not run: all its predictions are cached ({threads} threads)")

    model = ModelUnderTest("planted", run_id, run_id * 8, declaration, labels, load, task=task)
    cache = PredictionCache(world.settings.cache_dir, prediction_key(model))
    cache.write({sha256: task_type(task).pack(prediction) for sha256, prediction in predictions.items()})
    return model


def _write_lookup(path: Path, task: str, table: np.ndarray, labels: tuple[str, ...]) -> None:
    constants = {
        "axes": np.array([2, 3]),
        "weights": np.array([[1.0], [256.0], [0.0]], np.float32),
        "table": table,
        "flat": np.array([-1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["colour"], keepdims=0),
        helper.make_node("Round", ["colour"], ["whole"]),
        helper.make_node("MatMul", ["whole", "weights"], ["number"]),
        helper.make_node("Cast", ["number"], ["integer"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["integer", "flat"], ["row"]),
        helper.make_node("Gather", ["table", "row"], ["probabilities"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", *table.shape[1:]])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "lookup", [images], [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    properties = {"labels": json.dumps(labels), "input_px": json.dumps([SIDE_PX, SIDE_PX]), "task": task}
    helper.set_model_props(model, properties)
    onnx.save(model, path)
