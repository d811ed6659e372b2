"""Watching through the command line, on the work pool of a running stack: verdict, page on the run, and the event."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.prefect_api import PrefectApi
from lakegate.lake.client import LakeClient
from tests.flows.conftest import Person
from tests.lifecycle.conftest import Workshop
from tests.lifecycle.test_watch import Watched, darkened, serve
from tests.squares import in_checkout, make_checkout

pytestmark = pytest.mark.services


class PersonsWorkshop(Workshop):
    """A workshop in the person's own checkout, so that the worker finds its declarations."""

    def __init__(self, folder: Path, person: Person) -> None:
        super().__init__(folder, person.settings)
        self.checkout = make_checkout(person.checkout, [self.dataset])
        self.settings = in_checkout(person.settings, self.checkout)
        self.client = LakeClient(self.settings)


def drift_events(api: PrefectApi, model: str) -> list[dict[str, Any]]:
    """Return the model's events; the server writes what it received in batches, some seconds later."""
    chosen = {"event": {"name": ["lakegate.drift"]}, "resource": {"id": [f"lakegate.model.{model}"]}}
    for _ in range(240):
        found: list[dict[str, Any]] = api.post("events/filter", {"filter": chosen})["events"]
        if found:
            return found
        time.sleep(0.5)
    return []


def test_a_shifted_stream_is_said_on_the_command_line_shown_on_the_run_and_sent_as_an_event(
    person: Person, tmp_path: Path
) -> None:
    watched = Watched(PersonsWorkshop(tmp_path, person))
    serve(watched.settings, watched.released, darkened(watched.new, tmp_path / "dark"), datetime.now(UTC))

    report = person.gets("model", "watch", watched.model)

    assert report["outcome"] == "drift" and report["n_frames"] == 40
    page = person.home / "reports" / watched.model / report["page"].rpartition("/")[2]
    assert report["page"].startswith("http://127.0.0.1:") and report["sentence"] in page.read_text()
    api = PrefectApi(watched.settings.prefect_api_url)
    (shown,) = api.post("artifacts/filter", {"artifacts": {"key": {"any_": [f"drift-{watched.model}"]}}})
    assert report["page"] in shown["data"]
    (event,) = drift_events(api, watched.model)
    assert event["resource"]["lakegate.outcome"] == "drift"
    assert (event["payload"]["sentence"], event["payload"]["page"]) == (report["sentence"], report["page"])
