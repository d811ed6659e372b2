"""The real stack, started, killed, repaired and stopped. The tests share one stack and run in this order."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from requests.adapters import HTTPAdapter

from infra import deployments, processes, triton_server
from infra.doctor import find_chromium
from infra.pools import ensure_pools
from infra.prefect_api import BUSY, PrefectApi
from infra.prefect_server import ui_url
from infra.stack import SERVICES, ServiceStatus, down, status, up
from infra.zombies import ZOMBIE_AFTER_S, ZOMBIE_NAME, ensure_zombie_automation
from lakegate.errors import BadInput, ServiceRefused, SetupProblem
from lakegate.settings import LAKEFS_SECRET_FILE, SIGNING_KEY_FILE, Settings

pytestmark = pytest.mark.services

FLOW = """
import time
from prefect import flow

@flow
def wait_long(seconds: int = 600):
    '''Wait.'''
    time.sleep(seconds)
"""
PREFECT_YAML = """
name: small
deployments:
  - name: cpu
    entrypoint: flows/wait_long.py:wait_long
    pull:
      - prefect.deployments.steps.set_working_directory: {directory: "{{ $LAKEGATE_CHECKOUT }}"}
    work_pool: {name: cpu, work_queue_name: default}
"""
CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,800",
    "--virtual-time-budget=20000",
)


@pytest.fixture(scope="module")
def small_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one flow, so that these tests do not depend on Lakegate's own."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "flows").mkdir()
    (checkout / "flows" / "wait_long.py").write_text(FLOW)
    (checkout / "prefect.yaml").write_text(PREFECT_YAML)
    return checkout


@pytest.fixture(scope="module")
def stack(small_checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A whole stack that two `up`s started at once."""
    home = tmp_path_factory.mktemp("stack-home")
    settings = Settings(checkout=small_checkout, home=home, lakefs_port=0, prefect_port=0, reports_port=0, threads=1)
    settings.prefect_api_url = settings.lakefs_endpoint = ""
    try:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: up(settings, print), range(2))
        assert first == second
        yield settings
    finally:
        down(settings)


def api_of(settings: Settings) -> PrefectApi:
    prefect = next(service for service in status(settings) if service.name == "prefect")
    return PrefectApi(f"{prefect.address}/api")


def by_name(services: list[ServiceStatus]) -> dict[str, ServiceStatus]:
    return {service.name: service for service in services}


def wait_until(is_so: Callable[[], bool], timeout_s: float = 60.0, every_s: float = 0.2) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(every_s)


def test_two_ups_at_once_make_one_stack(stack: Settings) -> None:
    services = [*SERVICES, *triton_server.SERVICES]
    assert [service.name for service in status(stack)] == services
    assert all(service.state == "up" for service in status(stack))
    assert len(processes.marked(stack.home)) == len(services)


def test_a_later_up_changes_nothing_and_is_quick(stack: Settings) -> None:
    before = status(stack)
    started = time.monotonic()
    said: list[str] = []
    assert up(stack, said.append) == before
    assert time.monotonic() - started < 5
    assert not any("prefect deploy" in line for line in said)


def test_a_page_in_the_folder_of_reports_is_served(stack: Settings) -> None:
    (stack.reports_dir / "page.html").write_text("a page")
    address = by_name(status(stack))["pages"].address
    assert requests.get(f"{address}/page.html", timeout=60).text == "a page"


def test_pools_queues_deployment_and_automation_are_there(stack: Settings) -> None:
    api = api_of(stack)
    assert deployments.deployed_names(api) == ["wait-long/cpu"]
    for pool in ("control", "cpu"):
        queues = {queue["name"]: queue["priority"] for queue in api.post(f"work_pools/{pool}/queues/filter", {})}
        assert queues["high"] < queues["default"]
    assert [automation["name"] for automation in api.post("automations/filter", {})] == [ZOMBIE_NAME]


def test_what_somebody_changed_on_the_server_is_as_declared_again(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    api = api_of(stack)
    api.change("PATCH", "work_pools/cpu", {"concurrency_limit": 9})
    ensure_pools(api, stack, ("control", "cpu", "gpu-cc86"))
    limits = {pool["name"]: pool["concurrency_limit"] for pool in api.every("work_pools/filter", {})}
    assert limits == {"control": 10, "cpu": 2, "gpu-cc86": None}
    for seconds in ("60", ""):
        monkeypatch.setenv("LAKEGATE_ZOMBIE_S", seconds)
        ensure_zombie_automation(api)
        (automation,) = api.post("automations/filter", {})
        assert automation["trigger"]["within"] == int(seconds or ZOMBIE_AFTER_S)


def test_a_deployment_that_vanished_from_the_server_is_applied_again(stack: Settings) -> None:
    api = api_of(stack)
    deployment = api.post("deployments/filter", {})[0]
    with requests.Session() as session:
        session.mount(api.url, HTTPAdapter(max_retries=BUSY))
        session.delete(f"{api.url}/deployments/{deployment['id']}", timeout=30).raise_for_status()
    assert deployments.deployed_names(api) == []
    settings = stack.model_copy(update={"prefect_api_url": api.url})
    assert deployments.apply(settings) == ("wait-long/cpu",)


def test_what_prefect_refuses_is_told_with_its_words(stack: Settings) -> None:
    with pytest.raises(SetupProblem, match="answered 422 to POST flows/filter"):
        api_of(stack).post("flows/filter", {"limit": "many"})


def test_a_flow_run_starts_where_a_worker_serves_its_pool_and_its_parameters_fit(stack: Settings) -> None:
    api = api_of(stack)
    assert api.serves("cpu") and not api.serves("gpu-cc99")
    with pytest.raises(BadInput, match=r"refused the parameters of wait-long/cpu.*seconds"):
        api.start("wait-long/cpu", {"seconds": "many"})
    with pytest.raises(SetupProblem, match="has no 'wait-short/cpu'"):
        api.start("wait-short/cpu", {})


def test_a_flow_run_is_one_process_whose_death_is_told_at_once_and_without_a_traceback(stack: Settings) -> None:
    api = api_of(stack)
    run_id = api.start("wait-long/cpu", {})
    with pytest.raises(ServiceRefused, match=f"did not resume the flow run {run_id}"):
        api.resume(run_id, {})
    wait_until(lambda: api.get(f"flow_runs/{run_id}")["state_type"] == "RUNNING")
    marked = processes.marked(stack.home, "worker-cpu")
    (worker,) = [process for process in marked if "infra.engine_worker" in process.cmdline()]
    (engine,) = worker.children()
    assert engine.cmdline()[-1] == "prefect.engine" and os.getpgid(engine.pid) == engine.pid
    engine.kill()
    wait_until(lambda: api.get(f"flow_runs/{run_id}")["state_type"] == "CRASHED")
    lines = api.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run_id]}}})
    assert lines and not [line["message"] for line in lines if "Traceback" in line["message"] or "hook" in line["message"]]


