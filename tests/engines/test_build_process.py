"""How a build ends when TensorRT is absent, crashes, hangs or loses its parent; a module named tensorrt plays each part."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lakegate.engines import build_process
from lakegate.engines.build_process import BuildJob
from lakegate.engines.closeness import USUAL_LIMITS
from lakegate.engines.engine_key import BuildOptions, input_profiles
from lakegate.errors import EngineNotBuilt, SetupProblem
from tests.engines.random_model import declare

HANG = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import pathlib, sys
from lakegate.engines import build_process
build_process.probe(pathlib.Path(sys.argv[1]))
"""


def job(folder):
    return BuildJob(
        onnx=folder / "narrowed.onnx",
        reference=folder / "model.onnx",
        precision="fp16",
        profiles=input_profiles(declare()),
        options=BuildOptions(),
        timing_cache=folder / "a.timing",
        declaration=declare(),
        limits=USUAL_LIMITS["fp16"],
        pictures=(),
        threads=1,
    )


@pytest.fixture
def plays(tmp_path, monkeypatch):
    """Let ``import tensorrt`` in the build process run a line of Python."""

    def play(line):
        module = tmp_path / "modules" / "tensorrt.py"
        module.parent.mkdir()
        module.write_text(line + "\n")
        monkeypatch.setenv("PYTHONPATH", str(module.parent))
        return tmp_path / "build"

    return play


def test_without_tensorrt_the_probe_says_what_to_install(tmp_path):
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here")
    with pytest.raises(SetupProblem, match=r"TensorRT cannot be loaded .*pip install lakegate\[tensorrt\]"):
        build_process.probe(tmp_path)


def test_another_major_version_is_refused(plays):
    with pytest.raises(SetupProblem, match=r"TensorRT 9\.3\.0 came, expected 10 or 11"):
        build_process.probe(plays("__version__ = '9.3.0'"))


def test_tensorrt_without_a_gpu_is_told_apart_from_no_tensorrt(plays):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has an NVIDIA GPU")
    with pytest.raises(SetupProblem, match="torch sees no GPU"):
        build_process.probe(plays("__version__ = '11.4.0.106'"))


def test_a_crash_of_tensorrt_ends_the_build_and_names_the_signal(plays):
    folder = plays("import os, signal; print('last words', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(EngineNotBuilt, match=r"ended by the signal SIGSEGV; its last words:\n  last words"):
        build_process.build(folder, job(folder))
    assert not (folder / build_process.PLAN).exists()


def test_a_build_that_hangs_is_ended(plays):
    folder = plays(HANG)
    with pytest.raises(EngineNotBuilt, match="did not end within 4 s"):
        build_process.build(folder, job(folder), limit_s=4)
    assert not psutil.pid_exists(int((folder / "pid").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="a process dies with its parent on Linux only")
def test_a_build_dies_with_the_worker_that_started_it(plays):
    folder = plays(HANG)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(folder)], env=environment)
    try:
        build = _wait_for_pid(folder / "pid")
        parent.send_signal(signal.SIGKILL)
    finally:
        parent.kill()
        parent.wait()
    _gone, alive = psutil.wait_procs([build], timeout=30)
    assert alive == []


def _wait_for_pid(path):
    for _ in range(1200):
        if path.exists() and path.read_text():
            return psutil.Process(int(path.read_text()))
        time.sleep(0.05)
    raise AssertionError("the build process did not start")
