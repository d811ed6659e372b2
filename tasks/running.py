"""What all tasks share: when to try again, where the settings come from, how a child flow is started."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Flow, State, Task, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.deployments import run_deployment

from lakegate.canonical import exact_json, sha256_bytes
from lakegate.declarations import ResourcesTable
from lakegate.errors import LakegateError, ServiceRefused
from lakegate.settings import Settings
from tasks.pools import choose_pool as choose_pool
from tasks.pools import require_worker as require_worker

Words = ParamSpec("Words")
Made = TypeVar("Made")
RETRY_DELAYS_S = [2, 10, 60]
CHILD_POLL_S = 1.0
COMMIT_TAG = "commit:"


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return True for what can heal by itself: a service that did not answer, never a failed gate."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, LakegateError) and error.is_transient


def step(function: Callable[Words, Made]) -> Callable[Words, Made]:
    """Make a task that is tried again only after transient errors, and whose inputs are never hashed."""
    made = task(
        retries=len(RETRY_DELAYS_S),
        retry_delay_seconds=list(RETRY_DELAYS_S),
        retry_condition_fn=is_transient,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(function)
    return cast(Callable[Words, Made], made)


def settings_for(requested_by: str) -> Settings:
    """Return the settings, with the claimed name of who asked where the form gave one."""
    settings = Settings.load()
    settings.user = requested_by.strip() or settings.user
    return settings


def ensure_child(child: Flow[..., Any], where: str | ResourcesTable, parameters: Mapping[str, Any], done: bool) -> None:
    """Run a child flow unless its output exists: as a deployment on a pool, or in process where this run is local.

    ``where`` is the name of the pool, or the resources that choose one. The child executes the code of this run's commit.

    Raises:
        SetupProblem: no live worker serves the pool, or a pool that fits.
        ServiceRefused: the child ended in another state than COMPLETED.
    """
    logger = get_run_logger()
    if done:
        logger.info("%s: found in the registry, nothing to do", child.name)
        return
    if not runtime.deployment.id:
        child(**parameters)
        return
    pool = where if isinstance(where, str) else choose_pool(where)
    require_worker(pool)
    asked = sha256_bytes(exact_json(dict(parameters)))
    attempt = f"{runtime.flow_run.id}:{runtime.flow_run.run_count}:{child.name}:{asked}"
    run: FlowRun = run_deployment(  # type: ignore[assignment]
        f"{child.name}/{pool}",
        parameters=dict(parameters),
        idempotency_key=attempt,
        poll_interval=CHILD_POLL_S,
        tags=[tag for tag in runtime.flow_run.tags if tag.startswith(COMMIT_TAG)],
    )
    if run.state is None or not run.state.is_completed():
        state = "no state" if run.state is None else f"{run.state.name}: {run.state.message}"
        raise ServiceRefused(f"{child.name} run '{run.name}' ended as {state}; open that run for its log, then run again")
