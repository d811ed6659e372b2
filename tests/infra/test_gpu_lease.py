"""A GPU is checked again before each run, held once, and let go when its worker ends; processes play worker and flow run."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.gpu_lease import lock_file
from tests.infra import stand_in_nvml

WORKER = """
import subprocess, sys, time
flow_run = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], start_new_session=True)
print(flow_run.pid, flush=True)
flow_run.wait()
time.sleep(60)
"""
FLOW_RUN = """
import os, subprocess, sys
from infra.gpu_lease import hold_gpu
from infra.run_code import RunRefused
try:
    print(hold_gpu(sys.argv[1], os.environ["LAKEGATE_GPU_UUID"], wait_s=0.5), flush=True)
except RunRefused as refusal:
    print(refusal, flush=True)
    raise SystemExit(1)
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
subprocess.Popen(sleep)
os.execv(sleep[0], sleep)
"""


class Worker:
    """A worker on the stand-in for a GPU of 8.6, and the one flow run that it starts."""

    def __init__(self, library: Path, uuid: str, pool: str) -> None:
        own = {"LAKEGATE_GPU_UUID": uuid, "LAKEGATE_CACHE": str(library)}
        own |= stand_in_nvml.environment(library, f"Stand-in A10:8.6:24576:{uuid}")
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, FLOW_RUN, pool], stdout=subprocess.PIPE, text=True, env={**os.environ, **own}
        )
        self.flow_run = int(self.line())
        self.answer = self.line()

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_nvml.build(tmp_path_factory.mktemp("nvml"))


def alive(group: int) -> list[int]:
    """Return the processes of a group that are not zombies."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


def wait_for(n_processes: int, group: int) -> None:
    deadline = time.monotonic() + 20
    while len(alive(group)) != n_processes:
        assert time.monotonic() < deadline, f"of group {group} run {alive(group)}, not {n_processes}"
        time.sleep(0.05)


def test_a_gpu_is_held_once_and_let_go_with_all_processes_when_the_worker_is_killed(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = f"GPU-{secrets.token_hex(8)}"
    first = Worker(library, uuid, "gpu-cc86")
    assert first.answer == f"Stand-in A10 (cc86, 24 GiB), {uuid}"
    wait_for(2, first.flow_run)  # after the exec, with a child of its own
    second = Worker(library, uuid, "gpu-cc86")
    assert f"held by another process, pid {first.flow_run}" in second.answer
    second.end()

    os.kill(first.process.pid, signal.SIGKILL)
    wait_for(0, first.flow_run)
    first.end()
    third = Worker(library, uuid, "gpu-cc86")
    assert third.answer == first.answer
    os.kill(third.flow_run, signal.SIGKILL)  # the flow run alone: what it started on the GPU ends too
    wait_for(0, third.flow_run)
    third.end()
    monkeypatch.setenv("LAKEGATE_CACHE", str(library))
    assert lock_file(uuid).read_text().strip() == str(third.flow_run)


def test_a_gpu_of_another_capability_than_the_pool_promises_is_refused(library: Path) -> None:
    worker = Worker(library, f"GPU-{secrets.token_hex(8)}", "gpu-cc75")
    worker.end()
    assert "pool 'gpu-cc75' promises another compute capability" in worker.answer and "'gpu-cc86'" in worker.answer


def test_a_worker_without_a_gpu_of_its_own_is_refused(library: Path) -> None:
    worker = Worker(library, "", "gpu-cc86")
    worker.end()
    assert "LAKEGATE_GPU_UUID not set" in worker.answer
