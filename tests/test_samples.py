"""lakegate/samples.py: equal labels are equal bytes, and a sample survives the way to its file and back."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from lakegate.errors import BadInput
from lakegate.samples import Annotation, ImportedSample, Sample, annotation_object, draw_split, sample_id_of, with_ids

CELL = Annotation("WBC", (10.0, 20.0, 30.0, 40.0))
OTHER = Annotation("RBC", (1.5, 2.0, 3.0, 4.0), attributes={"occluded": "yes"}, author="ada")


def test_a_sample_survives_the_way_to_its_file_and_back():
    annotations = tuple(with_ids((CELL, OTHER)))
    source = {"licence": "MIT"}
    sample = Sample("north/0001", 640, 480, annotations, "test", "camera-3", ("night", "rain"), source, "2019-01-01", 7)
    assert Sample.from_json(sample.id, sample.to_json()) == sample


def test_the_order_in_the_export_does_not_change_the_bytes():
    same_place = [replace(CELL, attributes={"a": "1"}), replace(CELL, attributes={"a": "2"}), OTHER]
    assert len({Sample("a", 9, 9, tuple(order)).to_json() for order in permutations(same_place)}) == 1


def test_integer_and_float_boxes_of_equal_value_are_equal_bytes():
    whole = Annotation("WBC", (10, 20, 30, 40))
    assert Sample("a", 99, 99, (whole,)).to_json() == Sample("a", 99, 99, (CELL,)).to_json()


def test_reading_and_writing_again_gives_the_same_bytes_though_boxes_are_rounded():
    close = (Annotation("RBC", (1.0001, 9.0, 5.0, 5.0)), Annotation("RBC", (1.0004, 2.0, 5.0, 5.0)))
    first = Sample("a", 99, 99, close).to_json()
    assert Sample.from_json("a", first).to_json() == first


def test_a_moved_box_gets_another_id_and_an_unmoved_one_keeps_its_own():
    before = with_ids((CELL, OTHER))
    after = with_ids((replace(CELL, bbox_xywh_px=(11.0, 20.0, 30.0, 40.0)), OTHER))
    assert {item.id for item in before} & {item.id for item in after} == {item.id for item in before if item.label == "RBC"}


def test_two_equal_boxes_get_two_ids():
    assert len({item.id for item in with_ids((CELL, CELL))}) == 2


def test_an_id_from_the_export_is_kept():
    assert [item.id for item in with_ids((replace(CELL, id="cvat-17"),))] == ["cvat-17"]


def test_corners_are_computed_from_the_coco_box():
    assert CELL.box_xyxy_px == (10.0, 20.0, 40.0, 60.0)


def test_an_annotation_without_a_box_says_so_when_corners_are_asked_for():
    with pytest.raises(BadInput, match="annotation RBC has no box"):
        _ = Annotation("RBC").box_xyxy_px


GOOD = '"width": 1, "height": 1, "group": "a", "annotations": []'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html>", "JSONDecodeError"),
        (b"{\xc3(}", "UnicodeDecodeError"),
        (b"[]", "TypeError"),
        (b'{"width": 1}', "'split'"),
        (f'{{{GOOD}, "split": "tset"}}'.encode(), "split is 'tset', expected one of train, val, test"),
        (f'{{{GOOD[:-2]}[{{"label": "RBC", "bbox": [1, 2, 3]}}], "split": "test"}}'.encode(), "IndexError"),
        (f'{{{GOOD[:-2]}[{{"label": "RBC", "bbox": ["a", 2, 3, 4]}}], "split": "test"}}'.encode(), "could not convert"),
    ],
)
def test_a_file_that_is_no_sample_is_refused_by_name_and_reason(data, reason):
    with pytest.raises(BadInput, match=reason) as raised:
        Sample.from_json("north/0001", data)
    assert "annotations/north/0001.json" in str(raised.value)


@pytest.mark.parametrize("sample_id", ["0001", "north/0001", "clip.v2/frame.0001"])
def test_object_paths_lead_back_to_the_sample(sample_id):
    imported = ImportedSample(Sample(sample_id, 1, 1), Path("export/IMAGE.JPG"))
    assert imported.image_object == f"images/{sample_id}.jpg"
    assert imported.annotation_object == annotation_object(sample_id)
    assert sample_id_of(imported.image_object) == sample_id_of(imported.annotation_object) == sample_id


def test_about_the_declared_share_of_groups_is_drawn_for_each_split():
    drawn = [draw_split(f"camera-{number}", 0.2, 0.1) for number in range(2000)]
    assert abs(drawn.count("test") / 2000 - 0.2) < 0.03
    assert abs(drawn.count("val") / 2000 - 0.1) < 0.03


def test_a_larger_test_share_takes_no_group_out_of_the_test_split():
    groups = [f"clip-{number}" for number in range(500)]
    small, large = ({group for group in groups if draw_split(group, share) == "test"} for share in (0.1, 0.3))
    assert small < large


def test_a_share_of_zero_draws_nothing():
    assert {draw_split(str(number), 0.0) for number in range(200)} == {"train"}
