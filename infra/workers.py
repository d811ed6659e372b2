"""Prefect workers of this machine: one for the pools without a GPU, one for each GPU, which sees no other GPU."""

import hashlib
import socket
import sys
from dataclasses import dataclass
from datetime import datetime

from infra import processes
from infra.gpu import Gpu, GpuAnswer
from infra.pools import CONTROL, CPU
from infra.prefect_api import PrefectApi
from infra.prefect_server import client_environment
from infra.result_store import result_environment
from lakegate.settings import Settings

WORKER_POLLS_EVERY_S = 2
HEARTBEAT_EVERY_S = 30
PREFIX = "worker-"


@dataclass(frozen=True)
class WorkerSpec:
    """One worker process: its work pool, and the GPU that it has for itself."""

    pool: str
    gpu: Gpu | None = None

    @property
    def service(self) -> str:
        """Name of the process: ``worker-cpu``, ``worker-gpu-cc86-1b2c3d4e``."""
        return f"{PREFIX}{self.pool}{f'-{short_uuid(self.gpu)}' if self.gpu else ''}"

    @property
    def words(self) -> str:
        return f"{self.gpu.words}, {self.gpu.uuid}" if self.gpu else "no GPU"


def short_uuid(gpu: Gpu) -> str:
    """Return eight characters that tell this machine's GPUs apart, also where UUIDs begin alike."""
    return hashlib.sha256(gpu.uuid.encode()).hexdigest()[:8]


def stack_workers(answer: GpuAnswer) -> tuple[WorkerSpec, ...]:
    """Return the workers that ``lakegate up`` starts: ``control``, ``cpu``, and one for each GPU."""
    return (WorkerSpec(CONTROL), WorkerSpec(CPU), *gpu_workers(answer))


def gpu_workers(answer: GpuAnswer) -> tuple[WorkerSpec, ...]:
    """Return one worker for each GPU."""
    return tuple(WorkerSpec(gpu.pool, gpu) for gpu in answer.devices)


def start_worker(settings: Settings, spec: WorkerSpec, prefect_api_url: str, *, is_bound: bool = False) -> None:
    """Start the worker of ``spec`` unless it runs already.

    Flow runs of a killed worker go on and report their own end where they need no GPU; only ``down`` stops them. Those on
    a GPU end with their worker (:mod:`infra.gpu_lease`). ``is_bound``: the worker ends when this process ends.
    """
    if processes.living(settings.home, spec.service):
        return
    command = [sys.executable, "-m", "infra.engine_worker", "--pool", spec.pool, "--name", worker_name(settings, spec)]
    if spec.gpu:
        command += ["--limit", "1"]
    environment = processes.service_environment(settings.home, worker_environment(settings, spec, prefect_api_url))
    processes.start(settings.home, spec.service, command, environment, is_bound=is_bound)


def worker_name(settings: Settings, spec: WorkerSpec) -> str:
    """Return the name that the server shows; it differs between machines, and between state folders of one machine."""
    folder = hashlib.sha256(str(settings.home).encode()).hexdigest()[:6]
    return f"{socket.gethostname()}-{folder}-{spec.service.removeprefix(PREFIX)}"


def worker_environment(settings: Settings, spec: WorkerSpec, prefect_api_url: str) -> dict[str, str]:
    """Return what a worker, and through it every flow run, gets beside the environment of the machine."""
    own_gpu = {"LAKEGATE_GPU_UUID": spec.gpu.uuid, "CUDA_VISIBLE_DEVICES": spec.gpu.uuid} if spec.gpu else {}
    return {
        **client_environment(settings.home, prefect_api_url),
        **result_environment(settings),
        **own_gpu,
        "PREFECT_WORKER_QUERY_SECONDS": str(WORKER_POLLS_EVERY_S),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_EVERY_S),
        "LAKEGATE_POOL": spec.pool,
        "LAKEGATE_HOME": str(settings.home),
        "LAKEGATE_CHECKOUT": str(settings.checkout),
        "LAKEGATE_THREADS": str(settings.threads),
        "OMP_NUM_THREADS": str(settings.threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads that spin make a shared machine several times slower
    }


def sign_off(api: PrefectApi, settings: Settings, spec: WorkerSpec) -> None:
    """Tell the server that this worker is gone; else it counts as live for another minute and a half."""
    api.delete(f"work_pools/{spec.pool}/workers/{worker_name(settings, spec)}")


def was_seen(api: PrefectApi, settings: Settings, spec: WorkerSpec, since_s: float) -> bool:
    """Tell whether the server saw a heartbeat of this worker after ``since_s``, so not of one that it replaces."""
    name = worker_name(settings, spec)
    workers = api.every(f"work_pools/{spec.pool}/workers/filter", {})
    seen = [datetime.fromisoformat(row["last_heartbeat_time"]).timestamp() for row in workers if row["name"] == name]
    return any(time_s > since_s for time_s in seen)
