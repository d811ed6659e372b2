"""Which code ran: found again by its commit, and dirty only where code that computes differs."""

import subprocess
from pathlib import Path

import pytest

from lakegate.code_version import read_code_version


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=tester", "-c", "user.email=tester@localhost", *words]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("lakegate/__init__.py", "lakegate/matching.py", "tasks/training.py", "flows/train_model.py", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return tmp_path


def test_committed_code_may_be_released(checkout: Path) -> None:
    code = read_code_version(checkout)
    assert (len(code.commit), code.is_dirty, code.patch, code.problem) == (40, False, "", "")


def test_a_changed_source_is_dirty_and_its_patch_is_kept(checkout: Path) -> None:
    before = read_code_version(checkout)
    (checkout / "lakegate" / "matching.py").write_text("# lakegate/matching.py\nTHRESHOLD = 0.4\n")
    code = read_code_version(checkout)
    assert code.is_dirty and "+THRESHOLD = 0.4" in code.patch and "not committed" in code.problem
    assert code.digest != before.digest and code.commit == before.commit


def test_a_new_source_that_git_does_not_know_is_dirty_too(checkout: Path) -> None:
    (checkout / "tasks" / "secret.py").write_text("# new\n")
    code = read_code_version(checkout)
    assert code.is_dirty and "tasks/secret.py" in code.patch


def test_declarations_and_documentation_are_no_code(checkout: Path) -> None:
    before = read_code_version(checkout)
    (checkout / "README.md").write_text("# other\n")
    (checkout / "datasets" / "cells").mkdir(parents=True)
    (checkout / "datasets" / "cells" / "dataset.toml").write_text('task = "detection"\n')
    assert read_code_version(checkout) == before


def test_sources_without_git_cannot_be_released(tmp_path: Path) -> None:
    (tmp_path / "lakegate").mkdir()
    (tmp_path / "lakegate" / "__init__.py").write_text("")
    assert "not in a git repository" in read_code_version(tmp_path).problem
