"""Objects with masks, polygons, keypoints and labels of the whole image find their counterpart; crowded images stay cheap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakegate.geometry import Keypoint
from lakegate.lake.object_matching import match_boxes, match_objects
from lakegate.masks import box_of_points, box_of_rle, rle_of_mask
from lakegate.samples import Annotation

SIZE_PX = (100, 80)


def masked(label: str, rows: slice, columns: slice, **attributes: str) -> Annotation:
    mask_HW = np.zeros((80, 100), np.uint8)
    mask_HW[rows, columns] = 1
    rle = rle_of_mask(mask_HW)
    return Annotation(label, box_of_rle(rle), rle=rle, attributes=attributes)


def polygon(label: str, *points_px: float) -> Annotation:
    return Annotation(label, box_of_points(points_px), polygons_px=(points_px,))


def pose(x_px: float, y_px: float, *more: float) -> Annotation:
    numbers = (x_px, y_px, *more)
    points = tuple(Keypoint(f"p{n}", *numbers[2 * n : 2 * n + 2]) for n in range(len(numbers) // 2))
    return Annotation("person", box_of_points(numbers), keypoints=points)


def test_masks_match_by_their_pixels_and_not_by_their_boxes():
    frame = masked("a", slice(0, 40), slice(0, 40))
    corner = Annotation("a", (0, 0, 40, 40), polygons_px=((0, 0, 40, 0, 40, 5, 5, 5, 5, 40, 0, 40),))
    assert match_boxes([frame], [corner]).pairs == ((0, 0),)
    assert match_objects([frame], [corner], SIZE_PX).pairs == ()


def test_a_polygon_matches_the_mask_that_it_was_turned_into():
    old = polygon("a", 10, 10, 50, 10, 50, 40, 10, 40)
    assert match_objects([old], [masked("a", slice(10, 40), slice(10, 50))], SIZE_PX).pairs == ((0, 0),)


def test_a_box_matches_the_mask_that_was_drawn_into_it():
    assert match_objects([Annotation("a", (10, 10, 40, 30))], [masked("a", slice(10, 40), slice(10, 45))], SIZE_PX).pairs


def test_keypoints_match_by_the_boxes_around_them_and_a_single_point_by_its_distance():
    assert match_objects([pose(10, 10, 50, 60)], [pose(12, 10, 50, 62)], SIZE_PX).pairs == ((0, 0),)
    assert match_objects([pose(10, 10)], [pose(12, 10)], SIZE_PX).pairs == ((0, 0),), "2 px of 100 are within reach"
    assert match_objects([pose(10, 10)], [pose(13, 10)], SIZE_PX).pairs == ()


def test_an_image_with_one_class_was_reclassified_and_one_with_several_was_not():
    cat, dog, night = Annotation("cat"), Annotation("dog"), Annotation("night")
    assert match_objects([cat], [dog], SIZE_PX).pairs == ((0, 0),)
    assert match_objects([cat, night], [dog, night], SIZE_PX).pairs == ((1, 1),)


def test_the_semantic_mask_of_a_class_matches_itself_however_much_it_changed():
    old = masked("road", slice(0, 10), slice(0, 10), kind="semantic")
    new = masked("road", slice(50, 80), slice(50, 90), kind="semantic")
    assert match_objects([old], [new], SIZE_PX).pairs == ((0, 0),)


def test_masks_of_two_image_sizes_are_compared_by_their_boxes():
    old, new = masked("a", slice(10, 40), slice(10, 50)), masked("a", slice(10, 40), slice(10, 49))
    assert match_objects([old], [new], None).pairs == ((0, 0),)


@pytest.mark.parametrize("n_objects", [1000])
def test_a_crowd_of_moved_objects_is_matched_one_to_one(n_objects: int):
    random = np.random.default_rng(0)
    corners = random.uniform(0, 4000, (n_objects, 2)).round(1)
    old = [Annotation("a", (x, y, 60.0, 60.0)) for x, y in corners.tolist()]
    new = [Annotation("a", (x + 1.0, y, 60.0, 60.0)) for x, y in corners[::-1].tolist()]
    matches = match_objects(old, new, (4100, 4100))
    assert len(matches.pairs) == n_objects
    assert all(abs(old[i].box_xyxy_px[0] + 1 - new[j].box_xyxy_px[0]) < 60 for i, j in matches.pairs)


boxes = st.tuples(*(st.integers(0, 12),) * 2, *(st.integers(1, 8),) * 2)
sides = st.lists(st.builds(Annotation, st.sampled_from("ab"), boxes), max_size=9)


@given(old=sides, new=sides)
@settings(max_examples=150, deadline=None)
def test_every_object_stands_in_exactly_one_place_and_no_free_pair_overlaps(old: list[Annotation], new: list[Annotation]):
    matches = match_objects(old, new, (40, 40))
    assert sorted([i for i, _ in matches.pairs] + list(matches.only_old)) == list(range(len(old)))
    assert sorted([j for _, j in matches.pairs] + list(matches.only_new)) == list(range(len(new)))
    free = match_objects([old[i] for i in matches.only_old], [new[j] for j in matches.only_new], (40, 40))
    assert free.pairs == ()


@given(side=sides)
@settings(max_examples=50, deadline=None)
def test_labels_match_themselves_whatever_their_order(side: list[Annotation]):
    backwards = side[::-1]
    pairs = match_objects(side, backwards, (40, 40)).pairs
    assert all((side[i].bbox_xywh_px, side[i].label) == (backwards[j].bbox_xywh_px, backwards[j].label) for i, j in pairs)
    assert len(pairs) == len(side)
