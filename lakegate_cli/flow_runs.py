"""Start a flow and follow it: on the work pools of the running stack, or in this process with ``--local``.

On a pool this process only talks to the server and imports no Prefect, which would take seconds of each command.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.prefect_api import PAGE, NoAnswer, PrefectApi
from lakegate.declarations import ModelDeclaration
from lakegate.errors import BadInput, LakegateError, ServiceUnavailable, SetupProblem
from lakegate.flow_run_words import HOW_TO_SERVE, LEFT_TO
from lakegate.settings import Settings

POLL_S = 1.0
LATE_LINES = 50  # so many may reach the server after one that was written later
SILENCE_S = 60.0
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
COMPLETED = "COMPLETED"
ENDS = (COMPLETED, "FAILED", "CRASHED", "CANCELLED")
Say = Callable[[str], None]
Until = Callable[[PrefectApi], bool]


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
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_worth_reading)
    started = time.monotonic()
    try:
        message = flow(**parameters)
    except ParameterTypeError as error:
        raise BadInput(f"{deployment} cannot take these parameters: {error}") from error
    return FinishedRun("", "", "COMPLETED", str(message), time.monotonic() - started)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    """Keep from the terminal what a run on a pool does not show there either: routine, and tracebacks of refusals."""
    return not (record.name.startswith(OWN_LOGGERS) and record.getMessage().startswith(ROUTINE))


def _run_on_pool(settings: Settings, deployment: str, parameters: Mapping[str, Any], say: Say) -> FinishedRun:
    api, pool = PrefectApi(settings.prefect_api_url), deployment.split("/", 1)[1]
    if not api.serves(pool):
        raise SetupProblem(f"no live worker serves the work pool '{pool}'; {HOW_TO_SERVE}")
    return _follow(settings, api, api.start(deployment, parameters), say, {}, None)


def follow_run(
    settings: Settings, run_id: str, say: Say, *, from_start: bool = False, until: Until | None = None
) -> FinishedRun:
    """Follow a flow run that somebody else started or resumed, until it ends, waits for a person, or ``until(its server)``.

    Raises:
        FlowRunFailed: it ended in another state than COMPLETED.
        SetupProblem: the server does not answer for a minute.
    """
    prepare_environment(settings)
    api, lines_read = PrefectApi(settings.prefect_api_url), dict[str, set[str]]()
    if not from_start:
        _print_new_lines(api, run_id, lines_read, lambda _line: None)  # what was said before is not said again
    return _follow(settings, api, run_id, say, lines_read, until)


def follow_release(settings: Settings, finished: FinishedRun, say: Say) -> FinishedRun:
    """Return ``finished``; where that flow run left its release to another one, follow the other one first."""
    if not finished.id or finished.state != COMPLETED:
        return finished
    tags = PrefectApi(settings.prefect_api_url).get(f"flow_runs/{finished.id}")["tags"]
    other = next((tag.removeprefix(LEFT_TO) for tag in tags if tag.startswith(LEFT_TO)), "")
    return follow_release(settings, follow_run(settings, other, say), say) if other else finished


def _follow(
    settings: Settings, api: PrefectApi, run_id: str, say: Say, lines_read: dict[str, set[str]], until: Until | None
) -> FinishedRun:
    url = f"{settings.prefect_api_url.removesuffix('/api')}/runs/flow-run/{run_id}"
    try:
        return _until_it_stops(api, run_id, url, say, lines_read, until or (lambda _api: False))
    except KeyboardInterrupt:
        raise NotFollowed(f"the flow run goes on without you; look at it, or cancel it, at {url}") from None


def _until_it_stops(
    api: PrefectApi, run_id: str, url: str, say: Say, lines_read: dict[str, set[str]], until: Until
) -> FinishedRun:
    started = answered = time.monotonic()
    while True:
        try:
            run = api.get(f"flow_runs/{run_id}")
            _print_new_lines(api, run_id, lines_read, say)
            answered = time.monotonic()
        except NoAnswer:  # a server that is started again
            if time.monotonic() - answered > SILENCE_S:
                raise
            time.sleep(POLL_S)
            continue
        if run is None:
            raise FlowRunFailed(f"the flow run {run_id} was deleted in Prefect; start it again")
        state, message = run["state"]["type"], run["state"]["message"] or ""
        if state in (*ENDS, "PAUSED") or until(api):
            _print_new_lines(api, run_id, lines_read, say)
            if state in ENDS and state != COMPLETED:
                raise FlowRunFailed(f"{run['name']}: {_plain(message)} (log: {url})")
            return FinishedRun(run_id, url, state, message, time.monotonic() - started)
        time.sleep(POLL_S)


def _plain(message: str) -> str:
    return message.removeprefix("Flow run encountered an exception: ")


def _print_new_lines(api: PrefectApi, run_id: str, lines_read: dict[str, set[str]], say: Say) -> None:
    """Say what was not said yet; lines reach the server late and out of order, so the last ones are asked for again."""
    children = api.every("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}})
    new: list[dict[str, Any]] = []
    for one in (run_id, *(str(child["id"]) for child in children)):
        read = lines_read.setdefault(one, set())
        asked = {"logs": {"flow_run_id": {"any_": [one]}}, "sort": "TIMESTAMP_ASC", "offset": max(len(read) - LATE_LINES, 0)}
        lines = [line for line in api.post("logs/filter", {**asked, "limit": PAGE}) if line["id"] not in read]
        read.update(line["id"] for line in lines)
        new += lines
    for line in sorted(new, key=lambda line: datetime.fromisoformat(line["timestamp"])):
        if line["name"].startswith(OWN_LOGGERS) and not line["message"].startswith(ROUTINE):
            time_of_day = datetime.fromisoformat(line["timestamp"]).astimezone()
            say(f"{time_of_day:%H:%M:%S}  {line['message'].splitlines()[0]}")
