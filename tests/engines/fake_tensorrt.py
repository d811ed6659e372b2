"""A ``tensorrt`` that builds nothing, derived from the real bindings: names, enums, constructors and calls cannot drift."""

import inspect
import re
from types import SimpleNamespace
from unittest.mock import create_autospec

import tensorrt_bindings as real

from lakegate.engines.engine_key import BuildOptions, Profile

PLAN = b"the plan of an engine"
LAYERS = '{"Layers": [{"Name": "Conv_1", "Outputs": [{"Name": "x", "Format/Datatype": "Row major linear FP16 format"}]}]}'
PROFILES = {"images": Profile(min=(1, 3, 64, 64), opt=(2, 3, 64, 64), max=(3, 3, 64, 64))}
OPTIONS = BuildOptions()


def signatures(method):
    """Read what a method takes from its docstring; the bindings write one line for each overload there."""
    found = []
    for line in (method.__doc__ or "").splitlines():
        match = re.match(r"(?:\d+\. )?\w+\(self: [^,)]+(?:, )?(.*)\) -> ", line.strip())
        if match:
            found.append(_signature(match.group(1)))
    return found


def _signature(words):
    parameters = []
    for part in re.split(r", (?=\w+: )", words) if words else []:
        name, _, kind = part.partition(": ")
        default = None if " = " in kind else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
    return inspect.Signature(parameters)


def checked(kind, **answers):
    """Return a stand-in of a real class whose calls must fit one of the real signatures."""
    made = create_autospec(kind, instance=True, spec_set=True)
    for name in dir(kind):
        method = getattr(kind, name)
        if not name.startswith("_") and callable(method):
            getattr(made, name).side_effect = _binder(name, method, answers.pop(name, None))
    for name, value in answers.items():
        setattr(made, name, value)
    return made


def _binder(name, method, answer):
    def call(*values, **named):
        problems = []
        for signature in signatures(method):
            try:
                signature.bind(*values, **named)
            except TypeError as problem:
                problems.append(str(problem))
            else:
                return answer(*values, **named) if callable(answer) else answer
        raise TypeError(f"{name}: {problems}")

    return call


class FakeTensorrt:
    """The module; ``answers`` change what its parts say: parsed, errors, profile, plan, loads, layers, cache_fits."""

    def __init__(self, **answers):
        said = {"parsed": True, "errors": [], "profile": 0, "plan": PLAN, "loads": True, "layers": LAYERS, "cache_fits": True}
        self.said = SimpleNamespace(**{**said, **answers})
        self.__version__ = real.__version__
        self.logger = None
        self.caches = []
        image = checked(real.ITensor, name="images", shape=(-1, 3, 64, 64))
        self.network = checked(real.INetworkDefinition, num_inputs=1, get_input=image)
        self.config = checked(
            real.IBuilderConfig,
            create_timing_cache=lambda data: self.caches.append(data) or checked(real.ITimingCache),
            set_timing_cache=lambda _cache, _ignore: self.said.cache_fits,
            get_timing_cache=checked(real.ITimingCache, serialize=b"measured kernels"),
            add_optimization_profile=lambda _profile: self.said.profile,
        )
        self.profile = checked(real.IOptimizationProfile)
        self.builder = checked(
            real.Builder,
            create_network=self.network,
            create_builder_config=self.config,
            create_optimization_profile=self.profile,
            build_serialized_network=lambda _network, _config: self._build(),
        )

    def __getattr__(self, name):
        return getattr(real, name)

    def Builder(self, logger):  # noqa: N802
        self.logger = logger
        return self.builder

    def _build(self):
        self.logger.log(real.ILogger.WARNING, "a slow kernel")
        if self.said.plan is None:
            self.logger.log(real.ILogger.ERROR, "no kernel for Conv_1")
        return self.said.plan

    def OnnxParser(self, network, logger):  # noqa: N802
        assert network is self.network
        assert isinstance(logger, real.ILogger)
        errors = [checked(real.ParserError, **error) for error in self.said.errors]
        return checked(
            real.OnnxParser, parse_from_file=self.said.parsed, num_errors=len(errors), get_error=lambda index: errors[index]
        )

    def Runtime(self, logger):  # noqa: N802
        assert isinstance(logger, real.ILogger)
        shapes = [real.Dims(shape) for shape in (PROFILES["images"].min, PROFILES["images"].opt, PROFILES["images"].max)]
        names = ["images", "boxes", "scores"]
        engine = checked(
            real.ICudaEngine,
            num_io_tensors=3,
            get_tensor_name=lambda index: names[index],
            get_tensor_dtype=real.DataType.FLOAT,
            get_tensor_mode=lambda name: real.TensorIOMode.INPUT if name == "images" else real.TensorIOMode.OUTPUT,
            get_tensor_shape=real.Dims((-1, 3, 64, 64)),
            get_tensor_profile_shape=shapes,
            create_engine_inspector=checked(real.EngineInspector, get_engine_information=lambda _format: self.said.layers),
        )
        return checked(real.Runtime, deserialize_cuda_engine=engine if self.said.loads else None)
