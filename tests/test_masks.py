"""Masks: run lengths, polygons and overlap agree with a mask drawn by hand."""

import numpy as np

from lakegate.masks import area_px, box_of_rle, mask_iou_matrix, mask_of_rle, rle_of, rle_of_mask, rle_of_polygons
from lakegate.samples import Annotation, Sample


def square(x: int, y: int, side: int) -> np.ndarray:
    mask_HW = np.zeros((20, 30), np.uint16)
    mask_HW[y : y + side, x : x + side] = 700  # a label map holds any number
    return mask_HW


def test_a_mask_survives_the_way_to_run_lengths_and_back():
    rle = rle_of_mask(square(3, 4, 5))
    assert (mask_of_rle(rle) == (square(3, 4, 5) > 0)).all()
    assert area_px(rle) == 25
    assert box_of_rle(rle) == (3, 4, 5, 5)


def test_a_polygon_is_filled():
    assert area_px(rle_of_polygons([(2, 2, 12, 2, 12, 12, 2, 12)], 20, 30)) == 100


def test_overlap_is_intersection_over_union():
    one, half = rle_of_mask(square(0, 0, 4)), rle_of_mask(square(2, 0, 4))
    assert np.allclose(mask_iou_matrix([one, half], [one]), [[1], [8 / 24]])
    assert mask_iou_matrix([], [one]).shape == (0, 1)


def test_shapes_survive_the_way_through_the_file_and_give_an_id_of_their_own():
    rle = rle_of_mask(square(3, 4, 5))
    masked = Annotation("nucleus", box_of_rle(rle), rle=rle, track_id="7")
    drawn = Annotation("nucleus", (2, 2, 10, 10), polygons_px=((2.0, 2.0, 12.0, 2.0, 12.0, 12.0),))
    sample = Sample("a", 30, 20, (masked, drawn))
    read = Sample.from_json("a", sample.to_json())
    assert {item.rle for item in read.annotations} == {rle, None}
    assert read.to_json() == sample.to_json()
    assert len({item.id for item in read.annotations}) == 2
    assert rle_of(drawn, 20, 30) is not None
    assert rle_of(Annotation("cell", (0, 0, 1, 1)), 20, 30) is None
