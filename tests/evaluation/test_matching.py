import numpy as np

from lakegate.detections import Detections
from lakegate.evaluation.matching import match_detections


def detections(boxes: list[tuple[float, float, float, float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64))


def match(truth_boxes: list[tuple[float, float, float, float]], truth_labels: list[int], found: Detections) -> list[int]:
    boxes = np.array(truth_boxes, np.float32).reshape(-1, 4)
    result = match_detections(boxes, np.array(truth_labels, np.int64), found)
    for prediction, truth in enumerate(result.truth_of_prediction.tolist()):
        assert truth == -1 or result.prediction_of_truth[truth] == prediction
    return result.truth_of_prediction.tolist()


def test_an_overlap_of_exactly_one_half_counts() -> None:
    assert match([(0, 0, 2, 1)], [0], detections([(0, 0, 1, 1)], [0.9], [0])) == [0]
    assert match([(0, 0, 2.1, 1)], [0], detections([(0, 0, 1, 1)], [0.9], [0])) == [-1]


def test_of_two_boxes_on_one_object_the_higher_score_has_it() -> None:
    assert match([(0, 0, 10, 10)], [0], detections([(0, 0, 10, 9), (0, 0, 10, 10)], [0.9, 0.8], [0, 0])) == [0, -1]
    assert match([(0, 0, 10, 10)], [0], detections([(0, 0, 10, 9), (0, 0, 10, 10)], [0.8, 0.9], [0, 0])) == [-1, 0]


def test_a_box_takes_the_free_object_that_it_fits_best() -> None:
    found = detections([(0, 0, 10, 10), (0, 0, 10, 9)], [0.9, 0.8], [0, 0])
    assert match([(0, 0, 10, 8), (0, 0, 10, 10)], [0, 0], found) == [1, 0]


def test_another_label_is_no_match() -> None:
    assert match([(0, 0, 10, 10)], [1], detections([(0, 0, 10, 10)], [0.9], [0])) == [-1]


def test_nothing_matches_nothing() -> None:
    assert match([], [], detections([(0, 0, 1, 1)], [0.5], [0])) == [-1]
    assert match([(0, 0, 1, 1)], [0], Detections.none()) == []
