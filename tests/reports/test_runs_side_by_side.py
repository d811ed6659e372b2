"""Runs side by side, from real run records: what differs comes first, curves are drawn, nothing is made up."""

import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from infra.doctor import find_chromium
from lakegate.reports.runs_page import line_chart, render_runs_html
from lakegate.reports.runs_side_by_side import NO_VALUE, CurvesOfRuns, RunsSideBySide, put_side_by_side
from lakegate.training.record import Parameter, RunRecord
from tests.training.test_record import a_record

CHROMIUM = find_chromium()


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
    assert found.trained == ("2026-11-01 10:00", "2026-11-02 10:00", "2026-11-03 10:00")
    different = [row.name for row in found.parameters if row.differs]
    assert sorted(different) == ["training.epochs", "training.weight_decay"]
    assert [row.name for row in found.parameters[:2]] == different == [row.name for row in found.differences]
    assert found.sentence == f"The runs differ in: {', '.join(different)}."
    assert {row.name for row in found.sameness} > {"labels", "code", "training.seed"}
    assert next(row for row in found.parameters if row.name == "training.weight_decay").values[2] == NO_VALUE


def test_curves_keep_the_gaps_of_epochs_that_measured_nothing(found: RunsSideBySide) -> None:
    curves = {item.name: item.values for item in found.curves}
    assert set(curves) == {"loss", "val_loss"}
    assert curves["val_loss"] == ((None, None), (None, 0.8, None), (None, None))
    chart = line_chart(next(item for item in found.curves if item.name == "loss"), found.runs)
    assert chart is not None and chart.n_epochs == 3 and (chart.low, chart.high) == ("0", "0.9")
    assert [len(line.pieces) for line in chart.lines] == [1, 1, 1]
    assert chart.lines[1].pieces[0].split()[0] == "58.0,12.0"  # the highest value, at the first epoch
    assert (chart.better, chart.lines[1].end) == ("lower", (326.0, 91.1))
    assert line_chart(CurvesOfRuns("nothing", ((None,), ())), ("aaa", "bbb")) is None


def test_the_page_shows_every_run_and_needs_nothing_from_outside(found: RunsSideBySide) -> None:
    html = render_runs_html(found)
    assert all(html.count(f'<span class="mono">{run}</span>') == 3 for run in found.runs)  # two tables and the key
    assert html.count("<polyline") == 3 and html.count("<circle") == 1  # one epoch alone is a point
    assert html.index("What differs between them") < html.index("What came out") < html.index("How they learned")
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")


def scored(record: RunRecord, run: str, **metrics: float) -> RunRecord:
    return record.model_copy(update={"run_id": run, "metrics": metrics, "history": [metrics, metrics]})


def test_the_best_is_named_only_on_samples_that_no_run_learned_from(records: list[RunRecord]) -> None:
    values = {"aaa": (0.5, 0.7), "bbb": (0.4, 0.9), "ccc": (0.6, 0.9)}
    runs = [scored(records[0], run, loss=loss, val_loss=loss, val_accuracy=right) for run, (loss, right) in values.items()]
    metrics = {row.name: row for row in put_side_by_side("squares", runs).metrics}
    assert list(metrics) == ["val_loss", "val_accuracy", "loss"]
    assert (metrics["val_loss"].better, metrics["val_loss"].best) == ("lower", {1})
    assert (metrics["val_accuracy"].better, metrics["val_accuracy"].best) == ("higher", {1, 2})
    assert (metrics["loss"].better, metrics["loss"].best) == ("lower", set())
    html = render_runs_html(put_side_by_side("squares", runs))
    assert html.count('<span class="word">best</span>') == 3
    assert 'data-name="val_accuracy (higher is better)"' in html


def test_runs_of_another_task_stand_beside_each_other_and_are_not_ranked(records: list[RunRecord]) -> None:
    boxes = scored(records[0], "aaa", loss=0.5, val_loss=0.6)
    classes = scored(records[0], "bbb", loss=0.1, val_loss=0.2, val_accuracy=0.9).model_copy(update={"task": "classification"})
    nothing = scored(records[0], "ccc").model_copy(update={"history": []})
    found = put_side_by_side("squares", [boxes, classes, nothing])
    metrics = {row.name: row for row in found.metrics}
    assert metrics["val_accuracy"].values == (NO_VALUE, "0.9", NO_VALUE) and not any(row.best for row in found.metrics)
    assert found.why_not_ranked == "not the same task, so their numbers measure different things"
    learned = put_side_by_side("squares", [scored(records[0], run, loss=loss) for run, loss in (("aaa", 0.5), ("bbb", 0.1))])
    assert learned.why_not_ranked.startswith("no samples that they did not learn from")
    html = render_runs_html(found)
    assert "No number is called the best: the runs have not the same task" in html


def test_twenty_curves_differ_in_looks_and_their_numbers_do_not_cover_each_other() -> None:
    runs = [f"run{number}" for number in range(20)]
    chart = line_chart(CurvesOfRuns("loss", tuple((1.0, 0.5) for _ in runs)), runs)
    assert chart is not None
    assert len({(line.colour, line.dashes) for line in chart.lines}) == 20
    for line, following in pairwise(chart.lines):
        assert line.colour != following.colour and line.dashes != following.dashes
    heights = sorted(line.number_y for line in chart.lines if line.number_y is not None)
    assert len(heights) == 20 and heights[0] >= 12 and heights[-1] <= 190
    assert min(high - low for low, high in pairwise(heights)) > 9


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is absent: the choice of a curve cannot be tried")
def test_choosing_a_run_in_chromium_dims_the_others_without_javascript(found: RunsSideBySide, tmp_path: Path) -> None:
    html = render_runs_html(found)
    assert "<script" not in html
    shown = []
    for name, page in (("alike", html), ("second", html.replace('id="run-2"', 'id="run-2" checked'))):
        probe = "document.title=[...document.querySelectorAll('.lines g')].map(g=>getComputedStyle(g).opacity).join()"
        (tmp_path / f"{name}.html").write_text(f"{page}<script>{probe}</script>")
        shown.append(dumped_title(tmp_path / f"{name}.html"))
    assert shown == ["1,1,1,1,1,1", "0.1,1,0.1,0.1,1,0.1"]


def dumped_title(page: Path) -> str:
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent / 'profile'}"]
    words += ["--dump-dom", page.as_uri()]
    done = subprocess.run([str(CHROMIUM), *words], capture_output=True, text=True, timeout=120, check=True)
    return str(re.findall("<title>(.*?)</title>", done.stdout)[0])  # curves have titles of their own


def test_machines_get_every_value_by_run(found: RunsSideBySide) -> None:
    content = json.loads(json.dumps(found.to_json()))
    assert content["metrics"]["loss"]["values"] == {"aaa": "0.25", "bbb": "0.5", "ccc": "0.25"}
    assert (content["metrics"]["loss"]["better"], content["metrics"]["loss"]["best"]) == ("lower", [])
    assert content["curves"]["loss"]["bbb"] == [0.9, 0.7, 0.5]
    assert content["facts"]["labels"]["differs"] is False
    assert content["costs"]["weights kept of epoch"]["values"] == {"aaa": "2 of 2", "bbb": "3 of 3", "ccc": "2 of 2"}
