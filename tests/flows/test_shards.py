"""A comparison that is split over a real work pool: the run page says who computed what, also where a shard crashed."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from infra.prefect_api import PrefectApi
from lakegate.lifecycle import export_run, training_run
from lakegate.registry.store import EVIDENCE, REPOSITORY
from tests.flows.conftest import Person, artifacts_of
from tests.flows.test_watching import PersonsWorkshop
from tests.squares import declare_model, make_checkout, write_squares

pytestmark = pytest.mark.services
SHARD_IMAGES = 2


def crash_a_shard(api: PrefectApi, is_over: Event) -> str:
    """Mark the first shard that is started as Crashed, as happens where its machine goes down; return the run's id."""
    while not is_over.wait(0.1):
        for run in api.post("flow_runs/filter", {"flows": {"name": {"any_": ["predict-shard"]}}}):
            api.post(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CRASHED", "name": "Crashed"}, "force": True})
            return str(run["id"])
    return ""


def test_workers_compute_the_shards_and_the_comparison_itself_what_they_leave(
    person: Person, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workshop = PersonsWorkshop(tmp_path_factory.mktemp("shards"), person)
    make_checkout(workshop.checkout, [workshop.dataset], limits="")
    workshop.publish(write_squares(workshop.folder / "one", range(24)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=1)
    with (workshop.checkout / "models" / model / "model.toml").open("a") as file:
        file.write(f"[resources]\nshard_images = {SHARD_IMAGES}\n")
    plan = training_run.plan_run(workshop.client, workshop.settings, model, [])
    training_run.fit_run(workshop.client, workshop.settings, plan, "", workshop.lines.append)
    training_run.commit(workshop.client, workshop.settings, plan)
    export_run.export(workshop.client, workshop.settings, model, plan.run_id, workshop.lines.append)

    is_over = Event()
    with ThreadPoolExecutor(1) as beside:
        crashed = beside.submit(crash_a_shard, PrefectApi(workshop.settings.prefect_api_url), is_over)
        answer = person.types("model", "compare", model, plan.run_id, "none", "--json")
        is_over.set()
    assert answer.code in (0, 3), answer.err + answer.out
    assert crashed.result()
    content = json.loads(workshop.client.read(REPOSITORY, EVIDENCE, f"comparisons/{answer.json['key']}/matrix.json"))
    cost = content["measured"]["candidate"]
    n_test = content["coverage"][0]["n_judged"]
    assert (cost["n_inferred"], cost["n_cached"]) == (0, n_test)

    (table,) = artifacts_of(workshop.settings.prefect_api_url, f"shards-{model}")
    rows = json.loads(table)
    assert [row["shard"] for row in rows] == list(range(1, len(rows) + 1)) and len(rows) == -(-n_test // SHARD_IMAGES)
    assert [row["images"] for row in rows] == [len(range(number, n_test, len(rows))) for number in range(len(rows))]
    assert sum(row["predictions"] for row in rows) == n_test
    assert rows[0]["where"].startswith("computed here") and rows[0]["where"].endswith("in cpu ended as Crashed")
    assert rows[1]["where"] == "cpu" and rows[-1]["where"] == "computed here"
