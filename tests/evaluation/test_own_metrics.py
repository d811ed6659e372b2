"""lakegate/evaluation/own_metrics.py: a team's own function in the matrix and in the gate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lakegate.canonical import sha256_file
from lakegate.errors import BadDeclaration
from lakegate.evaluation import bootstrap
from lakegate.evaluation.comparing import compare
from lakegate.evaluation.evidence import matrix_json
from lakegate.evaluation.gate import judge
from lakegate.evaluation.own_metrics import OwnStatistics, code_digests, load_functions
from lakegate.evaluation.predictions import ModelUnderTest
from lakegate.evaluation.stored import read_matrix
from lakegate.gate_rules import Outcome, parse_rule
from lakegate.model_tables import OwnMetricTable
from tests.evaluation import team_metrics
from tests.evaluation.planted import World, found, object_at

NAME = "worst_label_recall"


def own(function: str) -> dict[str, OwnMetricTable]:
    return {NAME: OwnMetricTable(function=f"tests.evaluation.team_metrics:{function}", higher_is_better=True)}


def with_own(model: ModelUnderTest) -> ModelUnderTest:
    return replace(model, declaration=model.declaration.model_copy(update={"metrics": own(NAME)}))


def test_an_own_metric_is_measured_drawn_and_gated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {number: [object_at(0), object_at(1, "plate")] for number in range(30)}
    now, before = world.version(objects), world.version(objects, tag="v1")
    everything = [found(0), found(1, label=1)]
    candidate = with_own(world.model("new", {number: everything[: 1 + (number % 5 > 0)] for number in range(30)}))
    baseline = world.model("old", {number: everything for number in range(30)})
    calls = []
    measure = team_metrics.worst_label_recall
    monkeypatch.setattr(team_metrics, NAME, lambda samples: calls.append(len(samples)) or measure(samples))
    matrix = compare(candidate, baseline, now, before, world.settings, n_latency_images=0)
    cell = matrix.require_cell("all")
    assert (cell.value(NAME), cell.value(NAME, row="baseline")) == (0.8, 1.0)
    assert cell.intervals["candidate"][NAME][""][0] < 0.8 < cell.intervals["candidate"][NAME][""][1]
    low, high = cell.intervals["difference"][NAME][""]
    assert -0.45 < low < -0.2 < high < 0
    n_cells_with_samples = 2  # all and old data; the diff is empty
    assert len(calls) == n_cells_with_samples * 2 * (bootstrap.N_OWN_REPLICATES + 2)  # the measured value is asked for twice
    rules = [parse_rule(f"{NAME}.all.max_drop", 0.01, [NAME]), parse_rule(f"{NAME}.all.min", 0.7, [NAME])]
    verdict = judge(rules, matrix)
    assert [item.outcome for item in verdict.results] == [Outcome.FAIL, Outcome.PASS]
    assert verdict.results[0].counter_examples[:2] == ("planted/s0000", "planted/s0005")
    assert read_matrix(matrix_json(matrix, verdict)).rules == verdict.results


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("absent", r"\[metrics.worst_label_recall\] .*has no attribute 'absent'; the module must be installed where"),
        ("CONSTANT", "expected a function in a Python file"),
    ],
)
def test_a_function_that_cannot_be_had_is_named(function: str, says: str) -> None:
    with pytest.raises(BadDeclaration, match=says):
        load_functions(own(function))


def test_a_function_that_returns_no_number_is_named() -> None:
    statistics = OwnStatistics(load_functions(own("no_number")), [None, None])  # type: ignore[list-item]
    with pytest.raises(BadDeclaration, match="expected a number, the function returned '2 samples'"):
        statistics.values(np.ones((1, 2)))


def test_changed_code_of_a_metric_is_another_comparison() -> None:
    assert code_digests(own(NAME)) == (sha256_file(Path(team_metrics.__file__)),)
