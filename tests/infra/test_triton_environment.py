import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra import triton_environment
from infra.triton_environment import cached_path, existing_environment, find_or_install
from lakegate.errors import SetupProblem

ROOT = Path(__file__).resolve().parents[2]
NOTHING = "no-such-package-of-lakegate==1.0 --hash=sha256:" + "0" * 64
INSIDE = """
import cv2, numpy, onnxruntime, PIL, simplejpeg
print(numpy.__version__.split(".")[0], onnxruntime.__version__, simplejpeg.__version__, cv2.__version__)
"""


@pytest.fixture
def installed():
    try:
        return find_or_install(print)
    except SetupProblem as problem:
        pytest.skip(str(problem))


def run_inside(environment):
    command = [str(environment.folder / "bin" / "python3"), "-I", "-c", INSIDE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_backend_has_the_versions_that_training_uses_but_numpy_1(installed):
    import cv2
    import onnxruntime
    import simplejpeg

    words = run_inside(installed)
    assert words[0] == "1"
    assert words[1:] == [onnxruntime.__version__, simplejpeg.__version__, cv2.__version__]


@pytest.mark.usefixtures("installed")
def test_two_that_install_at_once_make_one_environment_that_works(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEGATE_CACHE", str(tmp_path))
    said = []
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: find_or_install(said.append), range(2))
    assert first == second == existing_environment()
    assert len(said) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [cached_path().name]
    assert run_inside(first)[0] == "1"
    assert os.access(first.program, os.X_OK)


@pytest.mark.usefixtures("installed")
def test_packages_that_are_not_to_be_had_leave_nothing_behind_and_say_why(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEGATE_CACHE", str(tmp_path / "cache"))
    lock = tmp_path / "requirements.lock"
    lock.write_text(NOTHING)
    monkeypatch.setattr(triton_environment, "LOCK_FILE", lock)
    with pytest.raises(SetupProblem, match="tritonserver's environment cannot be made"):
        find_or_install(print)
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_another_kind_of_machine_is_told_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEGATE_CACHE", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(SetupProblem, match="Linux aarch64, no models are served here"):
        find_or_install(print)
    monkeypatch.undo()
    monkeypatch.setattr(sys, "version_info", (3, 13, 1))
    if platform.libc_ver()[0] == "glibc" and platform.machine() == "x86_64":
        with pytest.raises(SetupProblem, match=r"use Python 3\.11 or 3\.12"):
            find_or_install(print)


def test_the_lock_has_digests_and_the_versions_of_the_projects_lock():
    locks = [(ROOT / name).read_text().splitlines() for name in ("requirements.lock", "infra/triton/requirements.lock")]
    pins = [[line.split()[0].split("==") for line in lock if line[:1].isalpha()] for lock in locks]
    project, ours = ({name.split("[")[0]: version for name, version in lock} for lock in pins)
    differing = {name for name, version in ours.items() if project.get(name) != version}
    assert differing == {"numpy", "nvidia-pytriton"}
    assert not any("://" in line for line in locks[1])
