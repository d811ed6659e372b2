from pathlib import Path

import pytest

from infra.lakefs_binary import cached_path, existing_binary, find_or_build
from lakegate.errors import SetupProblem
from lakegate.settings import Settings


def write_program(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No lakeFS, no Go, an empty cache, no download; returns the only folder on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("LAKEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAKEGATE_DOWNLOAD", "no")
    monkeypatch.delenv("LAKEGATE_LAKEFS", raising=False)
    return folder


def test_a_named_program_comes_before_everything(bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(bare_machine / "lakefs", "lakefs version: 1.86.0")
    named = write_program(tmp_path / "mine" / "lakefs", "lakefs version: 1.99.0")
    monkeypatch.setenv("LAKEGATE_LAKEFS", str(named))
    assert find_or_build(Settings(), print).path == named


def test_a_named_program_that_does_not_exist_is_refused(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEGATE_LAKEFS", str(bare_machine / "absent"))
    with pytest.raises(SetupProblem, match=r"LAKEGATE_LAKEFS is .*absent, expected an executable file"):
        find_or_build(Settings(), print)


def test_a_program_on_the_path_comes_before_the_cached_one(bare_machine: Path) -> None:
    write_program(cached_path(), "lakefs version: dev")
    assert "cached" in find_or_build(Settings(), print).origin
    on_path = write_program(bare_machine / "lakefs", "lakefs version: 1.86.0")
    assert find_or_build(Settings(), print).path == on_path


def test_the_command_of_the_lakefs_python_package_is_not_taken_for_the_server(bare_machine: Path) -> None:
    write_program(bare_machine / "lakefs", "usage: lakefs [-h]")
    said: list[str] = []
    assert existing_binary(said.append) is None
    assert "not a lakeFS server" in said[0]


def test_where_every_way_fails_each_says_why_and_what_to_do(bare_machine: Path) -> None:
    said: list[str] = []
    with pytest.raises(SetupProblem, match=r"LAKEGATE_DOWNLOAD says no.*no `go` on the PATH.*Install Go"):
        find_or_build(Settings(), said.append)
    assert len(said) == 2
    assert list(bare_machine.iterdir()) == []


def test_a_build_that_fails_tells_the_words_of_go_and_leaves_nothing_in_the_cache(bare_machine: Path) -> None:
    go = bare_machine / "go"
    go.write_text("#!/bin/sh\necho 'go: no space left on device' >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(SetupProblem, match="no space left on device"):
        find_or_build(Settings(), print)
    assert list(cached_path().parent.iterdir()) == []
