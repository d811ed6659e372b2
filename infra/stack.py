"""All services of one machine together: started, looked at, repaired, stopped. State and logs lie in one folder."""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from infra import deployments, lakefs_server, page_server, prefect_server, processes, triton_server, workers
from infra.gpu import ask_gpus
from infra.lakefs_binary import find_or_build
from infra.pools import CONTROL, CPU, ensure_pools
from infra.prefect_api import PrefectApi
from infra.publisher_key import ensure_publisher_key
from infra.release_triggers import apply_release_triggers
from infra.result_store import apply_result_store
from infra.triton_environment import find_or_install
from infra.workers import WorkerSpec
from infra.zombies import ensure_zombie_automation
from lakegate.errors import SetupProblem
from lakegate.lake.client import LakeClient
from lakegate.lifecycle.serving import find_stand, restore_stage
from lakegate.settings import STACK_FILE, Settings

Say = Callable[[str], None]
LOCK_TIMEOUT_S = 600.0
WORKER_TIMEOUT_S = 120.0
SERVICES = (
    lakefs_server.NAME,
    prefect_server.NAME,
    page_server.NAME,
    WorkerSpec(CONTROL).service,
    WorkerSpec(CPU).service,
)
"""What every machine has; one worker for each GPU comes on top, see :func:`services_of`."""


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
        if _stack_file(home).get("prefect_api_url", "") != settings.prefect_api_url:
            _stop_all(home, services_of(home))  # what runs was told another address, or none
        with ThreadPoolExecutor(3) as pool:
            reports_url = page_server.start_pages(home, pages_port)
            lakefs = pool.submit(_start_lakefs, settings, lakefs_port, say)
            prefect = pool.submit(_start_prefect, settings, prefect_port, say)
            triton = pool.submit(_start_triton, settings, say)
            endpoint = lakefs.result()
            started = prefect.result()
            addresses = triton.result()
        write_stack_file(
            home, lakefs_endpoint=endpoint, prefect_api_url=settings.prefect_api_url, reports_url=reports_url, triton=addresses
        )
        _restore_served(settings, say)
        wait_for_workers(settings, started)
        return status(settings)


def down(settings: Settings) -> list[str]:
    """Stop every service, every flow run that a worker started, and every orphan; return what was stopped."""
    home = settings.home
    if not home.is_dir():
        return []
    with only_one(home, lambda _: None):
        stopped = [name for name, was_alive in zip(triton_server.SERVICES, _stop_triton(home), strict=True) if was_alive]
        stopped += _stop_all(home, services_of(home))
        processes.end_processes(processes.marked(home))
        _forget_gpu_workers(home)
        (home / STACK_FILE).unlink(missing_ok=True)
    return stopped


def _forget_gpu_workers(home: Path) -> None:
    """A GPU may be taken out of the machine; what is there is found again at the next start."""
    for name in services_of(home):
        if name not in SERVICES:
            (processes.run_dir(home) / f"{name}.json").unlink(missing_ok=True)


def status(settings: Settings) -> list[ServiceStatus]:
    """Return the state of every service; starts and changes nothing."""
    triton = triton_server.SERVICES if _stack_file(settings.home).get("triton_staging_http") else ()
    return [_status_of(settings.home, name) for name in (*services_of(settings.home), *triton)]


def services_of(home: Path) -> tuple[str, ...]:
    """Return the services that ``home`` has: those of every machine, and the workers that were started here."""
    recorded = sorted(path.stem for path in processes.run_dir(home).glob(f"{workers.PREFIX}*.json"))
    return (*SERVICES, *(name for name in recorded if name not in SERVICES))


def write_stack_file(
    home: Path,
    *,
    lakefs_endpoint: str,
    prefect_api_url: str = "",
    reports_url: str = "",
    triton: Mapping[str, str] | None = None,
) -> None:
    """Write ``stack.json``, which ``Settings.load`` reads, aside and rename it into place."""
    content = {"lakefs_endpoint": lakefs_endpoint, "prefect_api_url": prefect_api_url, "reports_url": reports_url}
    content |= triton or {}
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
    hooks = {
        "LAKEFSACTION_PREFECT_API_URL": settings.prefect_api_url,
        "LAKEFSACTION_PREFECT_AUTH": os.environ.get("PREFECT_API_AUTH_STRING", ""),
    }
    endpoint = lakefs_server.start_lakefs(settings.home, binary.path, port, hooks)
    say(f"lakeFS answers at {endpoint}")
    return endpoint


