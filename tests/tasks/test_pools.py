import pytest

from lakegate.compute_capability import fits
from lakegate.declarations import ResourcesTable
from lakegate.errors import SetupProblem
from tasks.pools import PoolState, best_pool

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
