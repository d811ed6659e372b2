import numpy as np
import pytest

from lakegate.detections import Detections
from lakegate.evaluation.metrics import measure
from lakegate.evaluation.scoring import ScoredDetections, Truth, score
from lakegate.task_types.protocol import Values
from tests.evaluation.planted import LABELS, Found, box_at, found


def judged(truth: list[tuple[int, int]], predictions: list[Found], threshold: float = 0.3) -> ScoredDetections:
    """One image; ``truth`` as (place, label index)."""
    boxes = np.array([box_at(slot) for slot, _ in truth], np.float32).reshape(-1, 4)
    objects = Truth(boxes, np.array([label for _, label in truth], np.int64))
    rows = sorted(predictions, key=lambda item: -item[1])
    detections = Detections(
        np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.int64),
    )
    return score(detections, objects, threshold, np.ones(2, np.bool_))


def values(*images: ScoredDetections) -> Values:
    return measure(images, LABELS)


def test_a_perfect_model_has_one_everywhere_and_no_errors() -> None:
    result = values(judged([(0, 0), (1, 1)], [found(0), found(1, 0.9, 1)]))
    assert {name: result[name][""] for name in ("map50", "map", "precision", "recall")} == pytest.approx(
        {"map50": 1.0, "map": 1.0, "precision": 1.0, "recall": 1.0}
    )
    assert (result["missed_per_image"][""], result["false_per_image"][""]) == (0, 0)


def test_average_precision_of_one_of_two_objects_is_what_one_computes_by_hand() -> None:
    # precision 1 up to recall 0.5: 51 of COCO's 101 recall levels
    assert values(judged([(0, 0), (1, 0)], [found(0)]))["map50"][""] == pytest.approx(51 / 101)


def test_a_false_object_with_a_higher_score_halves_the_precision_curve() -> None:
    assert values(judged([(0, 0)], [found(5, 0.9), found(0, 0.8)]))["map50"][""] == pytest.approx(0.5)


def test_map_over_stricter_overlaps_falls_with_the_fit() -> None:
    x1, y1, x2, y2 = box_at(0)
    loose = ((x1, y1, x2, y2 - 4), 0.9, 0)  # IoU 0.75: right at 0.5 to 0.75, wrong above
    result = values(judged([(0, 0)], [loose]))
    assert (result["map50"][""], result["map"][""]) == pytest.approx((1.0, 0.6))


def test_average_precision_sees_what_lies_below_the_threshold_and_recall_does_not() -> None:
    result = values(judged([(0, 0)], [found(0, 0.1)]))
    assert (result["map50"][""], result["recall"][""], result["precision"][""]) == (pytest.approx(1.0), 0.0, None)


def test_the_mean_is_over_labels_and_leaves_out_those_without_objects() -> None:
    both = values(judged([(0, 0), (1, 1)], [found(0)]))
    assert (both["map50"]["cell"], both["map50"]["plate"], both["map50"][""]) == pytest.approx((1.0, 0.0, 0.5))
    one = values(judged([(0, 0)], [found(0), found(2, 0.9, 1)]))
    assert (one["map50"]["plate"], one["map50"][""]) == (None, pytest.approx(1.0))
    assert (one["recall"]["plate"], one["precision"]["plate"], one["missed_per_image"]["plate"]) == (None, None, None)
    assert one["false_per_image"]["plate"] == 1.0


def test_counts_are_per_image_at_the_threshold() -> None:
    result = values(
        judged([(0, 0), (1, 0), (2, 1)], [found(0, 0.3), found(1, 0.29), found(7, 0.5)]),
        judged([], [found(8, 0.6, 1)]),
    )
    assert (result["recall"][""], result["precision"][""]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert (result["missed_per_image"][""], result["false_per_image"][""]) == (1.0, 1.0)
    assert (result["missed_per_image"]["plate"], result["false_per_image"]["plate"]) == (0.5, 0.5)


@pytest.mark.parametrize("predictions", [[], [found(0)]])
def test_without_objects_nothing_is_zero_but_false_objects_are_counted(predictions: list[Found]) -> None:
    result = values(judged([], predictions))
    for name in ("map50", "map", "precision", "recall", "missed_per_image"):
        assert set(result[name].values()) == {None}, name
    assert result["false_per_image"][""] == len(predictions)


def test_a_model_that_finds_nothing_has_zero_where_there_are_objects() -> None:
    result = values(judged([(0, 0)], []))
    sizes = {"@small": 0.0, "@medium": None, "@large": None}
    assert (result["map50"], result["recall"]["cell"]) == ({"cell": 0.0, "plate": None, "": 0.0, **sizes}, 0.0)


def test_no_image_at_all_gives_no_value() -> None:
    assert {value for by_label in values().values() for value in by_label.values()} == {None}
