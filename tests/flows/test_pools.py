"""A second host with two GPUs beside Ada's machine: the right GPU, a worker killed on it, and code that stays the same."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from infra import processes, zombies
from infra.gpu import Gpu
from infra.gpu_lease import lock_file
from infra.prefect_api import PrefectApi
from infra.workers import WorkerSpec
from lakegate.lake.client import LakeClient
from lakegate.registry import runs
from lakegate.training.record import RunRecord
from tests.flows.conftest import EASY, REPOSITORY, Person
from tests.infra import stand_in_nvml
from tests.squares import declare_model, make_checkout, write_squares

pytestmark = pytest.mark.services

MODEL = "ampere-finder"
EPOCHS = 80
CRASHED_WITHIN_S = 150
COPIED = ("lakegate", "tasks", "flows", "deployments", "prefect.yaml", ".gitignore")
FLOW = """
from answers import ANSWER
from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.states import Completed

@flow(name="wait-answer", persist_result=False)
def wait_answer():
    '''Wait, then answer with what this commit says.'''
    suspend_flow_run(timeout=600)
    return Completed(message=ANSWER)
"""
DEPLOYMENT = """
  - name: gpu-cc75
    entrypoint: flows/wait_answer.py:wait_answer
    pull: *prepared
    work_pool: {name: gpu-cc75, work_queue_name: default}