def _start_prefect(settings: Settings, port: int, say: Say) -> tuple[WorkerSpec, ...]:
    prefect_server.start_prefect(settings.home, port)
    apply_result_store(settings)
    say(f"Prefect answers at {prefect_server.ui_url(settings.prefect_api_url)}")
    api = PrefectApi(settings.prefect_api_url)
    gpus = ask_gpus()
    if gpus.state == "error":
        say(f"no worker on a GPU: {gpus.words}; look with `lakegate doctor`")
    specs = workers.stack_workers(gpus)
    ensure_pools(api, settings, tuple(dict.fromkeys(spec.pool for spec in specs)))
    ensure_zombie_automation(api)
    for spec in specs:
        workers.start_worker(settings, spec, settings.prefect_api_url)
    names = deployments.apply(settings, say)
    say(f"Prefect knows {len(names)} deployments")
    apply_release_triggers(settings, say, remove=True)
    return specs


def wait_for_workers(settings: Settings, specs: tuple[WorkerSpec, ...]) -> None:
    """Wait until the server saw a heartbeat of each worker, not of one that it replaces.

    Raises:
        SetupProblem: a worker ended, or the server did not hear of it in time.
    """
    api = PrefectApi(settings.prefect_api_url)
    for spec in specs:
        record = processes.recorded(settings.home, spec.service)
        if record:
            is_seen = partial(workers.was_seen, api, settings, spec, record.created_at_s)
            processes.wait_for(record, settings.home, is_seen, WORKER_TIMEOUT_S)


def _start_triton(settings: Settings, say: Say) -> dict[str, str]:
    """Start both Triton servers and return their addresses; none where they are not wanted or cannot run."""
    if not settings.triton:
        _stop_triton(settings.home)
        return {}
    try:
        environment = find_or_install(say)
    except SetupProblem as problem:
        say(f"no Triton here: {problem}")
        return {}
    found: dict[str, str] = {}
    for stage in triton_server.STAGES:
        address = triton_server.start_triton(settings, environment, stage, say)
        found |= {f"triton_{stage}_http": address.http, f"triton_{stage}_grpc": address.grpc}
        say(f"Triton ({stage}) answers at {address.http}")
    return found


def _restore_served(settings: Settings, say: Say) -> None:
    """Let each Triton server serve what the registry says: a rollout may have been killed in the middle, a disk lost."""
    keys = lakefs_server.ensure_keys(settings.home)
    own = {"lakefs_access_key_id": keys.access_key_id, "lakefs_secret_access_key": SecretStr(keys.secret_access_key)}
    settings = settings.model_copy(update={**_stack_file(settings.home), **own})
    client = LakeClient(settings)
    for stage in triton_server.STAGES:
        if find_stand(settings, stage) is not None:
            for sentence in restore_stage(client, settings, stage):
                say(sentence)


def _stop_triton(home: Path) -> list[bool]:
    with ThreadPoolExecutor(len(triton_server.STAGES)) as pool:
        return list(pool.map(lambda stage: triton_server.stop_triton(home, stage), triton_server.STAGES))


def _stack_file(home: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads((home / STACK_FILE).read_text())
        return content
    except (FileNotFoundError, ValueError):
        return {}


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
    for stage in triton_server.STAGES:
        address = triton_server.recorded_address(home, stage)
        if name == triton_server.service_name(stage) and address:
            return ServiceStatus(name, _state(triton_server.answers(address, stage)), record.pid, address.http, log)
    return ServiceStatus(name, "up", record.pid, "", log)


def _state(does_answer: bool) -> Literal["up", "no answer"]:
    return "up" if does_answer else "no answer"
