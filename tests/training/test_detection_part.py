import numpy as np

from lakegate.training.detection_part import make_targets


def test_targets_describe_the_box_from_each_of_its_locations():
    box = np.array([[8, 16, 56, 48]], np.float32)
    classes, distances, foreground = make_targets(box, np.array([1]), 2, (64, 64), 8)
    assert foreground.sum() > 1
    for row, column in np.argwhere(foreground > 0):
        x, y = column * 8 + 4, row * 8 + 4
        left, top, right, bottom = distances[:, row, column]
        assert [x - left, y - top, x + right, y + bottom] == box[0].tolist()
        assert classes[:, row, column].tolist() == [0, 1]
    assert classes[:, foreground == 0].sum() == 0


def test_of_overlapping_objects_the_smaller_one_wins_and_a_tiny_one_is_not_lost():
    boxes = np.array([[28, 28, 36, 36], [0, 0, 64, 64], [2, 2, 4, 4]], np.float32)
    classes, _, _ = make_targets(boxes, np.array([0, 1, 2]), 3, (64, 64), 8)
    assert classes[0, 3, 3] == 1
    assert classes[1, 2, 2] == 1
    assert classes[2, 0, 0] == 1


def test_an_image_without_objects_is_all_background():
    classes, _, foreground = make_targets(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), 2, (64, 64), 8)
    assert classes.sum() == foreground.sum() == 0
