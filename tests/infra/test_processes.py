import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra import processes
from lakegate.errors import SetupProblem

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN_WITH_CHILD = """
import signal, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def start_sleeper(home: Path, name: str = "sleeper", port: int = 0) -> processes.ProcessRecord:
    return processes.start(home, name, SLEEPER, processes.service_environment(home, {}), port)


def test_a_pid_that_now_belongs_to_another_process_is_not_taken_for_the_service(tmp_path: Path) -> None:
    record = start_sleeper(tmp_path)
    assert processes.living(tmp_path, "sleeper") == record
    older = dataclasses.replace(record, created_at_s=record.created_at_s - 3600)
    assert processes.find(older) is None
    processes.stop(tmp_path, "sleeper")


def test_a_killed_process_is_not_living_and_its_port_is_remembered(tmp_path: Path) -> None:
    port = processes.free_port()
    record = start_sleeper(tmp_path, port=port)
    os.kill(record.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(record.pid)], timeout=0.5)
    assert processes.living(tmp_path, "sleeper") is None
    assert processes.choose_port(tmp_path, "sleeper", 0, "SOME_PORT") == port


def test_stopping_ends_a_process_that_ignores_sigterm_and_its_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUBBORN_WITH_CHILD]
    record = processes.start(tmp_path, "stubborn", command, processes.service_environment(tmp_path, {}))
    processes.wait_for(record, tmp_path, lambda: "ready" in processes.log_tail(tmp_path, "stubborn"), 20)
    family = processes.marked(tmp_path)
    assert len(family) == 2
    processes.end_processes([psutil.Process(record.pid)], grace_s=0.5)
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_an_orphan_is_found_by_its_mark_after_its_parent_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUBBORN_WITH_CHILD]
    record = processes.start(tmp_path, "stubborn", command, processes.service_environment(tmp_path, {}))
    processes.wait_for(record, tmp_path, lambda: "ready" in processes.log_tail(tmp_path, "stubborn"), 20)
    os.kill(record.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while processes.living(tmp_path, "stubborn") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes.marked(tmp_path, "stubborn")) == 1
    assert processes.stop(tmp_path, "stubborn")
    assert processes.marked(tmp_path) == []


def test_a_taken_port_is_refused_with_port_and_owner(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupProblem, match=rf"port {port} is taken by pid {os.getpid()} \(.+\).*SOME_PORT"):
            processes.choose_port(tmp_path, "lakefs", port, "SOME_PORT")


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="cannot start /no/such/program"):
        processes.start(tmp_path, "nothing", ["/no/such/program"], {})


def test_a_service_that_ends_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('the disk is upside down')"]
    record = processes.start(tmp_path, "broken", command, processes.service_environment(tmp_path, {}))
    with pytest.raises(SetupProblem, match=r"ended while starting(.|\n)*the disk is upside down"):
        processes.wait_for(record, tmp_path, lambda: False, 20)


def test_a_service_does_not_inherit_credentials_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEGATE_LAKEFS_SECRET_ACCESS_KEY", "from the shell")
    monkeypatch.setenv("LAKEFS_INSTALLATION_SECRET_ACCESS_KEY", "from the shell")
    monkeypatch.setenv("PREFECT_API_KEY", "from the shell")
    assert "from the shell" not in processes.service_environment(tmp_path, {}).values()


def test_a_private_file_has_mode_0600_from_its_first_byte_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    for text in ("one", "two"):
        processes.write_private(path, text)
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert subprocess.run(["ls", "-A", str(path.parent)], capture_output=True, text=True).stdout.split() == ["key"]
