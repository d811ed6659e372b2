"""All services of one machine together: started, looked at, repaired, stopped. State and logs lie in one folder."""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from infra import deployments, lakefs_server, page_server, prefect_server, processes
from infra.automations import ensure_automations
from infra.lakefs_binary import find_or_build
from infra.prefect_api import PrefectApi
from infra.publisher_key import ensure_publisher_key
from infra.result_store import apply_result_store
from infra.workers import POOLS, start_worker
from lakegate.errors import SetupProblem
from lakegate.settings import STACK_FILE, Settings

Say = Callable[[str], None]
LOCK_TIMEOUT_S = 600.0
WORKER_TIMEOUT_S = 120.0
SERVICES = (lakefs_server.NAME, prefect_server.NAME, page_server.NAME, *(pool.service for pool in POOLS))


@dataclass(frozen=True)
class ServiceStatus:
    """One service: ``up``, ``no answer`` (the process lives but does not answer), or ``down``."""

    name: str
    state: Literal["up", "no answer", "down"]
    pid: int | None
    address: str
    log: Path


def up(settings: Settings, say: Say) -> list[ServiceStatus]:
    """Bring every service up and return their states; what runs already stays, what died is started again.

    Writes ``stack.json``, the secrets and the publisher's key below ``settings.home`` where they are missing.

    Raises:
        SetupProblem: a port is taken (by whom is said), no lakeFS program is to be had, or a service does not come up.
    """
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    with only_one(home, say):
        ensure_publisher_key(home)
        lakefs_port = _port(home, lakefs_server.NAME, settings.lakefs_port, "LAKEGATE_LAKEFS_PORT")
        prefect_port = _port(home, prefect_server.NAME, settings.prefect_port, "LAKEGATE_PREFECT_PORT")
        pages_port = _port(home, page_server.NAME, settings.reports_port, "LAKEGATE_REPORTS_PORT")
        settings = settings.model_copy(update={"prefect_api_url": prefect_server.api_url(prefect_port)})
        if _prefect_address(home) != settings.prefect_api_url:
            _stop_all(home, SERVICES)  # what runs was told another address, or none
        with ThreadPoolExecutor(2) as pool:
            reports_url = page_server.start_pages(home, pages_port)
            lakefs = pool.submit(_start_lakefs, settings, lakefs_port, say)
            prefect = pool.submit(_start_prefect, settings, prefect_port, say)
            endpoint = lakefs.result()
            prefect.result()
        write_stack_file(home, lakefs_endpoint=endpoint, prefect_api_url=settings.prefect_api_url, reports_url=reports_url)
        _wait_for_workers(settings)
        return status(settings)


def down(settings: Settings) -> list[str]:
    """Stop every service, every flow run that a worker started, and every orphan; return what was stopped."""
    home = settings.home
    if not home.is_dir():
        return []
    with only_one(home, lambda _: None):
        stopped = _stop_all(home, SERVICES)
        processes.end_processes(processes.marked(home))
        (home / STACK_FILE).unlink(missing_ok=True)
    return stopped


def status(settings: Settings) -> list[ServiceStatus]:
    """Return the state of every service; starts and changes nothing."""
    return [_status_of(settings.home, name) for name in SERVICES]


def write_stack_file(home: Path, *, lakefs_endpoint: str, prefect_api_url: str = "", reports_url: str = "") -> None:
    """Write ``stack.json``, which ``Settings.load`` reads, aside and rename it into place."""
    content = {"lakefs_endpoint": lakefs_endpoint, "prefect_api_url": prefect_api_url, "reports_url": reports_url}
    processes.write_private(home / STACK_FILE, json.dumps(content, indent=1))


