"""The builder against the real bindings of both majors, each in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.bindings import MAJORS, cached, compile_stand_ins

ROOT = Path(__file__).resolve().parents[2]


def on_bindings(tmp_path, major, *words):
    """Run a program that imports the real bindings over libraries that do nothing."""
    if not cached(major).is_dir():
        pytest.skip(f"TensorRT {major}'s bindings are not fetched; `python -m tests.engines.bindings` does it")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is absent; it compiles the libraries under TensorRT's bindings")
    libraries = compile_stand_ins(tmp_path / "libraries", major)
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(libraries),
        "PYTHONPATH": os.pathsep.join([str(cached(major)), str(ROOT)]),
    }
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("major", MAJORS)
def test_the_builder_fits_the_real_bindings(tmp_path, major):
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "tests/engines/on_bindings.py")
    done = on_bindings(tmp_path, major, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 passed" in done.stdout
    assert "skipped" not in done.stdout
