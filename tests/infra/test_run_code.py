"""Which code a flow run executes, on real git checkouts."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from infra.run_code import NOT_COMMITTED, UNUSED_DAYS, RunRefused, find_code


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
    return subprocess.run(["git", "-C", str(folder), *own, *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clean checkout with one commit of a package ``lakegate``."""
    folder = tmp_path / "checkout"
    (folder / "lakegate").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "lakegate" / "__init__.py").write_text("ANSWER = 1\n")
    (folder / ".gitignore").write_text("__pycache__/\n")
    (folder / "requirements.lock").write_text("numpy==2\n")
    git(folder, "init", "--quiet")
    save(folder)
    return folder


def save(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "a change")
    return git(folder, "rev-parse", "HEAD")


def test_a_run_without_a_tag_is_bound_to_head_and_stays_when_the_checkout_moves_on(checkout: Path, tmp_path: Path) -> None:
    code = find_code(checkout, tmp_path, ["cpu"])
    assert code.tag == f"commit:{git(checkout, 'rev-parse', 'HEAD')}"
    (checkout / "lakegate" / "__init__.py").write_text("ANSWER = 2\n")
    later = save(checkout)
    again = find_code(checkout, tmp_path, ["cpu", code.tag])
    assert again == code and (again.folder / "lakegate" / "__init__.py").read_text() == "ANSWER = 1\n"
    assert find_code(checkout, tmp_path, []).tag == f"commit:{later}"


def test_a_commit_that_no_branch_has_any_more_is_still_found(checkout: Path, tmp_path: Path) -> None:
    amended = git(checkout, "rev-parse", "HEAD")
    git(checkout, "commit", "--quiet", "--amend", "-m", "other words")
    assert find_code(checkout, tmp_path, [f"commit:{amended}"]).folder.name == amended


def test_sources_that_are_not_committed_run_in_place_and_say_so(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    (checkout / "models" / "notes.txt").write_text("a declaration is no code")
    assert find_code(checkout, tmp_path, []).tag == f"commit:{head}"
    (checkout / "lakegate" / "new.py").write_text("")
    code = find_code(checkout, tmp_path, [])
    assert (code.folder, code.tag) == (checkout, NOT_COMMITTED) and "not committed" in code.words
    assert find_code(checkout, tmp_path, [f"commit:{head}"]).folder == tmp_path / "code" / head
    git(checkout, "add", "--all")
    save(checkout)
    assert find_code(checkout, tmp_path, [NOT_COMMITTED]).folder == checkout  # a run that began so goes on so


def test_a_folder_without_git_runs_in_place(tmp_path: Path) -> None:
    code = find_code(tmp_path, tmp_path / "home", [])
    assert (code.folder, code.tag) == (tmp_path, NOT_COMMITTED) and "not in a git repository" in code.words


@pytest.mark.parametrize(("tag", "reason"), [("commit:" + "0" * 40, "does not have"), ("commit:main", "40 hexadecimal digits")])
def test_what_cannot_be_executed_is_refused_with_what_to_do(checkout: Path, tmp_path: Path, tag: str, reason: str) -> None:
    with pytest.raises(RunRefused, match=reason):
        find_code(checkout, tmp_path, [tag])
    assert list((tmp_path / "code").glob("*")) == []


def test_code_that_somebody_edited_in_its_folder_is_refused(checkout: Path, tmp_path: Path) -> None:
    code = find_code(checkout, tmp_path, [])
    (code.folder / "lakegate" / "__init__.py").write_text("ANSWER = 3\n")
    with pytest.raises(RunRefused, match="remove that folder"):
        find_code(checkout, tmp_path, [code.tag])


def test_another_lock_file_is_a_warning(checkout: Path, tmp_path: Path) -> None:
    code = find_code(checkout, tmp_path, [])
    assert code.warning == ""
    (checkout / "requirements.lock").write_text("numpy==3\n")
    assert "installed packages may differ" in find_code(checkout, tmp_path, [code.tag]).warning


def test_code_that_no_run_began_with_for_a_month_is_dropped(checkout: Path, tmp_path: Path) -> None:
    first = find_code(checkout, tmp_path, [])
    long_ago_s = time.time() - (UNUSED_DAYS + 1) * 24 * 3600
    os.utime(first.folder, (long_ago_s, long_ago_s))
    (checkout / "lakegate" / "__init__.py").write_text("ANSWER = 2\n")
    save(checkout)
    assert find_code(checkout, tmp_path, []).folder.is_dir()
    assert not first.folder.exists()
