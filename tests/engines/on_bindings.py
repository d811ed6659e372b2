"""The builder against one real set of TensorRT's bindings; ``test_tensorrt_builder.py`` runs this file once per major."""

import ast
from pathlib import Path

import pytest
import tensorrt_bindings as real

from lakegate.engines import engine_session, tensorrt_builder
from lakegate.engines.engine_session import EngineModel
from lakegate.engines.tensorrt_builder import Log, build_plan, make_logger
from lakegate.errors import EngineNotBuilt
from tests.engines.fake_tensorrt import OPTIONS, PLAN, PROFILES, FakeTensorrt, checked

# What stands behind each name in the sources that talk to TensorRT.
STANDS_FOR = {
    "trt": real,
    "builder": real.Builder,
    "network": real.INetworkDefinition,
    "parser": real.OnnxParser,
    "error": real.ParserError,
    "config": real.IBuilderConfig,
    "profile": real.IOptimizationProfile,
    "engine": real.ICudaEngine,
    "inspector": real.EngineInspector,
    "context": real.IExecutionContext,
    "_runtime": real.Runtime,
    "_engine": real.ICudaEngine,
}


def used(source):
    """Yield (owner, words, name) for each attribute of TensorRT's objects that a source uses."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = getattr(node.value, "id", None) or getattr(node.value, "attr", None)
        if owner in STANDS_FOR:
            yield STANDS_FOR[owner], f"{owner}.{node.attr}", node.attr
        elif isinstance(node.value, ast.Attribute) and getattr(node.value.value, "id", "") == "trt":
            yield getattr(real, owner), f"trt.{owner}.{node.attr}", node.attr


def missing(source):
    return [words for owner, words, name in used(source) if not hasattr(owner, name)]


def build(trt, tmp_path, precision="fp16", profiles=PROFILES):
    return build_plan(trt, tmp_path / "model.onnx", profiles, precision, OPTIONS, tmp_path / "cache" / "a.timing")


def test_every_attribute_that_the_builder_uses_exists_in_these_bindings():
    sources = [Path(module.__file__).read_text() for module in (tensorrt_builder, engine_session)]
    assert [missing(source) for source in sources] == [[], []]
    assert len({words for source in sources for _, words, _ in used(source)}) > 35


def test_the_walk_finds_the_flags_and_calibrators_that_tensorrt_11_dropped():
    source = "config.set_flag(trt.BuilderFlag.FP16); config.int8_calibrator = None; builder.create_network(0)"
    dropped = [] if real.__version__.startswith("10.") else ["config.int8_calibrator", "trt.BuilderFlag.FP16"]
    assert sorted(missing(source)) == dropped


def test_the_stand_in_refuses_what_the_real_class_does_not_have_and_calls_that_do_not_fit():
    config = checked(real.IBuilderConfig)
    with pytest.raises(AttributeError):
        config.no_such_option = 1
    with pytest.raises(TypeError, match="set_timing_cache"):
        config.set_timing_cache()
    with pytest.raises(TypeError, match="too many positional"):
        checked(real.Builder).create_optimization_profile(1)


def test_real_bindings_without_the_real_library_build_nothing(tmp_path):
    with pytest.raises(TypeError, match="nullptr"):
        build(real, tmp_path)


def test_a_plan_comes_with_its_tensors_layers_and_warnings(tmp_path):
    trt = FakeTensorrt()
    plan, report = build(trt, tmp_path)
    assert plan == PLAN
    assert report.tensorrt == real.__version__
    assert [(item.name, item.mode, item.dtype) for item in report.tensors] == [
        ("images", "INPUT", "FLOAT"),
        ("boxes", "OUTPUT", "FLOAT"),
        ("scores", "OUTPUT", "FLOAT"),
    ]
    assert report.warnings == ("a slow kernel",)


def test_the_network_is_strongly_typed_and_float32_is_not_rounded_to_tf32(tmp_path):
    trt = FakeTensorrt()
    build(trt, tmp_path)
    strongly_typed = 1 << int(real.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    trt.builder.create_network.assert_called_once_with(strongly_typed)
    trt.config.clear_flag.assert_called_once_with(real.BuilderFlag.TF32)
    trt.config.set_flag.assert_not_called()  # precision is in the file
    assert trt.config.hardware_compatibility_level == real.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY
    trt.profile.set_shape.assert_called_once_with("images", (1, 3, 64, 64), (2, 3, 64, 64), (3, 3, 64, 64))


def test_errors_of_the_parser_are_listed_by_node(tmp_path):
    error = {
        "code": "UNSUPPORTED_NODE",
        "desc": "no importer",
        "node": 7,
        "node_name": "Range_7",
        "node_operator": "Range",
        "file": "a.cpp",
        "line": 3,
    }
    trt = FakeTensorrt(parsed=False, errors=[error, {**error, "node": 9, "node_name": "Range_9"}])
    with pytest.raises(EngineNotBuilt, match=r"node 7 'Range_7' \(Range\): no importer.*\n.*node 9 'Range_9'"):
        build(trt, tmp_path)


def test_a_refused_profile_names_the_shapes(tmp_path):
    with pytest.raises(EngineNotBuilt, match=r"does not take the profile images: \(1, 3, 64, 64\) to \(3, 3, 64, 64\)"):
        build(FakeTensorrt(profile=-1), tmp_path)


def test_profiles_for_other_inputs_are_refused(tmp_path):
    with pytest.raises(EngineNotBuilt, match=r"takes \['images'\], the profiles are for \['pixels'\]"):
        build(FakeTensorrt(), tmp_path, profiles={"pixels": PROFILES["images"]})


def test_a_build_without_a_plan_says_what_tensorrt_complained_about(tmp_path):
    with pytest.raises(EngineNotBuilt, match=r"returned no plan for model\.onnx\n  - no kernel for Conv_1"):
        build(FakeTensorrt(plan=None), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_does_not_load_is_no_plan(tmp_path):
    with pytest.raises(EngineNotBuilt, match="does not load on the machine that built it"):
        build(FakeTensorrt(loads=False), tmp_path)


def test_an_engine_that_quietly_stayed_in_float32_is_refused(tmp_path):
    wide = '{"Layers": [{"Name": "fp16_by_name_only", "Outputs": [{"Format/Datatype": "Row major linear FP32"}]}]}'
    assert build(FakeTensorrt(layers=wide), tmp_path, "fp32")[0] == PLAN
    with pytest.raises(EngineNotBuilt, match="none of the engine's 1 layers computes in fp16"):
        build(FakeTensorrt(layers=wide), tmp_path, "fp16")
    with pytest.raises(EngineNotBuilt, match="computes in int8"):
        build(FakeTensorrt(), tmp_path, "int8")


def test_the_timing_cache_is_kept_read_again_and_replaced_where_it_does_not_fit(tmp_path):
    first, second, foreign = FakeTensorrt(), FakeTensorrt(), FakeTensorrt(cache_fits=False)
    build(first, tmp_path)
    build(second, tmp_path)
    assert (first.caches, second.caches) == ([b""], [b"measured kernels"])
    _, report = build(foreign, tmp_path)
    assert foreign.caches == [b"measured kernels", b""]
    assert "a.timing is of another TensorRT or GPU" in report.warnings[0]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.timing"]


def test_an_engine_of_another_tensorrt_is_refused_with_its_own_words():
    with pytest.raises(EngineNotBuilt, match=f"TensorRT {real.__version__} does not load this engine"):
        EngineModel(FakeTensorrt(loads=False), PLAN)


def test_the_logger_is_a_real_one_and_tells_errors_from_warnings():
    log = Log()
    logger = make_logger(real, log)
    for severity in (real.ILogger.INTERNAL_ERROR, real.ILogger.ERROR, real.ILogger.WARNING, real.ILogger.INFO):
        logger.log(severity, str(severity))
    assert len(log.errors) == 2
    assert len(log.warnings) == 1
