"""Three different answers where there is no GPU to be had; a compiled stand-in plays the driver's library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER_NOT_LOADED = "9"  # NVML_ERROR_DRIVER_NOT_LOADED
ASK = "from infra.gpu import ask_gpus; answer = ask_gpus(); print(answer.state + '|' + answer.words)"


@pytest.fixture(scope="module")
def library_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gcc = shutil.which("gcc")
    if not gcc:
        pytest.skip("gcc is absent; it compiles the stand-in for NVML")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run([gcc, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
    return folder


def ask(**environment: str) -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    )
    return answer.stdout.strip().split("|")


def test_a_machine_without_the_library_says_no_driver() -> None:
    state, words = ask()
    if state == "devices":
        pytest.skip("this machine has an NVIDIA GPU")
    assert state == "no library"
    assert "no NVIDIA driver" in words


def test_a_library_that_answers_an_error_is_told_apart_from_no_library(library_dir: Path) -> None:
    state, words = ask(LD_LIBRARY_PATH=str(library_dir), FAKE_NVML_INIT=DRIVER_NOT_LOADED)
    assert state == "no device"
    assert "Driver Not Loaded" in words or "error of the stand-in" in words


def test_a_driver_that_sees_no_device_says_so(library_dir: Path) -> None:
    answer = ask(LD_LIBRARY_PATH=str(library_dir), FAKE_NVML_COUNT="0")
    assert answer == ["no device", "the NVIDIA driver runs, but sees no device"]


def test_devices_are_named_with_capability_and_memory(library_dir: Path) -> None:
    state, words = ask(LD_LIBRARY_PATH=str(library_dir), FAKE_NVML_COUNT="2")
    assert state == "devices"
    assert words == "Stand-in A10 (cc86, 24 GiB), Stand-in A10 (cc86, 24 GiB)"