def test_a_flow_run_that_is_cancelled_while_it_starts_ends_soon(stack: Settings) -> None:
    api = api_of(stack)
    run_id = api.start("wait-long/cpu", {})
    wait_until(lambda: api.get(f"flow_runs/{run_id}")["state_type"] == "PENDING", every_s=0.01)
    api.post(f"flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    wait_until(lambda: api.get(f"flow_runs/{run_id}")["state_type"] == "CANCELLED")


def test_secrets_can_be_read_by_their_owner_only(stack: Settings) -> None:
    for path in (LAKEFS_SECRET_FILE, SIGNING_KEY_FILE, "lakefs/config.yaml", "secrets/lakefs_server.json"):
        assert (stack.home / path).stat().st_mode & 0o777 == 0o600, path


def test_no_secret_is_in_the_environment_or_command_line_of_a_service(stack: Settings) -> None:
    loaded = (stack.home / LAKEFS_SECRET_FILE).read_text()
    secret = loaded.split('"secret_access_key": "')[1].split('"')[0]
    for process in processes.marked(stack.home):
        assert secret not in " ".join([*process.environ().values(), *process.cmdline()])


def test_the_web_interface_of_prefect_is_not_a_blank_page(stack: Settings, tmp_path: Path) -> None:
    chromium = find_chromium()
    if not chromium:
        pytest.skip("chromium is absent; nothing here can look at a page")
    url = f"{ui_url(api_of(stack).url)}/deployments"
    command = [str(chromium), *CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", url]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "wait-long" in shown.stdout, shown.stdout[-1500:] + shown.stderr[-500:]


VICTIMS = [("lakefs",), ("prefect",), ("pages", "triton-staging"), ("worker-control", "worker-cpu")]


@pytest.mark.parametrize("victims", VICTIMS, ids=" and ".join)
def test_up_repairs_what_was_killed_and_leaves_the_rest_alone(stack: Settings, victims: tuple[str, ...]) -> None:
    before = by_name(status(stack))
    for victim in victims:
        os.kill(before[victim].pid or 0, signal.SIGKILL)
    wait_until(lambda: all(by_name(status(stack))[victim].state == "down" for victim in victims), 5)
    after = by_name(up(stack, print))
    for name in before:
        assert after[name].state == "up"
        assert after[name].address == before[name].address
        assert (after[name].pid == before[name].pid) == (name not in victims)


def test_an_occupied_port_is_refused_by_number_and_owner_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = Settings(checkout=tmp_path, home=tmp_path / "home", lakefs_port=0, prefect_port=port, reports_port=0)
        with pytest.raises(SetupProblem, match=rf"port {port} is taken by pid {os.getpid()} .*LAKEGATE_PREFECT_PORT"):
            up(settings, print)
    assert processes.marked(settings.home) == []


def test_a_port_taken_by_another_lakegate_says_whose_it_is(stack: Settings, tmp_path: Path) -> None:
    port = int(by_name(status(stack))["lakefs"].address.rsplit(":", 1)[1])
    settings = Settings(checkout=tmp_path, home=tmp_path / "home", lakefs_port=port, prefect_port=0, reports_port=0)
    with pytest.raises(SetupProblem, match=f"a service of the Lakegate in {stack.home}"):
        up(settings, print)


def test_after_down_no_process_of_the_stack_is_left_flow_runs_included(stack: Settings) -> None:
    api = api_of(stack)
    deployment = api.post("deployments/filter", {})[0]
    api.post(f"deployments/{deployment['id']}/create_flow_run", {})
    wait_until(lambda: any("prefect.engine" in " ".join(process.cmdline()) for process in processes.marked(stack.home)))
    os.kill(by_name(status(stack))["worker-cpu"].pid or 0, signal.SIGKILL)  # its flow run is an orphan now
    assert set(down(stack)) == {*SERVICES, *triton_server.SERVICES}
    assert [process.pid for process in psutil.process_iter() if belongs_to(process, stack.home)] == []
    assert {service.state for service in status(stack)} == {"down"}
    assert down(stack) == []


def belongs_to(process: psutil.Process, home: Path) -> bool:
    """Tell whether ``home`` is in the command line or the environment of another process than this one."""
    try:
        is_zombie = process.status() == psutil.STATUS_ZOMBIE
        words = " ".join([*process.cmdline(), *process.environ().values()])
    except (psutil.Error, OSError):
        return False
    return str(home) in words and not is_zombie and process.pid != os.getpid()
