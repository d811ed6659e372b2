"""Runs side by side, from real run records: what differs comes first, curves are drawn, nothing is made up."""

import json
from pathlib import Path

import pytest

from lakegate.reports.runs_page import line_chart, render_runs_html
from lakegate.reports.runs_side_by_side import NO_VALUE, CurvesOfRuns, RunsSideBySide, put_side_by_side
from lakegate.training.record import Parameter, RunRecord
from tests.training.test_record import a_record


@pytest.fixture
def records(tmp_path: Path) -> list[RunRecord]:
    """Three runs: the second with another seed and a worse loss, the third of an older Lakegate without one parameter."""
    first = a_record(tmp_path / "a").model_copy(update={"run_id": "aaa", "created_at": "2026-11-01T10:00:00+00:00"})
    second = first.model_copy(
        update={
            "run_id": "bbb",
            "created_at": "2026-11-02T10:00:00+00:00",
            "seed": 8,
            "metrics": {"loss": 0.5},
            "history": [{"loss": 0.9, "epoch_s": 3.0}, {"loss": 0.7, "val_loss": 0.8}, {"loss": 0.5}],
        }
    )
    fewer = [item for item in first.parameters if item.name != "training.weight_decay"]
    longer = Parameter(name="training.epochs", value=99, origin="model.toml")
    changed = [longer if item.name == longer.name else item for item in fewer]
    third = first.model_copy(update={"run_id": "ccc", "created_at": "2026-11-03T10:00:00+00:00", "parameters": changed})
    return [third, first, second]


@pytest.fixture
def found(records: list[RunRecord]) -> RunsSideBySide:
    return put_side_by_side("squares", records)


def test_runs_stand_in_the_order_of_their_training_and_what_differs_comes_first(found: RunsSideBySide) -> None:
    assert found.runs == ("aaa", "bbb", "ccc")
    seed = next(row for row in found.facts if row.name == "seed")
    assert seed.values[1] == "8" and seed.differs
    different = [row.name for row in found.parameters if row.differs]
    assert sorted(different) == ["training.epochs", "training.weight_decay"]
    assert [row.name for row in found.parameters[:2]] == different
    assert next(row for row in found.parameters if row.name == "training.weight_decay").values[2] == NO_VALUE


def test_curves_keep_the_gaps_of_epochs_that_measured_nothing(found: RunsSideBySide) -> None:
    curves = {item.name: item.values for item in found.curves}
    assert set(curves) == {"loss", "val_loss"}
    assert curves["val_loss"] == ((None, None), (None, 0.8, None), (None, None))
    chart = line_chart(next(item for item in found.curves if item.name == "loss"), found.runs)
    assert chart is not None and chart.n_epochs == 3 and (chart.low, chart.high) == ("0", "0.9")
    assert [len(line.pieces) for line in chart.lines] == [1, 1, 1]
    assert chart.lines[1].pieces[0].split()[0] == "58.0,12.0"  # the highest value, at the first epoch
    assert line_chart(CurvesOfRuns("nothing", ((None,), ())), ("aaa", "bbb")) is None


def test_the_page_shows_every_run_and_needs_nothing_from_outside(found: RunsSideBySide) -> None:
    html = render_runs_html(found)
    assert all(html.count(f'<th scope="col" class="mono">{run}</th>') == 3 for run in found.runs)
    assert html.count("<polyline") == 3 and html.count("<circle") == 1  # one epoch alone is a point
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def test_machines_get_every_value_by_run(found: RunsSideBySide) -> None:
    content = json.loads(json.dumps(found.to_json()))
    assert content["metrics"]["loss"] == {"values": {"aaa": "0.25", "bbb": "0.5", "ccc": "0.25"}, "differs": True}
    assert content["curves"]["loss"]["bbb"] == [0.9, 0.7, 0.5]
    assert content["facts"]["labels"]["differs"] is False
