import pytest

from lakegate.engines.engine_key import BuildOptions, EngineKey, Profile, input_profiles
from tests.engines.random_model import declare

KEY = EngineKey(
    onnx_sha256="a" * 64,
    tensorrt="11.4.0.106",
    compute_capability="8.6",
    gpu_name="NVIDIA A10G",
    platform="linux-x86_64",
    profiles=input_profiles(declare()),
    recipe={"precision": "fp16", "recipe_version": "1"},
    calibration_digest="",
    options=BuildOptions(),
)
OTHER = {
    "onnx_sha256": "b" * 64,
    "tensorrt": "11.4.1.2",
    "compute_capability": "8.9",
    "gpu_name": "NVIDIA A10",
    "platform": "linux-aarch64",
    "profiles": {"images": Profile(min=(1, 3, 96, 96), opt=(1, 3, 96, 96), max=(1, 3, 96, 96))},
    "recipe": {"precision": "fp16", "recipe_version": "2"},
    "calibration_digest": "c" * 64,
    "options": BuildOptions(optimisation_level=5),
}


@pytest.mark.parametrize("field", sorted(EngineKey.model_fields))
def test_whatever_shapes_an_engine_changes_its_key(field):
    assert KEY.model_copy(update={field: OTHER[field]}).digest != KEY.digest


def test_the_file_names_capability_precision_tensorrt_and_key():
    assert KEY.file_name == f"engine-cc86-fp16-trt11.4.0.106-{KEY.digest[:8]}.plan"


def test_the_profile_is_the_declared_batch_at_the_size_of_the_pre_processing():
    assert input_profiles(declare()) == {"images": Profile(min=(1, 3, 96, 96), opt=(2, 3, 96, 96), max=(3, 3, 96, 96))}
