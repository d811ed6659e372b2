from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from infra.prefect_api import PrefectApi
from lakegate.compute_capability import fits
from lakegate.declarations import ResourcesTable
from lakegate.errors import SetupProblem
from tasks.pools import PoolState, best_pool, choose_pool

ANY = ResourcesTable()


def test_of_several_pools_the_one_with_the_fewest_waiting_runs_is_chosen() -> None:
    states = [PoolState("gpu-cc75", True, 2), PoolState("gpu-cc86", True, 1), PoolState("cpu", True, 3)]
    assert best_pool(ANY, states) == "gpu-cc86"
    assert best_pool(ANY, [PoolState("gpu-cc75", True, 2), PoolState("cpu", True, 1)]) == "cpu"


def test_on_a_tie_a_gpu_comes_before_the_cpu() -> None:
    assert best_pool(ANY, [PoolState("cpu", True), PoolState("gpu-cc86", True)]) == "gpu-cc86"


def test_a_pool_that_nobody_serves_is_passed_over() -> None:
    assert best_pool(ANY, [PoolState("gpu-cc86", False), PoolState("cpu", True, 5)]) == "cpu"


def test_where_nobody_serves_a_fitting_pool_those_that_would_fit_are_named() -> None:
    demand = ResourcesTable(compute_capability=">=8.0")
    with pytest.raises(SetupProblem, match=r"fits compute_capability = \">=8.0\"; these would fit: 'gpu-cc86', 'gpu-cc90'"):
        best_pool(demand, [PoolState("gpu-cc86", False), PoolState("gpu-cc90", False)])
    with pytest.raises(SetupProblem, match=r"no work pool that fits.*lakegate worker"):
        best_pool(demand, [])


@pytest.mark.parametrize(
    ("demand", "pools"),
    [
        ("any", ["cpu", "gpu-cc75", "gpu-cc86", "gpu-cc120"]),
        (">=8.0", ["gpu-cc86", "gpu-cc120"]),
        ("7.5", ["gpu-cc75"]),
        (("7.5", "12.0"), ["gpu-cc75", "gpu-cc120"]),
    ],
)
def test_a_demand_fits_these_pools(demand: str | tuple[str, ...], pools: list[str]) -> None:
    known = ["control", "cpu", "gpu-cc75", "gpu-cc86", "gpu-cc120"]
    assert [pool for pool in known if fits(demand, pool)] == pools


def add_pool(api: PrefectApi, name: str, waiting: int) -> None:
    """Make a pool with a worker that just gave a sign of life and with runs that should have begun."""
    api.post("work_pools/", {"name": name, "type": "process"})
    sign = {"name": f"worker of {name}", "heartbeat_interval_seconds": 30}
    api.change("POST", f"work_pools/{name}/workers/heartbeat", sign)
    flow = api.post("flows/", {"name": "train-model"})
    body = {"name": f"{name}-{uuid4().hex[:6]}", "flow_id": flow["id"], "work_pool_name": name}
    deployment = api.post("deployments/", body)
    for _ in range(waiting):
        api.post(f"deployments/{deployment['id']}/create_flow_run", {})


@pytest.mark.services
def test_the_server_is_asked_who_lives_and_what_waits(prefect_api: PrefectApi) -> None:
    add_pool(prefect_api, "gpu-cc75", waiting=0)
    add_pool(prefect_api, "gpu-cc86", waiting=2)
    add_pool(prefect_api, "gpu-cc90", waiting=1)
    prefect_api.post("work_pools/", {"name": "gpu-cc100", "type": "process"})  # served by nobody
    with temporary_settings({PREFECT_API_URL: prefect_api.url}):
        assert choose_pool(ResourcesTable(compute_capability=">=8.0")) == "gpu-cc90"
        assert choose_pool(ResourcesTable(compute_capability=("7.5", "8.6"))) == "gpu-cc75"
        with pytest.raises(SetupProblem, match="these would fit: 'gpu-cc100'"):
            choose_pool(ResourcesTable(compute_capability="10.0"))
