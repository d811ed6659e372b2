"""What is drawn of an annotation."""

import re

import numpy as np
import pytest

from lakegate.geometry import Keypoint
from lakegate.masks import box_of_rle, rle_of_mask
from lakegate.quality.drawn_shapes import MAX_MASK_PX, MAX_OBJECTS, drawn_shapes
from lakegate.samples import Annotation
from tests.quality.building import a_box, a_sample

LABELS = {"cat": 0, "dog": 1}


def drawn(*annotations, bad=(), **changes):
    return drawn_shapes(a_sample("one", annotations=annotations, **changes), LABELS, bad)


def corners_of(path):
    """Return the points of each closed outline of a path."""
    return [[tuple(map(float, point.split())) for point in re.split("[ML]", part)[1:]] for part in path.split("Z")[:-1]]


def test_boxes_are_numbered_as_in_the_sample_and_what_breaks_a_rule_comes_last():
    shapes, notes = drawn(a_box(1, 2, 3, 4), a_box(5, 6, 7, 8.25, "dog"), bad={1})
    assert shapes == [[1, 2, 0, [5, 6, 7, 8.2], "", 0], [0, 1, 1, [1, 2, 3, 4], "", 0]] and notes == []


def test_a_polygon_is_an_outline_and_a_point_on_its_edge_that_nobody_sees_is_left_out():
    edge = [number for x in np.linspace(4, 40, 60) for number in (float(x), 5.0)]
    many = (*edge, 40.0, 30.0, 4.0, 30.0)
    shapes, _ = drawn(Annotation("cat", (4, 5, 36, 25), polygons_px=(many,)))
    (outline,) = corners_of(shapes[0][4])
    assert set(outline) == {(4, 5), (40, 5), (40, 30), (4, 30)}


def test_a_mask_is_drawn_with_its_hole():
    mask_HW = np.zeros((48, 64), np.uint8)
    mask_HW[10:30, 20:50] = 1
    mask_HW[15:25, 30:40] = 0
    rle = rle_of_mask(mask_HW)
    shapes, notes = drawn(Annotation("cat", box_of_rle(rle), rle=rle))
    outside, inside = corners_of(shapes[0][4])
    assert set(outside) == {(20.5, 10.5), (49.5, 10.5), (49.5, 29.5), (20.5, 29.5)} and len(inside) >= 4 and notes == []


def test_a_round_mask_is_drawn_with_the_points_that_are_seen():
    y_HW, x_HW = np.mgrid[:200, :200]
    rle = rle_of_mask(((x_HW - 100) ** 2 + (y_HW - 100) ** 2 <= 80**2).astype(np.uint8))
    shapes, _ = drawn(Annotation("cat", box_of_rle(rle), rle=rle), width_px=200, height_px=200)
    (outline,) = corners_of(shapes[0][4])
    assert len(outline) > 8
    assert all(abs(np.hypot(x - 100.5, y - 100.5) - 80) < 1 for x, y in outline)


def test_points_that_are_not_labelled_are_not_drawn():
    points = (Keypoint("nose", 10, 12), Keypoint("tail", 0, 0, 0), Keypoint("ear", 20.04, 3, 1))
    shapes, _ = drawn(Annotation("dog", (1, 1, 30, 30), keypoints=points))
    assert shapes[0][5] == [[10, 12, 2], [20, 3, 1]]


def test_a_label_of_the_whole_image_has_no_shape():
    assert drawn(Annotation("cat")) == ([], [])


def test_what_is_too_much_to_draw_is_counted_in_words():
    shapes, notes = drawn(*(a_box(number % 60) for number in range(MAX_OBJECTS + 7)), bad={MAX_OBJECTS + 7})
    assert len(shapes) == MAX_OBJECTS and notes == ["7 further objects are not drawn"]
    assert shapes[-1][1:3] == [MAX_OBJECTS + 7, 1], "the bad one is drawn, though it is the last"
    rle = rle_of_mask(np.ones((10, 10)))
    many = [Annotation("cat", (0, 0, 10, 10), rle=rle)] * 5
    wide = {"width_px": 10_000, "height_px": MAX_MASK_PX // 20_000}
    shapes, notes = drawn(*many, **wide)
    assert notes == ["3 masks are drawn as boxes"] and sum(bool(shape[4]) for shape in shapes) == 2


@pytest.mark.parametrize("box", [(float("nan"), 1, 2, 3), (float("inf"), 0, 5, 5), (-4, -4, 0, 0)])
def test_a_box_that_is_no_box_stops_no_page(box):
    shapes, _ = drawn(a_box(*box), Annotation("cat", box, polygons_px=((1.0, 2.0),)))
    assert len(shapes) == 2
