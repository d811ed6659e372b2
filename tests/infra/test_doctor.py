import os
import socket
from pathlib import Path

import pytest

from infra import doctor
from lakegate.settings import Settings


def test_every_check_has_words_and_every_lack_has_advice(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, checkout=tmp_path, lakefs_port=0, prefect_port=0, reports_port=0, samples=tmp_path)
    checks = doctor.examine(settings)
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {"python", "git", "make", "disk", "memory", "lakefs", "sample images", "chromium", "GPU"} <= set(names)
    assert all(check.found for check in checks)
    assert all(check.advice for check in checks if check.state == "missing")


@pytest.mark.parametrize(("minor", "state"), [(10, "missing"), (11, "ok"), (13, "ok"), (14, "missing")])
def test_python_3_11_to_3_13_is_accepted(minor: int, state: str) -> None:
    assert doctor.check_python((3, minor, 1)).state == state


def test_a_program_that_is_needed_and_absent_is_missing_with_a_way_to_get_it() -> None:
    check = doctor.check_program("no-such-program-xyz", "needed for nothing")
    assert (check.state, "install `no-such-program-xyz`" in check.advice) == ("missing", True)


def test_a_taken_port_is_named_with_its_owner(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        check = doctor.check_port(tmp_path, "lakefs", port, "LAKEGATE_LAKEFS_PORT")
    assert check.state == "missing"
    assert f"port {port} is taken by pid {os.getpid()}" in check.found
    assert "LAKEGATE_LAKEFS_PORT" in check.advice


def test_absent_samples_are_a_note_that_says_what_the_demo_does_instead(tmp_path: Path) -> None:
    check = doctor.check_samples(tmp_path / "nothing")
    assert check.state == "note"
    assert "scikit-learn" in check.advice


def test_without_lakefs_and_go_the_doctor_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAKEGATE_CACHE", str(tmp_path))
    monkeypatch.delenv("LAKEGATE_LAKEFS", raising=False)
    check = doctor.check_lakefs()
    assert check.state == "note"
    assert "install Go" in check.advice
