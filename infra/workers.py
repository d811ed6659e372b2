"""One Prefect worker per work pool of this machine; the name of the pool is the capability."""

import sys
from dataclasses import dataclass

from infra import processes
from infra.prefect_server import client_environment
from infra.result_store import result_environment
from lakegate.settings import Settings

WORKER_POLLS_EVERY_S = 2
HEARTBEAT_EVERY_S = 30


@dataclass(frozen=True)
class Pool:
    """A work pool, and how many flow runs run in it at a time.

    The server keeps the limit, not the worker: a worker with a limit of its own dies (Prefect 3.8.8, "this borrower is
    already holding one of this CapacityLimiter's tokens") when a suspended run is resumed before its process has ended.
    """

    name: str
    limit: int
    words: str

    @property
    def service(self) -> str:
        return f"worker-{self.name}"


POOLS = (
    Pool("control", 10, "router flows: they wait for other flows and compute nothing"),
    Pool("cpu", 2, "flows that compute without a GPU"),
)


def start_worker(settings: Settings, pool: Pool, prefect_api_url: str) -> None:
    """Start the worker of ``pool`` unless it runs already for the server at ``prefect_api_url``.

    Flow runs of a worker that was killed go on and report their own end; only ``down`` stops them.
    """
    if processes.living(settings.home, pool.service):
        return
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process"]
    command += ["--pool", pool.name, "--name", f"{pool.name}-here"]
    environment = processes.service_environment(settings.home, worker_environment(settings, prefect_api_url))
    processes.start(settings.home, pool.service, command, environment)


def worker_environment(settings: Settings, prefect_api_url: str) -> dict[str, str]:
    """Return what a worker, and through it every flow run, gets beside the environment of the machine."""
    return {
        **client_environment(settings.home, prefect_api_url),
        **result_environment(settings),
        "PREFECT_WORKER_QUERY_SECONDS": str(WORKER_POLLS_EVERY_S),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_EVERY_S),
        "LAKEGATE_HOME": str(settings.home),
        "LAKEGATE_CHECKOUT": str(settings.checkout),
        "LAKEGATE_THREADS": str(settings.threads),
        "OMP_NUM_THREADS": str(settings.threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads that spin make a shared machine several times slower
    }
