import numpy as np
import pytest

from lakegate.detections import POSTPROCESSING_DIGEST, Detections, decode, iou_matrix, postprocessing_digest, suppress
from lakegate.errors import BadInput
from lakegate.imaging import Scale

SAME_SIZE = Scale((100, 100), (100, 100))


def naive_iou(first, second):
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (areas[0] + areas[1] - common)


def naive_suppress(boxes, labels, nms_iou):
    kept = []
    for index in range(len(boxes)):
        if all(labels[other] != labels[index] or naive_iou(boxes[other], boxes[index]) <= nms_iou for other in kept):
            kept.append(index)
    return kept


def random_boxes(n, seed):
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 70, (n, 2))
    return np.hstack([corners, corners + random.uniform(5, 30, (n, 2))]).astype(np.float32), random.integers(0, 3, n)


@pytest.mark.parametrize("seed", range(8))
def test_suppression_keeps_what_a_plain_loop_keeps(seed):
    boxes, labels = random_boxes(150, seed)
    assert suppress(boxes, labels, 0.4).tolist() == naive_suppress(boxes, labels, 0.4)


def test_overlaps_equal_those_of_a_plain_loop_and_boxes_without_area_have_none():
    boxes, _ = random_boxes(20, 1)
    expected = [[naive_iou(first, second) for second in boxes] for first in boxes]
    assert np.allclose(iou_matrix(boxes, boxes), expected, atol=1e-6)
    point = np.array([[5, 5, 5, 5]], np.float32)
    assert iou_matrix(point, point).tolist() == [[0.0]]


def test_the_better_of_two_overlapping_boxes_of_one_label_stays_and_other_labels_do_not_matter():
    boxes = np.array([[10, 10, 50, 50], [11, 11, 51, 51], [10, 10, 50, 50]], np.float32)
    scores = np.array([[0.6, 0.1], [0.9, 0.1], [0.1, 0.5]], np.float32)
    found = decode(boxes, scores, SAME_SIZE)
    assert found.boxes_xyxy_px.tolist() == [[11, 11, 51, 51], [10, 10, 50, 50]]
    assert found.labels.tolist() == [0, 1]
    assert np.allclose(found.scores, [0.9, 0.5])


def test_boxes_come_back_in_pixels_of_the_original_and_inside_it():
    scale = Scale((480, 640), (320, 320))
    found = decode(np.array([[160, 160, 400, 320]], np.float32), np.array([[0.9]], np.float32), scale)
    assert found.boxes_xyxy_px.tolist() == [[320, 240, 640, 480]]


def test_low_scores_empty_boxes_and_more_than_the_allowed_objects_are_dropped():
    boxes = np.array([[0, 0, 9, 9], [20, 20, 29, 29], [40, 40, 49, 49], [5, 5, 5, 9], [110, 0, 120, 9]], np.float32)
    scores = np.array([[0.5], [0.7], [0.04], [0.9], [0.9]], np.float32)
    assert decode(boxes, scores, SAME_SIZE).scores.tolist() == pytest.approx([0.7, 0.5])
    assert len(decode(boxes, scores, SAME_SIZE, max_objects=1)) == 1
    assert len(decode(boxes, scores, SAME_SIZE, score_floor=0.01)) == 3


def test_an_image_without_objects_gives_no_detections():
    found = decode(np.zeros((4, 4), np.float32), np.zeros((4, 2), np.float32), SAME_SIZE)
    assert len(found) == 0
    assert found.boxes_xyxy_px.shape == (0, 4)
    assert len(Detections.none().at_least(0.5)) == 0


def test_equal_scores_keep_the_order_of_the_locations():
    boxes = np.array([[x, 0, x + 5, 5] for x in (60, 0, 30)], np.float32)
    found = decode(boxes, np.full((3, 1), 0.5, np.float32), SAME_SIZE)
    assert found.boxes_xyxy_px[:, 0].tolist() == [60, 0, 30]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="raw boxes"):
        decode(np.zeros((2, 3, 4), np.float32), np.zeros((3, 2), np.float32), SAME_SIZE)
    with pytest.raises(BadInput, match="do not fit together"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64))


def test_the_digest_follows_the_parameters():
    assert postprocessing_digest() == POSTPROCESSING_DIGEST
    assert postprocessing_digest(nms_iou=0.6) != POSTPROCESSING_DIGEST


@pytest.mark.parametrize("max_objects", [1, 40, 70, None])
def test_suppression_of_many_boxes_keeps_what_a_plain_loop_keeps_up_to_the_limit(max_objects):
    boxes, labels = random_boxes(400, 3)
    assert suppress(boxes, labels, 0.4, max_objects).tolist() == naive_suppress(boxes, labels, 0.4)[:max_objects]
