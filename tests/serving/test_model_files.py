import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lakegate
from lakegate.errors import ServingError
from lakegate.serving.config import CONFIG_FILE
from lakegate.serving.model_files import BACKEND, SERVED_MODULES, complete_models, fill, switch, switched_to, write_version
from tests.serving.spots import spots_files, write_spots

CHECKOUT = Path(__file__).resolve().parents[2]
FILL = """
import sys
from pathlib import Path
from lakegate.serving.model_files import fill
from tests.serving.spots import spots_files
fill(Path(sys.argv[1]), spots_files(Path(sys.argv[2]), number=int(sys.argv[3])))
"""


@pytest.fixture
def onnx_file(tmp_path):
    return write_spots(tmp_path / "spots.onnx")


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "serving" / "staging" / "models"


def imported_by(name):
    """Return the modules of Lakegate that a module imports, as files below ``lakegate/``."""
    root = Path(lakegate.__file__).parent
    tree = ast.parse((root / name).read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)) or name == "__init__.py"
        for inner in ast.walk(node)
    }
    modules = [
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and id(node) not in hidden
    ]
    inner = [module.split(".", 1)[1].replace(".", "/") for module in modules if module.startswith("lakegate.")]
    return {f"{path}.py" if (root / f"{path}.py").is_file() else f"{path}/__init__.py" for path in inner}


def test_what_a_version_directory_carries_imports_nothing_else_of_lakegate():
    needed = {name for module in (*SERVED_MODULES, BACKEND) for name in imported_by(module)}
    packages = {f"{Path(name).parent}/__init__.py" for name in needed if "/" in name}
    assert needed | packages <= set(SERVED_MODULES)


def test_filling_twice_changes_nothing(repository, onnx_file):
    fill(repository, spots_files(onnx_file))
    before = {path: path.stat().st_mtime_ns for path in (repository / "spots" / "1").rglob("*")}
    fill(repository, spots_files(onnx_file))
    assert {path: path.stat().st_mtime_ns for path in (repository / "spots" / "1").rglob("*")} == before
    assert (complete_models(repository), switched_to(repository, "spots")) == (["spots"], 1)


def test_another_candidate_of_the_same_number_replaces_the_first(repository, onnx_file, tmp_path):
    fill(repository, spots_files(onnx_file))
    other = spots_files(write_spots(tmp_path / "other.onnx", gain=0.5))
    fill(repository, other)
    assert (repository / "spots" / "1" / "model.onnx").read_bytes() == other.onnx.read_bytes()
    assert list((repository.parent / "aside").iterdir()) == []


@pytest.mark.parametrize(("place", "serves"), [("served-aside", 1), ("served-filled", 1)])
def test_a_killed_filling_leaves_the_old_release_and_can_be_run_again(repository, onnx_file, place, serves):
    fill(repository, spots_files(onnx_file))
    command = [sys.executable, "-c", FILL, str(repository), str(onnx_file), "2"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "LAKEGATE_FAILPOINT": place}
    killed = subprocess.run(command, env=environment, cwd=CHECKOUT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert switched_to(repository, "spots") == serves
    fill(repository, spots_files(onnx_file, number=2))
    assert switched_to(repository, "spots") == 2
    switch(repository, "spots", 1)
    assert switched_to(repository, "spots") == 1


def test_only_a_version_that_is_there_can_be_switched_to(repository, onnx_file):
    write_version(repository, spots_files(onnx_file))
    assert (complete_models(repository), switched_to(repository, "spots")) == ([], None)
    with pytest.raises(ServingError, match="is not a complete version"):
        switch(repository, "spots", 2)
    (repository / "spots" / "1" / CONFIG_FILE).write_text("max_batchsize: 3")
    with pytest.raises(ServingError, match='no field named "max_batchsize"'):
        switch(repository, "spots", 1)
