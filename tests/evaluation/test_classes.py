from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.declarations import OperatingTable
from lakegate.errors import BadInput, UnknownLabel
from lakegate.evaluation.classes import ClassTruth, JudgedClass, class_statistics, confusion, judge_class
from lakegate.samples import Annotation, Sample
from lakegate.task_types.protocol import ALL_LABELS, LabelView, point_values
from lakegate.task_types.registry import task_type

LABELS = ("apple", "lemon", "melon", "onion")
EVERY_LABEL = LabelView.of(LABELS, LABELS)
OPERATING = OperatingTable()


def judged(*rows: tuple[int, int, float]) -> list[JudgedClass]:
    """Images as (true label, named label, its probability); the rest of the probability is shared by the others."""
    found = []
    for truth, named, probability in rows:
        probabilities = np.full(len(LABELS), (1 - probability) / (len(LABELS) - 1), np.float32)
        probabilities[named] = probability
        found.append(judge_class(probabilities, ClassTruth(truth), EVERY_LABEL))
    return found


def measured(rows: Sequence[JudgedClass]) -> dict[str, dict[str, float | None]]:
    return point_values(class_statistics(rows, LABELS), len(rows))


IMAGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0.26, 1.0)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=12)
@given(IMAGES)
def test_the_metrics_are_those_of_scikit_learn(rows: list[tuple[int, int, float]]) -> None:
    from sklearn import metrics

    true, named = [row[0] for row in rows], [row[1] for row in rows]
    here = sorted(set(true))
    options: dict[str, Any] = {"labels": here, "average": None, "zero_division": np.nan}
    found = measured(judged(*rows))
    precisions, recalls, f1s, _ = metrics.precision_recall_fscore_support(true, named, **options)
    for metric, expected in (("precision", precisions), ("recall", recalls)):
        assert [found[metric][LABELS[label]] for label in here] == pytest.approx(
            [None if np.isnan(value) else value for value in expected]
        )
    assert [found["macro_f1"][LABELS[label]] for label in here] == pytest.approx(f1s)
    assert found["macro_f1"][ALL_LABELS] == pytest.approx(np.mean(f1s))
    assert found["recall"][ALL_LABELS] == pytest.approx(np.mean(recalls))
    assert found["accuracy"] == {**found["recall"], ALL_LABELS: pytest.approx(metrics.accuracy_score(true, named))}
    absent = [label for number, label in enumerate(LABELS) if number not in here]
    assert all(found[metric][label] is None for metric in ("precision", "recall", "macro_f1") for label in absent)
    assert confusion(judged(*rows), 4).tolist() == metrics.confusion_matrix(true, named, labels=range(4)).tolist()


@settings(deadline=None, max_examples=25)
@given(IMAGES, st.randoms(use_true_random=False))
def test_a_weight_counts_an_image_as_often_as_it_says(rows: list[tuple[int, int, float]], random: Any) -> None:
    weights = [1, *(random.choice((0, 1, 1, 3)) for _ in rows[1:])]
    repeated = [row for row, weight in zip(rows, weights, strict=True) for _ in range(weight)]
    weighted = class_statistics(judged(*rows), LABELS).values(np.array([weights, [1] * len(rows)], np.float64))
    for index, same in enumerate((repeated, rows)):
        for metric, by_label in measured(judged(*same)).items():
            for label, value in by_label.items():
                assert weighted[metric][label][index] == pytest.approx(np.nan if value is None else value, nan_ok=True)


def test_only_the_metrics_that_are_asked_for_are_computed() -> None:
    found = class_statistics(judged((0, 0, 0.9)), LABELS).values(np.ones((1, 1)), only=["macro_f1"])
    assert list(found) == ["macro_f1"]


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([(0, 0, 1.0), (1, 1, 1.0)], 0.0),
        ([(0, 1, 1.0), (1, 0, 1.0)], 1.0),
        ([(0, 0, 0.75)] * 3 + [(0, 1, 0.75)], 0.0),  # three of four right with 0.75
        ([(0, 0, 0.9), (0, 1, 0.5), (0, 0, 0.5)], (0.1 + abs(2 * 0.5 - 1)) / 3),
        ([(0, 0, 0.32), (0, 1, 0.34)], (0.68 + 0.34) / 2),  # two bins: their edge is 1/3
    ],
)
def test_the_calibration_error_is_what_one_computes_by_hand(rows: list[tuple[int, int, float]], error: float) -> None:
    assert measured(judged(*rows))["calibration_error"][ALL_LABELS] == pytest.approx(error, abs=1e-6)


def test_an_image_whose_label_the_model_does_not_know_is_never_its_error() -> None:
    view = LabelView.of(("onion", "apple"), LABELS)
    known = judge_class(np.array([0.1, 0.9], np.float32), ClassTruth(0), view)
    unknown = judge_class(np.array([0.2, 0.8], np.float32), ClassTruth(1), view)
    assert (known.is_right, known.predicted, known.probabilities.tolist()) == (True, 0, pytest.approx([0.9, 0, 0, 0.1]))
    assert (unknown.is_judged, unknown.is_right) == (False, False)
    both, one = measured([known, unknown]), measured([known])
    assert both == one
    assert (both["accuracy"][ALL_LABELS], both["recall"]["lemon"]) == (1.0, None)
    assert confusion([known, unknown], 4).sum() == 1
    assert all(value is None for by_label in measured([unknown]).values() for value in by_label.values())


def test_a_prediction_about_other_labels_is_refused() -> None:
    with pytest.raises(BadInput, match="probabilities of 4 labels"):
        judge_class(np.ones(3, np.float32) / 3, ClassTruth(0), EVERY_LABEL)


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ((), "came 0 annotations"),
        ((Annotation("apple"), Annotation("lemon")), "came 2 annotations .apple, lemon"),
        ((Annotation("apple", (0, 0, 5, 5)),), "came 1 annotations .apple"),
    ],
)
def test_a_sample_without_exactly_one_label_is_refused(annotations: tuple[Annotation, ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        task_type("classification").truth_of(Sample("s", 8, 8, annotations), LABELS)


def test_a_label_that_no_model_knows_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownLabel, match="did you mean 'apple'"):
        task_type("classification").truth_of(Sample("s", 8, 8, (Annotation("aple"),)), LABELS)


def test_an_image_is_one_unit_of_its_label() -> None:
    truth = task_type("classification").truth_of(Sample("s", 8, 8, (Annotation("melon", author="ann"),)), LABELS)
    assert truth == ClassTruth(2, "ann")
    assert task_type("classification").count_units(truth, 4).tolist() == [0, 0, 1, 0]


def test_predictions_pass_through_the_cache_unchanged() -> None:
    task = task_type("classification")
    probabilities = task.decode((np.array([0.25, 0.75], np.float32),), None, OPERATING)  # type: ignore[arg-type]
    assert task.unpack(task.pack(probabilities)).tolist() == [0.25, 0.75]
    assert task.processing_digest(OPERATING) == task.processing_digest(OperatingTable(score_threshold=0.9))
    with pytest.raises(BadInput, match="must end with a softmax"):
        task.decode((np.array([-2.0, 3.0], np.float32),), None, OPERATING)  # type: ignore[arg-type]
