import os
import pickle

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from lakegate.canonical import sha256_file
from lakegate.engines.onnx_session import OnnxModel
from lakegate.errors import BadInput, SetupProblem, UnsafeModelFile

LABELS = {"labels": '["bright", "dark"]', "input_px": "[64, 96]"}


def write_model(path, metadata=LABELS, output_names=("boxes", "scores")):
    """A file with the inputs and outputs of a detector that returns its input's rows and a mean."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in output_names]
    nodes = [
        helper.make_node("ReduceMean", ["images"], [output_names[0]], keepdims=1),
        helper.make_node("Relu", ["images"], [output_names[1]]),
    ]
    graph = helper.make_graph(nodes, "small", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(path))
    return path


def test_a_model_tells_its_labels_size_and_digest_and_counts_what_it_does(tmp_path):
    path = write_model(tmp_path / "model.onnx")
    model = OnnxModel(path, threads=1)
    assert model.labels == ("bright", "dark")
    assert model.input_px == (64, 96)
    assert model.sha256 == sha256_file(path)
    assert (model.n_sessions, model.n_inferences) == (1, 0)
    for batch in (1, 3):
        model.infer(np.zeros((batch, 3, 64, 96), np.float32))
    assert (model.n_sessions, model.n_inferences) == (1, 4)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 64, 70), (0, 3, 64, 64)])
def test_a_batch_of_another_shape_is_refused_before_it_reaches_the_runtime(tmp_path, shape):
    model = OnnxModel(write_model(tmp_path / "model.onnx"))
    with pytest.raises(BadInput, match="multiples of 32"):
        model.infer(np.zeros(shape, np.float32))
    assert model.n_inferences == 0


def test_images_of_another_type_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"expected float32 images 0\.\.255, came uint8"):
        OnnxModel(write_model(tmp_path / "model.onnx")).infer(np.zeros((1, 3, 64, 64), np.uint8))


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_a_pickle_named_onnx_is_refused_and_does_not_run(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(pickle.dumps(Attack(tmp_path / "was-run")))
    with pytest.raises(UnsafeModelFile, match="it was not opened"):
        OnnxModel(path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x08\x0a\x12\x04"])
def test_what_is_no_onnx_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.onnx: not a usable ONNX file"):
        OnnxModel(path)


def test_an_absent_file_is_refused_by_name(tmp_path):
    with pytest.raises(BadInput, match=r"absent\.onnx: cannot be read"):
        OnnxModel(tmp_path / "absent.onnx")


def test_a_model_that_lakegate_did_not_export_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(BadInput, match=r"holds no 'labels'.*no metadata"):
        OnnxModel(write_model(tmp_path / "a.onnx", metadata={}))
    with pytest.raises(BadInput, match=r"expected input 'images' and outputs \['boxes', 'scores'\]"):
        OnnxModel(write_model(tmp_path / "b.onnx", output_names=("dets", "labels")))


def test_weights_beside_the_file_are_refused(tmp_path):
    path = write_model(tmp_path / "model.onnx")
    model = onnx.load(str(path))
    weight = onnx.numpy_helper.from_array(np.zeros(2000, np.float32), "weight")
    model.graph.initializer.append(weight)
    model.graph.node.append(helper.make_node("Relu", ["weight"], ["unused"]))
    onnx.save_model(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=10)
    with pytest.raises(BadInput, match="not a usable ONNX file"):
        OnnxModel(path)


def test_a_gpu_is_not_silently_replaced_by_the_cpu(tmp_path):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(SetupProblem, match="needs ONNX Runtime's CUDAExecutionProvider"):
        OnnxModel(write_model(tmp_path / "model.onnx"), device="cuda")
