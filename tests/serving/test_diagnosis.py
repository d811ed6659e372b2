"""lakegate/serving/diagnosis.py: each failure is provoked on the real tritonserver where no GPU is needed for that."""

import json

import psutil
import pytest

from infra.processes import log_file, recorded
from infra.triton_environment import find_or_install
from infra.triton_server import service_name, start_triton
from lakegate.errors import ServingError
from lakegate.serving.config import NO_ENGINE, python_config, tensorrt_config
from lakegate.serving.diagnosis import check_version_folder, explain, explain_states
from lakegate.serving.interface import config_as_json
from lakegate.serving.model_files import write_version
from lakegate.serving.rollout import Stand, roll_out
from lakegate.serving.server import VersionState
from tests.serving.cases import CASES
from tests.serving.spots import spots_files, write_spots


@pytest.fixture(scope="module")
def stand(triton, triton_settings, repository):
    return Stand(triton, repository, log_file(triton_settings.home, service_name("staging")), load_timeout_s=20)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_spots(tmp_path_factory.mktemp("good") / "model.onnx")


def refused(stand, files, **changes):
    """Load ``files`` with a changed configuration; return the diagnosis of the server's refusal."""
    config = {**config_as_json(python_config(files.spec), "test"), **changes}
    with pytest.raises(ServingError) as caught:
        stand.server.load(files.model, stand.load_timeout_s, json.dumps(config))
    return explain(str(caught.value), files.model, files.number, stand.log)


@pytest.mark.services
def test_a_configuration_that_triton_refuses_without_a_reason_is_explained_from_its_log(stand, good):
    files = spots_files(good, 1, "miswritten")
    write_version(stand.repository, files)
    diagnosis = refused(stand, files, max_batchsize=4)
    assert "does not hold to Triton's" in diagnosis
    assert "max_batchsize: Cannot find field. (from its log)" in diagnosis


@pytest.mark.services
def test_a_tensorrt_model_on_a_server_without_that_backend_is_told(stand, good):
    files = spots_files(good, 1, "engine")
    write_version(stand.repository, files)
    text = tensorrt_config(files.spec, {"8.6": "engine-cc86.plan"})
    with pytest.raises(ServingError) as caught:
        stand.server.load("engine", 5, json.dumps(config_as_json(text, "test")))
    diagnosis = explain(str(caught.value), "engine", 1, stand.log)
    assert diagnosis.startswith("This server has no backend 'tensorrt' (it runs TensorRT engines only where it has a GPU)")


@pytest.mark.services
def test_a_version_that_is_not_on_the_disk_is_told(stand, good):
    files = spots_files(good, 1, "absent")
    write_version(stand.repository, files)
    diagnosis = refused(stand, files, version_policy={"specific": {"versions": ["7"]}})
    assert diagnosis.startswith("The folder of version 1 is not there: roll the release out again")


@pytest.mark.services
def test_a_version_folder_without_its_program_is_refused_before_triton_would_wait_for_ever(stand, good):
    files = spots_files(good, 1, "hollow")
    program = write_version(stand.repository, files) / "model.py"
    program.unlink()
    with pytest.raises(ServingError, match=r"has no model\.py.* stay LOADING for ever"):
        check_version_folder(stand.repository, "hollow", 1)
    with pytest.raises(ServingError, match=r"has no model\.py"):
        roll_out(stand, files, CASES, None)
    assert stand.server.versions("hollow") == {}


@pytest.mark.services
def test_a_version_that_stays_loading_is_told_with_what_helps_and_the_old_one_goes_on(stand, good, triton_settings):
    """Last of the real ones: the server can only be killed after it."""
    one, two = spots_files(good, 1, "stuck"), spots_files(good, 2, "stuck")
    roll_out(stand, one, CASES, None)
    (write_version(stand.repository, two) / "model.py").unlink()
    with pytest.raises(ServingError, match="did not end within 2 s"):
        stand.server.load("stuck", 2, json.dumps(config_as_json(python_config(two.spec), "test")))
    diagnosis = explain_states(stand.server.versions("stuck"), "stuck", 2, stand.log)
    assert "version 2 of stuck is still LOADING" in diagnosis and "SIGKILL" in diagnosis and str(stand.log) in diagnosis
    assert stand.server.ask("stuck", CASES[0].image, "http", False).release == 1

    server = psutil.Process(recorded(triton_settings.home, service_name("staging")).pid)
    for process in (server, *server.children(recursive=True)):
        process.kill()
    start_triton(triton_settings, find_or_install(print), "staging", print)
    assert stand.server.ask("stuck", CASES[0].image, "http", False).release == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            f"version 3 is at UNAVAILABLE state: unable to find '/models/m/3/{NO_ENGINE}' for model instance 'm_0'",
            "Release 3 has no engine for this server's GPU",
        ),
        (
            "Internal: unable to load plan file to auto complete config: /models/m/3/engine.plan",
            "was built with another TensorRT than this server's: build it",
        ),
        (
            "Version tag does not match. Note: Current Version: 236, Serialized Engine Version: 239)",
            "(built with 239, the server has 236)",
        ),
        (
            "plan file is not compatible with this version of TensorRT, expecting library version 10.7.0.23 got 11.4.0.106,",
            "(built with 11.4.0.106, the server has 10.7.0.23)",
        ),
        ("unable to find '/models/m/3/model.py' for model instance 'm_0'", "/models/m/3/model.py is missing: roll"),
        ("something\n  else", "Triton says: something else"),
    ],
)
def test_what_the_tensorrt_backend_says_is_translated(said, words):
    """Texts from its sources and from users' reports; not provoked, which would need a GPU."""
    assert words in explain(said, "m", 3)


def test_an_index_entry_without_state_and_reason_leads_to_the_log(tmp_path):
    log = tmp_path / "server.log"
    line = "Poll failed for model directory 'm': Invalid model name: Could not determine backend"
    log.write_text(f'E1121 x.cc:1] "{line}"\nE1121 other\n')
    diagnosis = explain_states({}, "m", 1, log)
    assert "does not name version 1 of m" in diagnosis and "Invalid model name" in diagnosis
    assert "is UNAVAILABLE: Triton says: unloaded" in explain_states({1: VersionState("UNAVAILABLE", "unloaded")}, "m", 1)
