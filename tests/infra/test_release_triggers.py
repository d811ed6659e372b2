"""Automations and schedules follow the declarations, on a real Prefect server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.prefect_api import PrefectApi
from infra.release_triggers import apply_release_triggers, automation_name
from infra.zombies import ensure_zombie_automation
from lakegate.settings import Settings
from tests.squares import declare_model, make_checkout

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def server(prefect_api: PrefectApi) -> PrefectApi:
    """A Prefect server that knows release-model/control."""
    flow = prefect_api.post("flows/", {"name": "release-model"})
    prefect_api.post("deployments/", {"name": "control", "flow_id": flow["id"]})
    ensure_zombie_automation(prefect_api)
    return prefect_api


@pytest.fixture
def settings_of_checkout(server: PrefectApi, tmp_path: Path) -> Iterator[Settings]:
    """A checkout without models; what it applied is removed again."""
    settings = Settings(checkout=make_checkout(tmp_path, ["squares", "circles"]), home=tmp_path, prefect_api_url=server.url)
    yield settings
    for path in (tmp_path / "models").glob("*/model.toml"):
        path.unlink()
    apply_release_triggers(settings, print, remove=True)
    assert (ours(server), schedules(server)) == ({}, {})


def ours(api: PrefectApi) -> dict[str, Any]:
    found = api.every("automations/filter", {})
    assert len(found) >= 1, "the automation against zombies is not ours to remove"
    return {row["name"]: row for row in found if row["name"].startswith("Lakegate: release ")}


def schedules(api: PrefectApi) -> dict[str, tuple[str, Any]]:
    rows = api.get(f"deployments/{api.get('deployments/name/release-model/control')['id']}/schedules")
    return {row["slug"]: (row["schedule"]["cron"], row["parameters"]) for row in rows}


def declare(settings: Settings, name: str, train: list[str], schedule: str = "on_new_version = true") -> Path:
    declare_model(settings.checkout, name, train, follows=True)
    path = settings.models_dir / name / "model.toml"
    path.write_text(path.read_text().replace("on_new_version = true", schedule))
    return path


def apply(settings: Settings, remove: bool = True) -> list[str]:
    said: list[str] = []
    apply_release_triggers(settings, said.append, remove=remove)
    return said


def test_there_is_one_automation_per_model_and_dataset_however_often_it_is_applied(
    server: PrefectApi, settings_of_checkout: Settings
):
    declare(settings_of_checkout, "counter", ["squares:first", "squares", "circles"])
    assert apply(settings_of_checkout) == []
    first = ours(server)
    assert set(first) == {automation_name("counter", name) for name in ("squares", "circles")}
    apply(settings_of_checkout)
    assert ours(server) == first


def test_a_person_who_switched_an_automation_off_is_respected(server: PrefectApi, settings_of_checkout: Settings):
    declare(settings_of_checkout, "counter", ["squares"])
    apply(settings_of_checkout)
    (row,) = ours(server).values()
    older = {name: row[name] for name in ("name", "trigger", "actions")} | {"description": "of an older Lakegate"}
    server.change("PUT", f"automations/{row['id']}", {**older, "enabled": False})
    apply(settings_of_checkout)
    (row,) = ours(server).values()
    assert row["enabled"] is False and "models/counter/model.toml" in row["description"]


def test_automations_go_with_the_dataset_the_switch_or_the_model(server: PrefectApi, settings_of_checkout: Settings):
    declare(settings_of_checkout, "counter", ["squares", "circles"])
    path = declare(settings_of_checkout, "other", ["squares"])
    apply(settings_of_checkout)
    declare(settings_of_checkout, "counter", ["circles"])
    declare(settings_of_checkout, "other", ["squares"], "on_new_version = false")
    apply(settings_of_checkout, remove=False)
    assert set(ours(server)) == {automation_name("counter", "circles")}
    declare(settings_of_checkout, "other", ["squares"])
    apply(settings_of_checkout)
    path.unlink()
    apply(settings_of_checkout, remove=False)
    assert len(ours(server)) == 2  # another checkout may declare it
    apply(settings_of_checkout)
    assert set(ours(server)) == {automation_name("counter", "circles")}


def test_a_cron_line_becomes_a_schedule_changes_and_goes(server: PrefectApi, settings_of_checkout: Settings):
    declare(settings_of_checkout, "counter", ["squares"], 'retrain = "0 3 * * mon"')
    declare(settings_of_checkout, "other", ["squares"], 'retrain = "0 5 1 * *"')
    apply(settings_of_checkout)
    apply(settings_of_checkout)
    other = {"retrain-other": ("0 5 1 * *", {"model": "other"})}
    assert schedules(server) == {"retrain-counter": ("0 3 * * mon", {"model": "counter"}), **other}
    declare(settings_of_checkout, "counter", ["squares"], 'retrain = "30 4 * * *"')
    apply(settings_of_checkout)
    assert schedules(server)["retrain-counter"] == ("30 4 * * *", {"model": "counter"})
    declare(settings_of_checkout, "counter", ["squares"])
    apply(settings_of_checkout)
    assert schedules(server) == other


def test_a_broken_declaration_is_named_keeps_what_it_had_and_stops_nobody_else(
    server: PrefectApi, settings_of_checkout: Settings
):
    declare(settings_of_checkout, "counter", ["squares"], 'retrain = "0 3 * * mon"')
    apply(settings_of_checkout)
    declare(settings_of_checkout, "counter", ["squares"], 'retrain = "every monday"')
    declare(settings_of_checkout, "other", ["squares"])
    (line,) = apply(settings_of_checkout)
    assert "counter" in line and "'every monday' has 2 fields, a cron line has five" in line
    assert set(ours(server)) == {automation_name(name, "squares") for name in ("counter", "other")}
    assert schedules(server) == {"retrain-counter": ("0 3 * * mon", {"model": "counter"})}


def test_without_the_flow_nothing_is_set_up(server: PrefectApi, settings_of_checkout: Settings):
    deployment = server.get("deployments/name/release-model/control")
    declare(settings_of_checkout, "counter", ["squares"])
    server.delete(f"deployments/{deployment['id']}")
    try:
        assert apply(settings_of_checkout) == [] and ours(server) == {}
    finally:
        server.post("deployments/", {"name": "control", "flow_id": deployment["flow_id"]})
