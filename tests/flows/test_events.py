"""From a tag to a release that waits, by the event alone; and by reconciliation where the event was lost."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from infra import processes
from infra.prefect_api import PrefectApi
from infra.release_triggers import automation_name
from lakegate.lake.client import LakeClient
from lakegate.lake.versions import pin, publisher_of
from lakegate.lifecycle.publication import Publication, PublicationRequest
from tests.flows.conftest import EASY, Person
from tests.squares import declare_model, make_checkout, write_squares

pytestmark = pytest.mark.services

DATASET, MODEL = "arrivals", "follower"
ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture(scope="module")
def following(person: Person) -> Person:
    """``arrivals`` has v1; ``follower``, declared after `lakegate up`, follows new versions of it."""
    make_checkout(person.checkout, [DATASET], limits="")
    declare_model(person.checkout, MODEL, [DATASET], EASY, follows=True)
    source = write_squares(person.folder / "arrivals-one", range(24))
    person.gets("data", "publish", DATASET, "--source", str(source), "--version", "v1")
    return person


def api_of(person: Person) -> PrefectApi:
    return PrefectApi(person.settings.prefect_api_url)


def releases_on(person: Person, version: str) -> list[dict[str, Any]]:
    """Return the flow runs of release-model on a version, oldest first."""
    found = api_of(person).every("flow_runs/filter", {"flows": {"name": {"any_": ["release-model"]}}})
    chosen = [run for run in found if run["parameters"].get("version") == f"{DATASET}@{version}"]
    return sorted(chosen, key=lambda run: str(run["created"]))


def post_event(person: Person, version: str) -> None:
    """Send what the hook sends."""
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "lakegate.version.tagged",
        "resource": {"prefect.resource.id": f"lakegate.dataset.{DATASET}"},
        "payload": {"dataset": DATASET, "version": version, "commit": "of the same tag"},
    }
    api_of(person).change("POST", "events", [event])


def wait_until(is_so: Callable[[], bool], timeout_s: float = 300.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.3)


def test_three_equal_events_and_a_hand_start_are_one_release_which_the_event_started(following: Person) -> None:
    post_event(following, "v1")
    post_event(following, "v1")
    wait_until(lambda: len(releases_on(following, "v1")) == 3)
    name = automation_name(MODEL, DATASET)
    assert {(run["created_by"]["type"], run["created_by"]["display_value"]) for run in releases_on(following, "v1")} == {
        ("AUTOMATION", name)
    }
    waiting = following.gets("model", "release", MODEL, "--version", f"{DATASET}@v1")  # follows the one that goes on
    assert (waiting["staging"], waiting["state"]) == (1, "PAUSED")

    wait_until(lambda: all(run["state_type"] in (*ENDS, "PAUSED") for run in releases_on(following, "v1")))
    runs = releases_on(following, "v1")
    going_on = [run for run in runs if any(tag.startswith("release:") for tag in run["tags"])]
    assert [run["state_name"] for run in going_on] == ["Suspended"] and waiting["flow_run"].endswith(going_on[0]["id"])
    others = [run for run in runs if run not in going_on]
    assert [(run["state_type"], f"release-left-to:{going_on[0]['id']}" in run["tags"]) for run in others] == [
        ("COMPLETED", True)
    ] * 3
    assert len(following.gets("model", "log", MODEL)["runs"]) == 1


def test_the_author_of_a_release_by_event_can_be_the_publisher_of_the_version(following: Person) -> None:
    client = LakeClient(following.settings)
    assert publisher_of(client, pin(client, f"{DATASET}@v1")) == "ada"


def test_a_tag_that_was_made_while_prefect_was_down_is_released_once(following: Person) -> None:
    assert processes.stop(following.home, "prefect")
    publish_without_prefect(following, "v2")
    answer = following.types("up")
    assert answer.code == 0, answer.err + answer.out
    assert releases_on(following, "v2") == []

    assert reconcile(following) == "COMPLETED"
    (started,) = releases_on(following, "v2")
    assert (started["parameters"]["model"], started["created_by"]) == (MODEL, None)
    give_up(following, started)
    assert reconcile(following) == "COMPLETED"
    assert [run["id"] for run in releases_on(following, "v2")] == [started["id"]]  # tried: a person's to repeat


def publish_without_prefect(person: Person, version: str) -> None:
    settings = person.settings.model_copy(update={"user": "ada"})
    source = write_squares(person.folder / "arrivals-two", range(26))
    request = PublicationRequest.from_words(settings, DATASET, str(source), version, "", "auto", "")
    publication = Publication(LakeClient(settings), settings, request, lambda _line: None)
    for step in ("read_export", "screen", "write", "audit", "attest", "merge", "tag"):
        getattr(publication, step)()


def reconcile(person: Person) -> str:
    """Run the flow as its schedule does; return the state in which it ended."""
    api = api_of(person)
    deployment = api.get("deployments/name/reconcile-events/control")
    assert [(item["slug"], item["schedule"]["cron"]) for item in deployment["schedules"]] == [
        ("quarter-hourly", "*/15 * * * *")
    ]
    run = api.post(f"deployments/{deployment['id']}/create_flow_run", {})
    wait_until(lambda: api.get(f"flow_runs/{run['id']}")["state_type"] in ENDS)
    return str(api.get(f"flow_runs/{run['id']}")["state_type"])


def give_up(person: Person, run: dict[str, Any]) -> None:
    """Cancel a flow run that runs as the Prefect UI does, and wait for its end."""
    api = api_of(person)
    wait_until(lambda: api.get(f"flow_runs/{run['id']}")["state_type"] == "RUNNING")
    api.post(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
    wait_until(lambda: api.get(f"flow_runs/{run['id']}")["state_type"] in ENDS)


def test_the_server_plans_the_runs_of_schedules(following: Person) -> None:
    """Its scheduler works in the background: where it fails, nothing else of the server does."""
    for flow in ("reconcile-events", "watch-production"):
        planned = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        wait_until(lambda planned=planned: bool(api_of(following).every("flow_runs/filter", planned)))
