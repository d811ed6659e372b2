"""Start a flow and follow it: on the work pools of the running stack, or in this process with ``--local``."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lakegate.declarations import ModelDeclaration
from lakegate.errors import BadInput, LakegateError, ServiceUnavailable, SetupProblem
from lakegate.settings import Settings

POLL_S = 1.0
ROUTINE = (
    "Worker '",
    "Flow run '",
    "Finished in state Completed",
    "Running 1 deployment pull",
    "Executing deployment step",
    "Deployment step '",
    "All deployment steps",
    "Finished in state Failed",  # the reason follows once, as the error of the command
    "Encountered exception during execution",
    "Engine execution exited",
    "Code: ",  # the run's page shows it as a tag
)
OWN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
Say = Callable[[str], None]
Until = Callable[[Any], bool]


class NotFollowed(LakegateError):
    """The person stopped looking; the flow run goes on."""


class FlowRunFailed(LakegateError):
    """A flow run ended in another state than COMPLETED, or waits for a person."""


@dataclass(frozen=True)
class FinishedRun:
    """How a flow run ended, and where to look at it."""

    id: str
    url: str
    state: str
    message: str
    seconds: float


def prepare_environment(settings: Settings) -> None:
    """Point Prefect at this stack; must run before ``prefect`` is imported for the first time."""
    os.environ["LAKEGATE_HOME"] = str(settings.home)
    os.environ["LAKEGATE_CHECKOUT"] = str(settings.checkout)
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))
    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "30")  # as in a worker: infra/zombies.py counts on it
    for name, value in {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_COLORS": "false",
        "GX_ANALYTICS_ENABLED": "false",
    }.items():
        os.environ.setdefault(name, value)
    if settings.prefect_api_url:
        os.environ["PREFECT_API_URL"] = settings.prefect_api_url


def pool_for(settings: Settings, declaration: ModelDeclaration) -> str:
    """Return the work pool that the model's ``[resources]`` choose.

    Raises:
        SetupProblem: no Prefect server is known, or no live worker serves a pool that fits.
        ServiceUnavailable: the server does not answer.
    """
    prepare_environment(settings)
    _require_server(settings)
    import httpx

    from tasks.pools import choose_pool

    try:
        return choose_pool(declaration.resources)
    except httpx.TransportError as error:
        raise _no_answer(settings) from error


def run_flow(settings: Settings, deployment: str, parameters: Mapping[str, Any], local: bool, say: Say) -> FinishedRun:
    """Run ``<flow>/<pool>`` and print its log lines through ``say`` until it ends or waits for a person.

    Raises:
        FlowRunFailed: it ended in another state than COMPLETED.
        SetupProblem: no Prefect server is known.
    """
    prepare_environment(settings)
    if local:
        return _run_in_process(deployment, parameters)
    _require_server(settings)
    return _run_on_pool(settings, deployment, parameters, say)


def _require_server(settings: Settings) -> None:
    if not settings.prefect_api_url:
        raise SetupProblem("no Prefect server is known; start one with `lakegate up`, or run this command with --local")


def _no_answer(settings: Settings) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"Prefect does not answer at {settings.prefect_api_url}; look with `lakegate status`, repair with `lakegate up`"
    )


def _run_in_process(deployment: str, parameters: Mapping[str, Any]) -> FinishedRun:
    from importlib import import_module

    stem = deployment.split("/", 1)[0].replace("-", "_")
    from prefect.exceptions import ParameterTypeError

    flow = getattr(import_module(f"flows.{stem}"), stem)
    started = time.monotonic()
    try:
        message = flow(**parameters)
    except ParameterTypeError as error:
        raise BadInput(f"{deployment} cannot take these parameters: {error}") from error
    return FinishedRun("", "", "COMPLETED", str(message), time.monotonic() - started)


def _run_on_pool(settings: Settings, deployment: str, parameters: Mapping[str, Any], say: Say) -> FinishedRun:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    from tasks.pools import require_worker

    try:
        require_worker(deployment.split("/", 1)[1])
        started = run_deployment(deployment, parameters=dict(parameters), timeout=0, as_subflow=False)
        with get_client(sync_client=True) as client:
            return _follow(settings, client, started.id, say)  # type: ignore[union-attr]
    except httpx.HTTPStatusError as error:
        raise BadInput(f"Prefect refused the parameters of {deployment}: {error.response.text[:500]}") from error
    except httpx.TransportError as error:
        raise _no_answer(settings) from error
    except ObjectNotFound as error:
        raise SetupProblem(f"the Prefect server has no '{deployment}'; apply the deployments with `lakegate up`") from error


def follow_run(
    settings: Settings, run_id: str, say: Say, *, from_start: bool = False, until: Until | None = None
) -> FinishedRun:
    """Follow a flow run that somebody else started or resumed, until it ends, waits for a person, or ``until(its client)``.

    Raises:
        FlowRunFailed: it ended in another state than COMPLETED.
    """
    from prefect.client.orchestration import get_client

    prepare_environment(settings)
    with get_client(sync_client=True) as client:
        lines_read: dict[str, int] = {}
        if not from_start:
            _print_new_lines(client, run_id, lines_read, lambda _line: None)  # what was said before is not said again
        return _follow(settings, client, run_id, say, lines_read, until)


def follow_release(settings: Settings, finished: FinishedRun, say: Say) -> FinishedRun:
    """Return ``finished``; where that flow run left its release to another one, follow the other one first."""
    if not finished.id:
        return finished
    from prefect.client.orchestration import get_client

    from tasks.under_way import left_to

    with get_client(sync_client=True) as client:
        other = left_to(client.read_flow_run(UUID(finished.id)))
    return follow_release(settings, follow_run(settings, other, say), say) if other else finished


def _follow(
    settings: Settings,
    client: Any,
    run_id: Any,
    say: Say,
    lines_read: dict[str, int] | None = None,
    until: Until | None = None,
) -> FinishedRun:
    started = time.monotonic()
    lines_read = {} if lines_read is None else lines_read
    url = f"{settings.prefect_api_url.removesuffix('/api')}/runs/flow-run/{run_id}"
    try:
        return _until_it_stops(client, run_id, url, say, lines_read, started, until or (lambda _client: False))
    except KeyboardInterrupt:
        raise NotFollowed(f"the flow run goes on without you; look at it, or cancel it, at {url}") from None


def _until_it_stops(
    client: Any, run_id: Any, url: str, say: Say, lines_read: dict[str, int], started: float, until: Until
) -> FinishedRun:
    while True:
        run = client.read_flow_run(run_id)
        _print_new_lines(client, run_id, lines_read, say)
        state = run.state
        if state.is_final() or state.is_paused() or until(client):
            _print_new_lines(client, run_id, lines_read, say)
            finished = FinishedRun(str(run_id), url, state.type.value, state.message or "", time.monotonic() - started)
            if state.is_final() and not state.is_completed():
                raise FlowRunFailed(f"{run.name}: {_plain(finished.message)} (log: {url})")
            return finished
        time.sleep(POLL_S)


def _plain(message: str) -> str:
    return message.removeprefix("Flow run encountered an exception: ")


def _print_new_lines(client: Any, run_id: Any, lines_read: dict[str, int], say: Say) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId, LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    )
    new = []
    for one in (run_id, *(child.id for child in children)):
        offset = lines_read.get(str(one), 0)
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[one]))
        lines = client.read_logs(log_filter=chosen, sort=LogSort.TIMESTAMP_ASC, limit=200, offset=offset)
        lines_read[str(one)] = offset + len(lines)
        new += lines
    for line in sorted(new, key=lambda line: line.timestamp):
        if line.name.startswith(OWN_LOGGERS) and not line.message.startswith(ROUTINE):
            say(f"{line.timestamp.astimezone():%H:%M:%S}  {line.message.splitlines()[0]}")
