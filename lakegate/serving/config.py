"""``config.pbtxt``: emitted from protobuf's own message, and read back through it, which names what Triton would not."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakegate.errors import ServingError
from lakegate.serving.contract import BOXES, ENCODED, IMAGE, LABELS, N_OBJECTS, SCORES, ServedSpec

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

CONFIG_FILE = "config.pbtxt"
NO_ENGINE = "NO_ENGINE_FOR_THIS_GPU"
"""Default file of a TensorRT model that is never there: without it Triton falls back to some engine on another GPU."""

INSTANCES = 2
"""Processes per model. With one, tritonserver 2.51 stops handing out requests while its queue is full [ran]: at 2.5 times the
capacity it answered 14 to 30 requests/s of the 90 that it can; with two it answers as many as it can."""

MAX_QUEUE = 64
QUEUE_DELAY_US = 2000
QUEUE_TIMEOUT_US = 10_000_000


def python_config(spec: ServedSpec) -> str:
    """Return the configuration that serves exactly ``spec.release`` with the Python backend and ONNX Runtime on the CPU.

    Requests wait in a queue of ``MAX_QUEUE`` for at most ten seconds; what comes beyond is refused at once.
    """
    from tritonclient.grpc import model_config_pb2 as pb

    config = pb.ModelConfig(name=spec.model, backend="python", max_batch_size=spec.max_batch)
    config.input.add(name=ENCODED, data_type=pb.TYPE_STRING, dims=[1], optional=True)
    config.input.add(name=IMAGE, data_type=pb.TYPE_UINT8, dims=[-1, -1, 3], optional=True, allow_ragged_batch=True)
    config.output.add(name=BOXES, data_type=pb.TYPE_FP32, dims=[spec.max_objects, 4])
    config.output.add(name=SCORES, data_type=pb.TYPE_FP32, dims=[spec.max_objects])
    config.output.add(name=LABELS, data_type=pb.TYPE_INT32, dims=[spec.max_objects])
    config.output.add(name=N_OBJECTS, data_type=pb.TYPE_INT32, dims=[1])
    config.instance_group.add(count=INSTANCES, kind=pb.ModelInstanceGroup.KIND_CPU)
    _add_batching(config, spec)
    return _checked(config)


def tensorrt_config(spec: ServedSpec, engines: Mapping[str, str]) -> str:
    """Return the configuration of the bare network as TensorRT engines; not verified on a GPU.

    Args:
        spec: the release; pre- and post-processing are the caller's.
        engines: file name for each compute capability, as {"8.6": "engine-cc86-fp16-….plan"}.

    Raises:
        ServingError: no engine is given.
    """
    from tritonclient.grpc import model_config_pb2 as pb

    if not engines:
        raise ServingError(f"{spec.model}: expected at least one engine for TensorRT, came none; build one first")
    height, width = spec.input_px
    config = pb.ModelConfig(name=spec.model, platform="tensorrt_plan", max_batch_size=spec.max_batch)
    config.input.add(name="images", data_type=pb.TYPE_FP32, dims=[3, height, width])
    config.output.add(name="boxes", data_type=pb.TYPE_FP32, dims=[-1, 4])
    config.output.add(name="scores", data_type=pb.TYPE_FP32, dims=[-1, len(spec.labels)])
    config.default_model_filename = NO_ENGINE
    for capability, file in engines.items():
        config.cc_model_filenames[capability] = file
    config.instance_group.add(count=1, kind=pb.ModelInstanceGroup.KIND_GPU)
    warm_up = config.model_warmup.add(name="blank", batch_size=1)
    warm_up.inputs["images"].data_type = pb.TYPE_FP32
    warm_up.inputs["images"].dims.extend([3, height, width])
    warm_up.inputs["images"].zero_data = True
    _add_batching(config, spec)
    return _checked(config)


def parse_config(text: str, source: str) -> "ModelConfig":
    """Read a configuration as tritonserver does, but say what is wrong with it; ``source`` names it in the message.

    Raises:
        ServingError: protobuf refuses it; line, column and the field's name are in the message.
    """
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    try:
        return text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise ServingError(f"{source}:{error}; correct the line, or roll the release out again") from error


def parameters_of(spec: ServedSpec) -> dict[str, str]:
    """Return what the configuration says about the release, for people and for clients; lists are JSON."""
    return {
        "release": str(spec.release),
        "run_id": spec.run_id,
        "lakefs_commit": spec.commit,
        "model_sha256": spec.model_sha256,
        "preprocessing_digest": spec.preprocessing_digest,
        "labels": json.dumps(spec.labels, ensure_ascii=False),
        "score_threshold": str(spec.score_threshold),
        "nms_iou": str(spec.nms_iou),
        "sampling_ratio": str(spec.sampling_ratio),
        "samples": spec.samples,
    }


def _add_batching(config: Any, spec: ServedSpec) -> None:
    """Exactly one version, dynamic batches, a bounded queue, and what the release is."""
    config.version_policy.specific.versions.append(spec.release)
    config.dynamic_batching.max_queue_delay_microseconds = QUEUE_DELAY_US
    policy = config.dynamic_batching.default_queue_policy
    policy.max_queue_size, policy.default_timeout_microseconds = MAX_QUEUE, QUEUE_TIMEOUT_US
    for name, value in parameters_of(spec).items():
        config.parameters[name].string_value = value


def _checked(config: "ModelConfig") -> str:
    from google.protobuf import text_format

    text: str = text_format.MessageToString(config, as_utf8=True)
    parse_config(text, f"{CONFIG_FILE} of {config.name}")
    return text
