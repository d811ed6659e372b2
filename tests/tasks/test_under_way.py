"""Of several flow runs on the same release one goes on: on a real Prefect server, without workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from infra.prefect_api import PrefectApi
from lakegate.errors import ServiceUnavailable
from tasks import under_way
from tasks.under_way import CHOOSING, left_to, release_tag, take

pytestmark = pytest.mark.services


@pytest.fixture
def client(prefect_api: PrefectApi) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_api.url}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def name() -> str:
    return release_tag("finder", uuid4().hex[:10])


def start(api: PrefectApi, tags: tuple[str, ...] = ("control",)) -> UUID:
    flow = api.post("flows/", {"name": "release-model"})
    run = api.post("flow_runs/", {"flow_id": flow["id"], "tags": list(tags), "state": {"type": "PENDING"}})
    move(api, UUID(run["id"]), "RUNNING", "Running")
    return UUID(run["id"])


def move(api: PrefectApi, run: UUID, kind: str, name: str) -> None:
    api.post(f"flow_runs/{run}/set_state", {"state": {"type": kind, "name": name}, "force": True})


def tags(client: SyncPrefectClient, run: UUID) -> set[str]:
    return set(client.read_flow_run(run).tags)


def test_the_first_goes_on_and_the_second_leaves_it_to_the_first(prefect_api, client, name):
    first, second = start(prefect_api), start(prefect_api)
    assert take(client, first, name) is None
    left = take(client, second, name)
    assert left is not None and left.id == first
    assert name in tags(client, first) and name not in tags(client, second)
    assert left_to(client.read_flow_run(second)) == str(first) and "control" in tags(client, second)


def test_of_twelve_at_the_same_moment_one_goes_on(prefect_api, client, name):
    runs = [start(prefect_api) for _ in range(12)]

    def in_a_process_of_its_own(run: UUID) -> UUID | None:
        with temporary_settings({PREFECT_API_URL: prefect_api.url}), get_client(sync_client=True) as own:
            other = take(own, run, name)
            return other.id if other else None

    with ThreadPoolExecutor(12) as pool:
        left = dict(zip(runs, pool.map(in_a_process_of_its_own, runs), strict=True))
    going_on = [run for run, other in left.items() if other is None]
    assert len(going_on) == 1
    assert [run for run in runs if name in tags(client, run)] == going_on


def test_other_data_or_other_code_is_another_release(prefect_api, client, name):
    assert take(client, start(prefect_api), name) is None
    assert take(client, start(prefect_api), f"{name}0") is None


def test_a_run_that_waited_for_its_approval_keeps_its_claim(prefect_api, client, name):
    first, second = start(prefect_api), start(prefect_api)
    take(client, first, name)
    move(prefect_api, first, "PAUSED", "Suspended")
    assert take(client, second, name) is not None
    move(prefect_api, first, "RUNNING", "Running")
    assert take(client, first, name) is None
    assert take(client, first, release_tag("finder", "after-the-code-changed")) is None
    assert name in tags(client, first)


def test_what_ended_holds_nothing_and_comes_second_when_it_is_run_again(prefect_api, client, name):
    first, second = start(prefect_api), start(prefect_api)
    take(client, first, name)
    move(prefect_api, first, "CRASHED", "Crashed")
    assert take(client, second, name) is None
    move(prefect_api, first, "RUNNING", "Running")  # somebody pressed Retry
    left = take(client, first, name)
    assert left is not None and left.id == second


def test_one_that_was_killed_while_it_claimed_is_named_and_waited_for(prefect_api, client, name, monkeypatch):
    monkeypatch.setattr(under_way, "CHOOSING_TIMEOUT_S", 0.5)
    killed, second = start(prefect_api, (name, CHOOSING)), start(prefect_api)
    with pytest.raises(ServiceUnavailable, match=r"began to claim the same release.*cancel it in the Prefect UI"):
        take(client, second, name)
    move(prefect_api, killed, "CRASHED", "Crashed")
    assert take(client, second, name) is None
