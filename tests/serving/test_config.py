import pytest

from lakegate.errors import ServingError
from lakegate.serving.config import NO_ENGINE, parse_config, python_config, tensorrt_config
from tests.serving.spots import spots_files, write_spots


@pytest.fixture
def spec(tmp_path):
    return spots_files(write_spots(tmp_path / "spots.onnx"), number=3).spec


def test_the_configuration_serves_one_release_in_bounded_dynamic_batches(spec):
    config = parse_config(python_config(spec), "config.pbtxt")
    assert (config.name, config.backend, config.max_batch_size) == ("spots", "python", 4)
    assert list(config.version_policy.specific.versions) == [3]
    assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
    assert config.parameters["lakefs_commit"].string_value == spec.commit
    assert config.parameters["labels"].string_value == '["red", "green", "blue"]'


def test_a_wrong_line_is_named_with_its_place(spec):
    with pytest.raises(ServingError, match=r'here:\d+:1 : .*"inference.ModelConfig" has no field named "max_batchsize"'):
        parse_config(python_config(spec) + "\nmax_batchsize: 3", "here")


def test_engines_are_chosen_by_capability_and_nothing_is_a_default(spec):
    engines = {"8.6": "engine-cc86-fp16.plan", "8.9": "engine-cc89-fp16.plan"}
    config = parse_config(tensorrt_config(spec, engines), "config.pbtxt")
    assert (config.platform, dict(config.cc_model_filenames)) == ("tensorrt_plan", engines)
    assert config.default_model_filename == NO_ENGINE
    assert config.model_warmup[0].inputs["images"].zero_data
    with pytest.raises(ServingError, match="at least one engine"):
        tensorrt_config(spec, {})
