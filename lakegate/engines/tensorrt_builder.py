"""From an ONNX file to a TensorRT plan, for TensorRT 10 and 11. The module ``tensorrt`` is an argument: tests give others."""

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakegate.canonical import sha256_bytes
from lakegate.engines.engine_key import BuildOptions, BuildReport, Profile, TensorInfo
from lakegate.errors import EngineNotBuilt, SetupProblem

KNOWN_MAJORS = (10, 11)
INSTALL = "install it with `pip install lakegate[tensorrt]` on a machine with an NVIDIA GPU and driver"
# How the inspector calls a type differs between versions.
WORDS_OF_PRECISION = {"fp16": r"\b(fp16|float16|half)\b", "int8": r"\bint8\b"}


def load_tensorrt() -> Any:
    """Return the module ``tensorrt``.

    Raises:
        SetupProblem: it is not installed, its libraries do not load, or its major version is not known here.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise SetupProblem(f"TensorRT cannot be loaded ({error}); {INSTALL}") from error
    version = str(getattr(trt, "__version__", "unknown"))
    if version.split(".")[0] not in {str(major) for major in KNOWN_MAJORS}:
        raise SetupProblem(f"TensorRT {version} came, expected 10 or 11; {INSTALL}")
    return trt


@dataclass
class Log:
    """What TensorRT said while it built, by severity."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def failed(self, words: str) -> EngineNotBuilt:
        """Return an error with everything that TensorRT complained about."""
        return EngineNotBuilt(words + "".join(f"\n  - {line}" for line in self.errors))


def make_logger(trt: Any, log: Log) -> Any:
    """Return a logger of TensorRT's kind that keeps errors and warnings."""
    failures = (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)

    class Listener(trt.ILogger):  # type: ignore[misc]
        """TensorRT calls ``log``, also from its own threads."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            """Keep one line."""
            if severity in failures:
                log.errors.append(msg)
            elif severity == trt.ILogger.WARNING:
                log.warnings.append(msg)

    return Listener()


def build_plan(
    trt: Any, onnx: Path, profiles: Mapping[str, Profile], precision: str, options: BuildOptions, timing_cache: Path
) -> tuple[bytes, BuildReport]:
    """Build a strongly typed engine and load it once; the types are those of the ONNX file, no flag changes them.

    Args:
        trt: the module ``tensorrt``.
        onnx: the file, already in its precision.
        profiles: shapes by name of the input.
        precision: what the inspector must show in the finished engine.
        options: beside the network.
        timing_cache: measured kernels of earlier builds on this GPU; read where it is there, written anew.

    Raises:
        EngineNotBuilt: TensorRT refuses the file, the shapes or the network; every complaint is in the message.
    """
    log = Log()
    logger = make_logger(trt, log)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(trt, network, logger, onnx)
    config = _configure(trt, builder, options)
    _add_profiles(builder, network, config, profiles)
    cache = config.create_timing_cache(timing_cache.read_bytes() if timing_cache.exists() else b"")
    if not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)
        log.warnings.append(f"{timing_cache.name} is of another TensorRT or GPU; started an empty one")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise log.failed(f"TensorRT {trt.__version__} returned no plan for {onnx.name}")
    _keep_timing_cache(config, timing_cache)
    data = bytes(plan)
    return data, _inspect(trt, data, logger, log, profiles, precision)


def _parse(trt: Any, network: Any, logger: Any, onnx: Path) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(str(onnx)):
        return
    lines = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        where = f"node {error.node()} '{error.node_name()}' ({error.node_operator()})"
        lines.append(f"{where}: {error.desc()} [{error.code()}, {error.file()}:{error.line()}]")
    raise EngineNotBuilt(
        f"TensorRT {trt.__version__} does not take {onnx.name}; change the network or its export:"
        + "".join(f"\n  - {line}" for line in lines or ["it named no error"])
    )


def _configure(trt: Any, builder: Any, options: BuildOptions) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.builder_optimization_level = options.optimisation_level
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector names layers and types
    config.hardware_compatibility_level = getattr(trt.HardwareCompatibilityLevel, options.hardware_compatibility)
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    return config


def _add_profiles(builder: Any, network: Any, config: Any, profiles: Mapping[str, Profile]) -> None:
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    names = sorted(item.name for item in inputs)
    if names != sorted(profiles):
        raise EngineNotBuilt(f"the network takes {names}, the profiles are for {sorted(profiles)}; export the run again")
    profile = builder.create_optimization_profile()
    for name, shapes in profiles.items():
        profile.set_shape(name, shapes.min, shapes.opt, shapes.max)
    if config.add_optimization_profile(profile) < 0:
        words = "; ".join(f"{name}: {shapes.min} to {shapes.max}" for name, shapes in profiles.items())
        raise EngineNotBuilt(f"TensorRT does not take the profile {words}; compare [export] batch with the network's input")


def _keep_timing_cache(config: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(bytes(config.get_timing_cache().serialize()))
    aside.replace(path)


def _inspect(
    trt: Any, plan: bytes, logger: Any, log: Log, profiles: Mapping[str, Profile], precision: str
) -> BuildReport:
    """Load the plan where it was built, and look inside: what the builder returned need not be what was asked for."""
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise log.failed("the plan does not load on the machine that built it")
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    wrong = [name for name in names if engine.get_tensor_dtype(name) != trt.DataType.FLOAT]
    if wrong:
        raise log.failed(f"inputs and outputs must be float32, these are not: {', '.join(wrong)}")
    for name, wanted in profiles.items():
        came = [tuple(shape) for shape in engine.get_tensor_profile_shape(name, 0)]
        if came != [wanted.min, wanted.opt, wanted.max]:
            raise log.failed(f"the engine takes {name} in {came}, asked for {wanted.min}, {wanted.opt}, {wanted.max}")
    inspector = engine.create_engine_inspector()
    layers = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    require_precision(layers, precision)
    return BuildReport(
        tensorrt=str(trt.__version__),
        plan_sha256=sha256_bytes(plan),
        plan_bytes=len(plan),
        tensors=tuple(_tensor(engine, name) for name in names),
        layers=layers,
        warnings=tuple(log.warnings),
        duration_s=0.0,
    )


def _tensor(engine: Any, name: str) -> TensorInfo:
    return TensorInfo(
        name=name,
        mode=str(engine.get_tensor_mode(name)).rpartition(".")[2],
        dtype=str(engine.get_tensor_dtype(name)).rpartition(".")[2],
        shape=tuple(engine.get_tensor_shape(name)),
    )


def require_precision(layers: str, precision: str) -> None:
    """Raise ``EngineNotBuilt`` where no layer of the engine holds the precision that was asked for."""
    pattern = WORDS_OF_PRECISION.get(precision)
    if pattern is None:
        return
    found = json.loads(layers).get("Layers", [])
    if not any(re.search(pattern, json.dumps(layer), re.IGNORECASE) for layer in found):
        raise EngineNotBuilt(
            f"none of the engine's {len(found)} layers computes in {precision}, although the ONNX file does; "
            "this engine would be a slow one under a wrong name"
        )