"""


class Host:
    """Another machine of the team: a git checkout, a state folder, two GPUs, and `lakegate worker`."""

    def __init__(self, person: Person, folder: Path) -> None:
        self.person, self.checkout, self.home = person, folder / "checkout", folder / "home"
        self.library = stand_in_nvml.build(folder)
        self.devices = stand_in_nvml.devices_of(secrets.token_hex(6))
        turing, ampere = (device.rsplit(":", 1)[1] for device in self.devices)
        self.turing = WorkerSpec("gpu-cc75", Gpu(0, turing, "Stand-in T4", (7, 5), 0))
        self.ampere = WorkerSpec("gpu-cc86", Gpu(1, ampere, "Stand-in A10", (8, 6), 0))
        self.api = PrefectApi(person.settings.prefect_api_url)

    def clone(self) -> None:
        """Make a checkout that is clean, and a state folder that knows the team's services."""
        self.checkout.mkdir(parents=True)
        for name in COPIED:
            copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
            copy(REPOSITORY / name, self.checkout / name)
        for name in ("datasets", "models"):
            shutil.copytree(self.person.checkout / name, self.checkout / name)
        (self.checkout / "flows" / "wait_answer.py").write_text(FLOW)
        with (self.checkout / "prefect.yaml").open("a") as file:
            file.write(DEPLOYMENT)
        self.git("init", "--quiet")
        self.commit("first")
        for name in ("stack.json", "secrets/lakefs.json"):
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.person.home / name, self.home / name)
        shutil.copytree(self.person.home / "keys", self.home / "keys")

    def commit(self, answer: str) -> str:
        """Commit another answer; return the commit."""
        (self.checkout / "answers.py").write_text(f'ANSWER = "{answer}"\n')
        self.git("add", "--all")
        self.git("-c", "user.name=ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", answer)
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", "-C", str(self.checkout), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def starts_workers(self) -> "subprocess.Popen[str]":
        own = {"LAKEGATE_HOME": str(self.home), "LAKEGATE_CHECKOUT": str(self.checkout), "LAKEGATE_DEVICE": "cpu"}
        environment = self.person.environment(**own, **stand_in_nvml.environment(self.library, *self.devices))
        command = [str(Path(sys.executable).parent / "lakegate"), "worker"]
        with (self.home / "worker.log").open("w") as log:
            return subprocess.Popen(command, cwd=self.checkout, env=environment, stdout=log, stderr=log, text=True)

    def person_trains(self) -> "subprocess.Popen[str]":
        command = [str(Path(sys.executable).parent / "lakegate"), "model", "train", MODEL]
        folder, environment = self.person.checkout, self.person.environment()
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def says(self) -> str:
        return (self.home / "worker.log").read_text()

    def worker(self, spec: WorkerSpec) -> processes.ProcessRecord:
        found = processes.living(self.home, spec.service)
        assert found, self.says()
        return found

    def engine(self, spec: WorkerSpec) -> psutil.Process:
        """Return the process of the one flow run that the worker executes."""
        (child,) = psutil.Process(self.worker(spec).pid).children()
        return child

    def asks(self, deployment: str, tags: tuple[str, ...] = ()) -> str:
        """Start a flow run; return its id."""
        found = self.api.get(f"deployments/name/{deployment}")
        assert found, self.says()
        run = self.api.post(f"deployments/{found['id']}/create_flow_run", {"tags": list(tags)})
        return str(run["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"flow_runs/{run_id}")
        return found

    def waits_for(self, run_id: str, *states: str) -> dict[str, Any]:
        wait_until(lambda: self.run(run_id)["state"]["name"] in states, 90, lambda: str(self.run(run_id)["state"]))
        return self.run(run_id)

    def resumes(self, run_id: str) -> None:
        assert self.api.post(f"flow_runs/{UUID(run_id)}/resume", {})["status"] == "ACCEPT"


def wait_until(is_so: Callable[[], bool], timeout_s: float, words: Callable[[], str] = str) -> float:
    """Wait; return for how many seconds."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < timeout_s, f"not within {timeout_s} s: {words()}"
        time.sleep(0.2)
    return time.monotonic() - started


def is_free(spec: WorkerSpec) -> bool:
    assert spec.gpu
    with lock_file(spec.gpu.uuid).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.fixture(scope="module")
def host(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The second host, whose two workers are ready."""
    make_checkout(person.checkout, ["pooled"], limits="")
    declare_model(person.checkout, MODEL, ["pooled"], EASY, epochs=EPOCHS)
    with (person.checkout / "models" / MODEL / "model.toml").open("a") as file:
        file.write('[resources]\ncompute_capability = "8.6"\n')
    source = write_squares(person.folder / "pooled", range(24))
    person.gets("data", "publish", "pooled", "--source", str(source), "--version", "v1", "--local")
    refused = person.types("model", "train", MODEL)
    assert refused.code == 1 and 'no work pool that fits compute_capability = "8.6"' in refused.err

    one = Host(person, tmp_path_factory.mktemp("host"))
    one.clone()
    supervisor = one.starts_workers()
    try:
        wait_until(lambda: "ready" in one.says() or supervisor.poll() is not None, 120, one.says)
        yield one
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(60) == 0, one.says()
        assert processes.marked(one.home) == []
        assert one.api.every("work_pools/gpu-cc86/workers/filter", {}) == []  # nothing is sent to who is gone
    finally:
        if supervisor.poll() is None:
            supervisor.kill()
            supervisor.wait()
        processes.end_processes(processes.marked(one.home))


@pytest.fixture
def quick_zombies(person: Person) -> Iterator[None]:
    """A run without a sign of life is Crashed after 60 s instead of 100, two heartbeats instead of three."""
    api = PrefectApi(person.settings.prefect_api_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEGATE_ZOMBIE_S", str(zombies.SHORTEST_S))
        zombies.ensure_zombie_automation(api)
    yield
    zombies.ensure_zombie_automation(api)


@pytest.mark.usefixtures("quick_zombies")
def test_a_killed_worker_loses_neither_the_gpu_nor_the_training(host: Host) -> None:
    training = host.person_trains()
    wait_until(lambda: any((host.home / "runs").glob("*/checkpoint*")) or training.poll() is not None, 90, host.says)
    engine, worker = host.engine(host.ampere), host.worker(host.ampere)
    assert host.ampere.gpu and engine.environ()["CUDA_VISIBLE_DEVICES"] == host.ampere.gpu.uuid
    assert lock_file(host.ampere.gpu.uuid).read_text().strip() == str(engine.pid)
    assert not is_free(host.ampere) and is_free(host.turing)

    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE, 5)
    killed_at = time.monotonic()
    wait_until(lambda: is_free(host.ampere), 5)

    first = host.git("rev-parse", "HEAD")
    stays = host.asks("wait-answer/gpu-cc75")
    host.waits_for(stays, "Suspended")
    wait_until(lambda: is_free(host.turing), 20)  # who waits for a person holds no GPU
    second = host.commit("second")
    host.resumes(stays)
    moves, lost = host.asks("wait-answer/gpu-cc75"), host.asks("wait-answer/gpu-cc75", (f"commit:{'0' * 40}",))
    stayed = host.waits_for(stays, "Completed", "Failed", "Crashed")
    assert (stayed["state"]["message"], f"commit:{first}" in stayed["tags"]) == ("first", True)
    assert f"commit:{second}" in host.waits_for(moves, "Suspended")["tags"]
    host.resumes(moves)
    assert host.waits_for(moves, "Completed", "Failed", "Crashed")["state"]["message"] == "second"
    refused = host.waits_for(lost, "Completed", "Failed", "Crashed")
    assert (refused["state"]["name"], "does not have" in refused["state"]["message"]) == ("Failed", True)

    _, told = training.communicate(timeout=CRASHED_WITHIN_S)
    assert time.monotonic() - killed_at < CRASHED_WITHIN_S
    assert training.returncode == 1 and "No sign of life" in told
    assert host.worker(host.ampere).pid != worker.pid

    again = host.person.gets("model", "train", MODEL)
    record = _record(host.person, again["runs"])
    assert record.resumed_from_epoch and record.epochs_run == EPOCHS - record.resumed_from_epoch
    assert (record.code_commit, record.code_is_dirty, record.environment.gpu) == (second, False, None)
    assert any("LAKEGATE_DEVICE=cpu" in note for note in record.notes)


def _record(person: Person, names: list[str]) -> RunRecord:
    (name,) = names
    reference = runs.find_run(LakeClient(person.settings), MODEL, name)
    assert isinstance(reference, RunRecord)
    return reference
