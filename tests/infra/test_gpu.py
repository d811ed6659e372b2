"""Four different answers of a driver; a compiled stand-in plays its library."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra import stand_in_nvml

DRIVER_NOT_LOADED = "9"  # NVML_ERROR_DRIVER_NOT_LOADED
GPU_IS_LOST = "15"  # NVML_ERROR_GPU_IS_LOST
ASK = """
import json
from dataclasses import asdict
from infra.gpu import ask_gpus
print(json.dumps(asdict(ask_gpus())))
"""


@pytest.fixture(scope="module")
def library_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_nvml.build(tmp_path_factory.mktemp("nvml"))


def ask(**environment: str) -> dict[str, Any]:
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    )
    content: dict[str, Any] = json.loads(answer.stdout)
    return content


def test_a_machine_without_the_library_says_no_driver() -> None:
    answer = ask()
    if answer["state"] == "devices":
        pytest.skip("this machine has an NVIDIA GPU")
    assert answer["state"] == "no library"
    assert "no NVIDIA driver" in answer["words"]


def test_a_library_that_answers_an_error_is_neither_no_library_nor_no_device(library_dir: Path) -> None:
    answer = ask(LD_LIBRARY_PATH=str(library_dir), FAKE_NVML_INIT=DRIVER_NOT_LOADED)
    assert answer["state"] == "error"
    assert "Driver Not Loaded" in answer["words"] or "error of the stand-in" in answer["words"]


def test_a_driver_whose_device_is_lost_is_an_error_too(library_dir: Path) -> None:
    answer = ask(**stand_in_nvml.environment(library_dir, *stand_in_nvml.devices_of("lost")), FAKE_NVML_DEVICES=GPU_IS_LOST)
    assert (answer["state"], answer["devices"]) == ("error", [])


def test_a_driver_that_sees_no_device_says_so(library_dir: Path) -> None:
    answer = ask(**stand_in_nvml.environment(library_dir))
    assert (answer["state"], answer["words"]) == ("no device", "the NVIDIA driver runs, but sees no device")


def test_devices_are_read_with_uuid_capability_and_memory(library_dir: Path) -> None:
    answer = ask(**stand_in_nvml.environment(library_dir, *stand_in_nvml.devices_of("000000000001")))
    assert answer["state"] == "devices"
    assert answer["words"] == "Stand-in T4 (cc75, 15 GiB), Stand-in A10 (cc86, 24 GiB)"
    assert answer["devices"][1] == {
        "index": 1,
        "uuid": "GPU-86000000-0000-4000-8000-000000000001",
        "name": "Stand-in A10",
        "capability": [8, 6],
        "memory_bytes": 24 * 2**30,
    }
