"""Curves and confusion, on worlds whose answers are known."""

import numpy as np
import pytest

from lakegate.evaluation.comparing import compare
from lakegate.evaluation.gate import judge
from lakegate.evaluation.matrix import Matrix
from lakegate.evaluation.plots import Confusion, Plots, plots_of, precision_recall, thinned
from lakegate.evaluation.report import render_matrix_html
from tests.evaluation.planted import World, found, object_at


@pytest.fixture
def matrix(world: World) -> Matrix:
    """10 images with a cell and a plate each. The candidate takes 3 plates for cells, misses 2, and shows 4 false cells."""
    objects = {number: [object_at(0), object_at(1, "plate")] for number in range(10)}
    plate = {number: [found(1, 0.8, 0)] if number < 3 else [] if number < 5 else [found(1, 0.8, 1)] for number in range(10)}
    candidate = {number: [found(0), *plate[number], *([found(8, 0.6)] if number < 4 else [])] for number in range(10)}
    baseline = {number: [found(0), found(1, 0.8, 1)] for number in range(10)}
    now = world.version(objects)
    models = world.model("new", candidate), world.model("old", baseline)
    return compare(*models, now, now, world.settings, n_latency_images=0)


def test_confusion_counts_what_each_object_was_taken_for(matrix: Matrix) -> None:
    confusion = plots_of(matrix).confusion
    assert confusion is not None and confusion.baseline is not None
    assert confusion.truths == confusion.answers == ("cell", "plate", "nothing")
    assert confusion.candidate.tolist() == [[10, 0, 0], [3, 5, 2], [4, 0, 0]]
    assert confusion.baseline.tolist() == [[10, 0, 0], [0, 10, 0], [0, 0, 0]]
    assert confusion.most_frequent() == [("nothing", "cell", 4, 0), ("plate", "cell", 3, 0), ("plate", "nothing", 2, 0)]


def test_the_diagonal_holds_the_objects_that_count_as_found(matrix: Matrix) -> None:
    confusion = plots_of(matrix).confusion
    assert confusion is not None
    recall = matrix.cells[0].value("recall")
    assert recall is not None
    assert np.trace(confusion.candidate) == round(recall * 20)


def test_a_curve_ends_at_the_recall_that_the_model_reaches_and_marks_where_it_works(matrix: Matrix) -> None:
    charts = {chart.title: {curve.row: curve for curve in chart.curves} for chart in plots_of(matrix).charts}
    assert list(charts) == ["all labels together", "cell", "plate"]
    right = charts["all labels together"]["baseline"]
    assert right.points[0] == (0.0, 1.0) and right.at == (1.0, 1.0)
    plates = charts["plate"]["candidate"]
    assert plates.at == (0.5, 1.0) and max(x for x, _ in plates.points) == 0.5
    cells = charts["cell"]["candidate"]
    assert cells.at == (1.0, pytest.approx(10 / 17))


def test_precision_is_the_best_that_is_reached_at_that_recall_or_beyond() -> None:
    recall, precision = precision_recall(np.array([0.5, 0.9, 0.7]), np.array([True, False, True]), 4)
    assert recall.tolist() == [0.0, 0.25, 0.5]
    assert precision.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3])


def test_a_long_curve_keeps_its_ends() -> None:
    points = [(index / 999, 0.5) for index in range(1000)]
    assert len(thinned(points)) == 120 and (thinned(points)[0], thinned(points)[-1]) == (points[0], points[-1])


def test_the_page_draws_both_models_and_the_confusion(matrix: Matrix) -> None:
    html = render_matrix_html(matrix, judge([], matrix))
    assert html.count("<polyline") == 6
    assert "<small>was 10</small>" in html


def test_many_labels_are_listed_by_how_often_they_are_confused() -> None:
    names = tuple(f"label {number}" for number in range(40))
    counts = np.diag(np.full(40, 5))
    counts[3, 4] = 9
    confusion = Confusion("image", names, names, counts, None)
    assert not confusion.is_grid and confusion.most_frequent() == [("label 3", "label 4", 9, None)]
    assert Plots().charts == ()


def test_objects_of_a_label_that_a_model_does_not_know_are_not_in_its_curves(world: World) -> None:
    objects = {number: [object_at(0), object_at(1, "plate")] for number in range(6)}
    candidate = world.model("new", {number: [found(0), found(1, 0.8, 1)] for number in range(6)})
    baseline = world.model("old", {number: [found(0), found(1, 0.7)] for number in range(6)}, labels=("cell",))
    matrix = compare(candidate, baseline, world.version(objects), None, world.settings, n_latency_images=0)
    plots = plots_of(matrix)
    charts = {chart.title: {curve.row: curve.at for curve in chart.curves} for chart in plots.charts}
    assert charts["all labels together"] == {"candidate": (1.0, 1.0), "baseline": (1.0, 1.0)}
    assert "plate" not in charts  # it has a column of its own
    assert plots.confusion is not None and plots.confusion.baseline is not None
    assert plots.confusion.truths == ("cell", "nothing")
    assert plots.confusion.baseline.tolist() == [[6, 0], [0, 0]]
