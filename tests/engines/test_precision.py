from collections import Counter

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_static

from lakegate.engines.calibration import read_inputs
from lakegate.engines.closeness import USUAL_LIMITS, measure
from lakegate.engines.onnx_graphs import find_region, prepare
from lakegate.engines.onnx_session import OnnxModel
from lakegate.engines.precision import narrow
from lakegate.engines.quantisation import lint
from lakegate.errors import EngineNotBuilt
from lakegate.imaging import read_image
from tests.engines.random_model import declare

SIZE = (96, 96)


@pytest.fixture(scope="module")
def narrowed(exported, real_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrowed")
    return {
        name: narrow(exported.path, name, SIZE, folder / f"{name}.onnx", real_images if name == "int8" else ())
        for name in ("fp32", "fp16", "int8")
    }


def closeness(narrowed, exported, images, precision):
    pictures = [read_image(path) for path in images]
    return measure(
        OnnxModel(narrowed.path), OnnxModel(exported.path), pictures, declare(), USUAL_LIMITS[precision]
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_each_precision_follows_the_exported_model_on_real_images(narrowed, exported, real_images, precision):
    grid = closeness(narrowed[precision], exported, real_images, precision)
    assert grid.passed, grid.failures
    assert [row.batch for row in grid.rows] == [1, 2, 3]


def test_the_fewer_the_bits_the_larger_the_difference(narrowed, exported, real_images):
    off = [closeness(narrowed[name], exported, real_images, name).rows[0].score_error for name in ("fp32", "fp16", "int8")]
    assert off[0] < off[1] < off[2]
    assert off[1] > 0  # the file really computes in fewer bits


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_labels_and_provenance_survive_every_transformation(narrowed, exported, precision):
    before, after = OnnxModel(exported.path).metadata, OnnxModel(narrowed[precision].path).metadata
    assert before.items() <= after.items()
    assert after["precision"] == precision
    assert after["source_sha256"] == exported.sha256


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_one_size_is_fixed_the_batch_stays_free_and_ends_are_float32(narrowed, precision):
    graph = onnx.load(str(narrowed[precision].path)).graph
    assert [item.dim_param or item.dim_value for item in graph.input[0].type.tensor_type.shape.dim] == ["batch", 3, 96, 96]
    assert {item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)} == {TensorProto.FLOAT}
    assert {node.op_type for node in graph.node} & {"Range", "NonZero", "Loop", "If"} == set()


def test_the_same_file_comes_out_twice(narrowed, exported, real_images, tmp_path):
    for name in ("fp16", "int8"):
        assert narrow(exported.path, name, SIZE, tmp_path / "again.onnx", real_images).sha256 == narrowed[name].sha256


def test_fp16_halves_the_weights_and_leaves_boxes_and_normalisation_in_float32(narrowed):
    graph = onnx.load(str(narrowed["fp16"].path)).graph
    kinds = {item.name: item.data_type for item in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert {kinds[node.input[1]] for node in convolutions} == {TensorProto.FLOAT16}
    assert narrowed["fp16"].path.stat().st_size < 0.6 * narrowed["fp32"].path.stat().st_size
    casts = [node for node in graph.node if node.name.startswith("border_")]
    assert len(casts) == narrowed["fp16"].report["n_casts"] == 3  # in after the normalisation, out of both heads
    fp16 = {name for node in graph.node for name in node.output if name.endswith("__narrow")}
    for kind in ("Div", "Sub", "Sigmoid", "Softplus"):
        assert not any(fp16 & set(node.input) for node in graph.node if node.op_type == kind)


def test_a_weight_beyond_float16_is_refused_by_name(exported, tmp_path):
    model = onnx.load(str(exported.path))
    weight = next(item for item in model.graph.initializer if item.name == "classes.weight")
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] = 1e6
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(tmp_path / "large.onnx"))
    with pytest.raises(EngineNotBuilt, match=r"weight classes.weight holds 1e\+06, float16 ends at 65504"):
        narrow(tmp_path / "large.onnx", "fp16", SIZE, tmp_path / "out.onnx")


def test_a_network_without_convolutions_cannot_be_narrowed(tmp_path):
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    out = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    graph = helper.make_graph([helper.make_node("Relu", ["images"], ["boxes"])], "small", [image], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(tmp_path / "a.onnx"))
    for precision in ("fp16", "int8"):
        with pytest.raises(EngineNotBuilt, match=precision):
            narrow(tmp_path / "a.onnx", precision, SIZE, tmp_path / "out.onnx")


def test_int8_is_symmetric_and_keeps_the_heads_in_float32(narrowed):
    model = onnx.load(str(narrowed["int8"].path))
    assert lint(model) == []
    pairs = Counter(node.op_type for node in model.graph.node)
    assert pairs["QuantizeLinear"] == pairs["DequantizeLinear"] == narrowed["int8"].report["n_pairs"] > 20
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    heads = [node for node in model.graph.node if node.op_type == "Conv" and made_by.get(node.input[1]) != "DequantizeLinear"]
    assert len(heads) == len(narrowed["int8"].report["heads_kept"]) == 2


def test_the_linter_names_what_tensorrt_would_refuse(exported, real_images, tmp_path):
    prepare(exported.path, SIZE, tmp_path / "prepared.onnx")
    images = read_inputs(real_images, SIZE)

    class Reader:
        def get_next(self):
            batch = next(images, None)
            return None if batch is None else {"images": batch}

    quantize_static(str(tmp_path / "prepared.onnx"), str(tmp_path / "usual.onnx"), Reader())  # with the tool's defaults
    problems = " ".join(lint(onnx.load(str(tmp_path / "usual.onnx"))))
    assert "quantisation must be symmetric" in problems
    assert "a bias in int32" in problems
    assert lint(onnx.load(str(exported.path))) == ["no pair of QuantizeLinear and DequantizeLinear is in the graph"]


def test_int8_without_images_is_refused(exported, tmp_path):
    with pytest.raises(EngineNotBuilt, match="no calibration images came"):
        narrow(exported.path, "int8", SIZE, tmp_path / "out.onnx")


def test_the_region_ends_where_boxes_begin(exported, tmp_path):
    model = prepare(exported.path, SIZE, tmp_path / "prepared.onnx")
    region = find_region(model)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert len(region.compute) == 17
    assert [kinds[name] for name in region.heads] == ["Conv", "Conv"]
    assert {kinds[name] for name in region.between} == {"Relu", "Add", "Resize"}
