"""Which work pool a flow runs in: one that fits, that somebody serves, and where the fewest runs wait."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.exceptions import ObjectNotFound

from lakegate.compute_capability import CPU_POOL, demand_words, fits
from lakegate.declarations import ResourcesTable
from lakegate.errors import SetupProblem
from lakegate.flow_run_words import HOW_TO_SERVE

PAGE = 200


@dataclass(frozen=True)
class PoolState:
    """A work pool as the server knows it now: whether a worker serves it, and how many runs wait in it."""

    name: str
    is_live: bool
    n_waiting: int = 0


def choose_pool(resources: ResourcesTable) -> str:
    """Return the work pool for a run with these ``[resources]``.

    Of several that fit and have a live worker, the one with the fewest waiting runs; on a tie a GPU before the CPU.

    Raises:
        SetupProblem: no live worker serves a pool that fits; the pools that would fit are named.
    """
    with get_client(sync_client=True) as client:
        names = [pool.name for pool in client.read_work_pools(limit=PAGE)]
        fitting = [name for name in names if fits(resources.compute_capability, name)]
        return best_pool(resources, [_state_of(client, name) for name in fitting])


def best_pool(resources: ResourcesTable, fitting: Iterable[PoolState]) -> str:
    """Choose among the pools that fit; raises ``SetupProblem`` where none of them is served."""
    states = list(fitting)
    live = [state for state in states if state.is_live]
    if live:
        return least_busy(live).name
    demand = f'compute_capability = "{demand_words(resources.compute_capability)}"'
    if states:
        named = ", ".join(f"'{state.name}'" for state in states)
        raise SetupProblem(f"no live worker serves a work pool that fits {demand}; these would fit: {named}; {HOW_TO_SERVE}")
    raise SetupProblem(f"the server has no work pool that fits {demand}: no GPU like that was ever there; {HOW_TO_SERVE}")


def live_pools(resources: ResourcesTable, flow_name: str) -> list[PoolState]:
    """Return the pools that could run a flow now: ``cpu`` and those that fit, with a live worker and the flow's deployment."""
    with get_client(sync_client=True) as client:
        names = [pool.name for pool in client.read_work_pools(limit=PAGE)]
        fitting = [name for name in names if name == CPU_POOL or fits(resources.compute_capability, name)]
        states = [_state_of(client, name) for name in fitting]
    return [state for state in states if state.is_live and has_deployment(f"{flow_name}/{state.name}")]


def least_busy(pools: Iterable[PoolState]) -> PoolState:
    """Return the pool with the fewest waiting runs; on a tie a GPU before the CPU."""
    return min(pools, key=lambda state: (state.n_waiting, state.name == CPU_POOL, state.name))


def has_deployment(name: str) -> bool:
    """Tell whether ``<flow>/<pool>`` can be started; those of a GPU pool are applied when its first worker starts."""
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(name)
        except ObjectNotFound:
            return False
    return True


def require_worker(pool: str) -> None:
    """Raise ``SetupProblem`` naming the pool where nobody would ever pick the run up."""
    with get_client(sync_client=True) as client:
        is_live = _is_live(client, pool)
    if not is_live:
        raise SetupProblem(f"no live worker serves the work pool '{pool}'; {HOW_TO_SERVE}")


def _state_of(client: SyncPrefectClient, name: str) -> PoolState:
    is_live = _is_live(client, name)
    return PoolState(name, is_live, _count_waiting(client, name) if is_live else 0)


def _is_live(client: SyncPrefectClient, pool: str) -> bool:
    workers = client.read_workers_for_work_pool(pool)
    return any(worker.status == WorkerStatus.ONLINE for worker in workers)


def _count_waiting(client: SyncPrefectClient, pool: str) -> int:
    """Count the runs that should have begun; a schedule's runs of tomorrow do not wait."""
    waits = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING]))
    due = FlowRunFilterExpectedStartTime(before_=datetime.now(UTC))
    return client.count_flow_runs(
        flow_run_filter=FlowRunFilter(state=waits, expected_start_time=due),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
    )
