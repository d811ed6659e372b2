"""What W&B shows of real trainings: curves over epochs, what the run is made from, and one whole curve after a kill."""

from pathlib import Path

import pytest

from lakegate.lifecycle import training_run
from lakegate.settings import Settings
from lakegate.training.tracking import unsent_trainings
from tests.lifecycle.conftest import Workshop
from tests.squares import declare_model, write_squares
from tests.wandb_files import OfflineRun, read_offline

pytestmark = pytest.mark.services
FLOW_RUN = "0198c0de-0000-7000-8000-000000000001"


class Killed(Exception):
    """Ends a training in the middle."""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb-data"))
    return settings.model_copy(update={"home": tmp_path / "home", "prefect_api_url": "http://127.0.0.1:4200/api"})


def epochs(run: OfflineRun, name: str) -> list[tuple[int, float]]:
    return [(row["epoch"], row[name]) for row in run.history if name in row]


def test_a_killed_training_has_its_whole_curve_in_the_run_that_ended_it(workshop: Workshop) -> None:
    workshop.publish(write_squares(workshop.folder / "one", range(8)), "v1")
    model = f"finder-{workshop.dataset[-8:]}"
    declare_model(workshop.checkout, model, [workshop.dataset], epochs=4)
    plan = training_run.plan_run(workshop.client, workshop.settings, model, [], seed=3)

    def die_in_the_second_epoch(words: str) -> None:
        if words.startswith("epoch 2 of 4"):
            raise Killed

    with pytest.raises(Killed):
        training_run.fit_run(workshop.client, workshop.settings, plan, FLOW_RUN, die_in_the_second_epoch)
    training_run.fit_run(workshop.client, workshop.settings, plan, FLOW_RUN, workshop.lines.append)
    record = training_run.commit(workshop.client, workshop.settings, plan)
    assert record.resumed_from_epoch == 2

    first, last = unsent_trainings(workshop.settings, [plan.run_id])
    killed, ended = read_offline(first), read_offline(last)
    assert (killed.exit_code, ended.exit_code) == (1, 0)
    assert epochs(killed, "loss") == [(number, record.history[number - 1]["loss"]) for number in (1, 2)]
    for name in {name for row in record.history for name in row}:
        measured = [(number, row[name]) for number, row in enumerate(record.history, start=1) if name in row]
        assert epochs(ended, name) == measured
    assert {"loss", "learning_rate", "epoch_s"} <= set(ended.history[0])
    assert all("val_loss" in row for row in ended.history) == ("val_loss" in record.metrics)

    assert ended.config["run"] == plan.run_id and ended.config["seed"] == 3
    assert ended.config["versions"] == {f"{workshop.dataset}@v1": record.datasets[0].commit}
    assert ended.config["declaration"]["training"]["epochs"] == 4
    assert ended.config["lakefs"] in ended.notes and plan.run_id in ended.config["lakefs"]
    assert f"http://127.0.0.1:4200/runs/flow-run/{FLOW_RUN}" in ended.notes
    assert ended.summary["kept/epoch"] == record.chosen_epoch and ended.summary["kept/loss"] == record.metrics["loss"]
    assert "kept/epoch" not in killed.summary