@contextmanager
def only_one(home: Path, say: Say, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock of ``home``: one ``up`` or ``down`` at a time. The lock ends with its process, however that ends.

    Raises:
        SetupProblem: somebody else held it for ``timeout_s``.
    """
    path = processes.run_dir(home) / "stack.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout_s
    with path.open("a") as file:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupProblem(
                        f"another `lakegate up` or `down` holds {path} for {timeout_s:.0f} s; look at it, then try again"
                    ) from None
            if not waiting:
                say("another `lakegate up` or `down` is at work; waiting for it")
                waiting = True
            time.sleep(0.2)
        yield


def _port(home: Path, name: str, wanted: int, variable: str) -> int:
    """Return the port that the service has, or is to get; refuse a taken one before anything is started."""
    running = processes.living(home, name)
    if running:
        return running.port
    processes.stop(home, name)  # orphans of a killed server may hold the port
    return processes.choose_port(home, name, wanted, variable)


def _start_lakefs(settings: Settings, port: int, say: Say) -> str:
    binary = find_or_build(settings, say)
    say(f"lakeFS: {binary.origin}")
    endpoint = lakefs_server.start_lakefs(
        settings.home, binary.path, port, {"LAKEFSACTION_PREFECT_API_URL": settings.prefect_api_url}
    )
    say(f"lakeFS answers at {endpoint}")
    return endpoint


def _start_prefect(settings: Settings, port: int, say: Say) -> None:
    prefect_server.start_prefect(settings.home, port)
    apply_result_store(settings)
    say(f"Prefect answers at {prefect_server.ui_url(settings.prefect_api_url)}")
    deployments.ensure_pools(PrefectApi(settings.prefect_api_url))
    ensure_automations(PrefectApi(settings.prefect_api_url))
    for pool in POOLS:
        start_worker(settings, pool, settings.prefect_api_url)
    names = deployments.apply(settings, say)
    say(f"Prefect knows {len(names)} deployments")


def _wait_for_workers(settings: Settings) -> None:
    """Wait until the server saw a heartbeat of the worker of each pool, not of one that it replaces."""
    api = PrefectApi(settings.prefect_api_url)
    for pool in POOLS:
        record = processes.recorded(settings.home, pool.service)
        if record:
            is_seen = partial(_was_seen, api, pool.name, record.created_at_s)
            processes.wait_for(record, settings.home, is_seen, WORKER_TIMEOUT_S)


def _was_seen(api: PrefectApi, pool: str, since_s: float) -> bool:
    workers = api.post(f"work_pools/{pool}/workers/filter", {}) or []
    return any(datetime.fromisoformat(worker["last_heartbeat_time"]).timestamp() > since_s for worker in workers)


def _prefect_address(home: Path) -> str:
    try:
        return str(json.loads((home / STACK_FILE).read_text()).get("prefect_api_url", ""))
    except (FileNotFoundError, ValueError):
        return ""


def _stop_all(home: Path, names: tuple[str, ...]) -> list[str]:
    with ThreadPoolExecutor(len(names)) as pool:
        was_alive = list(pool.map(lambda name: processes.stop(home, name), reversed(names)))
    return [name for name, alive in zip(reversed(names), was_alive, strict=True) if alive]


def _status_of(home: Path, name: str) -> ServiceStatus:
    record = processes.living(home, name)
    log = processes.log_file(home, name)
    if record is None:
        return ServiceStatus(name, "down", None, "", log)
    if name == lakefs_server.NAME:
        state = _state(lakefs_server.answers(record.port))
        return ServiceStatus(name, state, record.pid, lakefs_server.endpoint(record.port), log)
    if name == prefect_server.NAME:
        url = prefect_server.api_url(record.port)
        return ServiceStatus(name, _state(prefect_server.answers(record.port)), record.pid, prefect_server.ui_url(url), log)
    if name == page_server.NAME:
        state = _state(page_server.answers(record.port))
        return ServiceStatus(name, state, record.pid, page_server.address(record.port), log)
    return ServiceStatus(name, "up", record.pid, "", log)


def _state(does_answer: bool) -> Literal["up", "no answer"]:
    return "up" if does_answer else "no answer"
