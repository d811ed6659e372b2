"""LabelMe: no real file lies in the shared data, so all files here are written after what LabelMe 5 itself writes."""

import base64
import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lakegate.errors import BadExport
from lakegate.formats.export_files import open_export
from lakegate.formats.importing import import_export
from lakegate.formats.labelme import is_labelme, read_labelme
from lakegate.formats.reading import Reading, SourceObject
from lakegate.geometry import Keypoint
from lakegate.masks import mask_of_rle

from .exports import coco_content, declare, write_image

SIZE_PX = (64, 48)


def shape(kind: str, label: str, points: list[list[float]], **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def content(*shapes: object, image: str = "a.png", **more: Any) -> dict[str, Any]:
    width, height = SIZE_PX
    return {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None,
            "imageHeight": height, "imageWidth": width, **more}  # fmt: skip


def write(folder: Path, *shapes: object, name: str = "a", **more: Any) -> Path:
    write_image(folder / f"{name}.png", SIZE_PX)
    (folder / f"{name}.json").write_text(json.dumps(content(*shapes, **{"image": f"{name}.png", **more})))
    return folder


def read(folder: Path) -> Reading:
    return read_labelme(open_export(folder, None))


def objects_of(folder: Path, *shapes: object) -> tuple[SourceObject, ...]:
    reading = read(write(folder, *shapes))
    assert reading.problems == []
    return reading.records[0].objects


def png(mask_HW: Any) -> str:
    file = BytesIO()
    Image.fromarray(np.asarray(mask_HW, np.uint8) * 255).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_polygons_rectangles_and_flags_come_in(tmp_path):
    rectangle = shape("rectangle", "car", [[30, 20], [10, 5]], flags={"occluded": True, "parked": False}, description="red")
    polygon, car = objects_of(tmp_path, shape("polygon", "tree", [[0, 0], [4, 0], [4, 6]]), rectangle)
    assert (polygon.polygons_px, polygon.bbox_xywh_px) == (((0, 0, 4, 0, 4, 6),), (0, 0, 4, 6))
    assert (car.bbox_xywh_px, car.polygons_px) == ((10, 5, 20, 15), ())
    assert car.attributes == {"occluded": "true", "description": "red"}


def test_a_circle_is_a_polygon_around_its_centre(tmp_path):
    (car,) = objects_of(tmp_path, shape("circle", "wheel", [[20, 20], [23, 24]]))
    assert car.bbox_xywh_px == pytest.approx((15, 15, 10, 10))
    xs, ys = car.polygons_px[0][0::2], car.polygons_px[0][1::2]
    assert {round(math.dist((20, 20), place), 6) for place in zip(xs, ys, strict=True)} == {5.0}


def test_a_rectangle_of_four_corners_is_a_box_only_where_it_stands_straight(tmp_path):
    straight, turned = objects_of(
        tmp_path,
        shape("rectangle", "car", [[1, 1], [5, 1], [5, 9], [1, 9]]),
        shape("rectangle", "car", [[5, 0], [10, 5], [5, 10], [0, 5]]),
    )
    assert (straight.bbox_xywh_px, straight.polygons_px) == ((1, 1, 4, 8), ())
    assert (turned.bbox_xywh_px, len(turned.polygons_px)) == ((0, 0, 10, 10), 1)


def test_polygons_of_one_group_and_label_are_one_object(tmp_path):
    left, right = [[0, 0], [4, 0], [4, 4]], [[10, 0], [14, 0], [14, 4]]
    car, other = objects_of(
        tmp_path,
        shape("polygon", "car", left, group_id=1), shape("polygon", "car", right, group_id=1), shape("polygon", "car", right),
    )  # fmt: skip
    assert (len(car.polygons_px), car.bbox_xywh_px) == (2, (0, 0, 14, 4))
    assert car.attributes == {"group_id": "1"}
    assert (len(other.polygons_px), other.attributes) == (1, {})


def test_points_of_a_group_are_the_keypoints_of_its_only_object(tmp_path):
    person, nose = objects_of(
        tmp_path,
        shape("point", "head", [[5, 6]], group_id=3), shape("rectangle", "person", [[0, 0], [10, 20]], group_id=3),
        shape("point", "knee", [[7, 18]], group_id=3), shape("point", "nose", [[1, 2]]),
    )  # fmt: skip
    assert person.keypoints == (Keypoint("head", 5, 6, 2), Keypoint("knee", 7, 18, 2))
    assert person.bbox_xywh_px == (0, 0, 10, 20)
    assert (nose.label, [one.name for one in nose.keypoints], nose.bbox_xywh_px) == ("nose", ["1"], (1, 2, 0, 0))


def test_a_mask_lies_where_its_first_point_is(tmp_path):
    (car,) = objects_of(tmp_path, shape("mask", "car", [[5, 7], [7, 8]], mask=png([[0, 1, 1], [1, 0, 0]])))
    assert car.rle is not None
    assert sorted(zip(*mask_of_rle(car.rle).nonzero(), strict=True)) == [(7, 6), (7, 7), (8, 5)]


def test_flags_of_an_image_are_tags_beside_shapes_and_labels_without_any(tmp_path):
    car = shape("rectangle", "car", [[0, 0], [9, 9]])
    write(tmp_path / "boxes", car, flags={"night": True, "rain": False})
    write(tmp_path / "boxes", name="b", flags={"night": True})
    assert [(one.tags, len(one.objects)) for one in read(tmp_path / "boxes").records] == [(("night",), 1), (("night",), 0)]
    reading = read(write(tmp_path / "classes", flags={"cat": True, "dog": False}))
    assert [(one.label, one.bbox_xywh_px) for one in reading.records[0].objects] == [("cat", None)]
    assert (reading.records[0].tags, reading.labels) == ((), ["cat"])


def test_lines_are_counted(tmp_path):
    line = shape("linestrip", "road", [[0, 0], [1, 1], [2, 2]])
    reading = read(write(tmp_path, line, line, shape("line", "road", [[0, 0], [1, 1]])))
    assert reading.notes == ["1 line, 2 linestrips not read: polygons, rectangles, circles, points and masks are"]


def test_the_image_is_found_by_its_path_from_the_label_file_or_by_the_name_of_the_label_file(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / "images" / "north" / f"{name}.png", SIZE_PX)
    labels = tmp_path / "annotations" / "north"
    labels.mkdir(parents=True)
    (labels / "a.json").write_text(json.dumps(content(image="..\\..\\images\\north\\a.png")))
    (labels / "b.json").write_text(json.dumps(content(image="elsewhere/b.png")))
    reading = read(tmp_path)
    assert reading.problems == []
    assert [(one.sample_id, one.label_file) for one in reading.records] == [
        ("north/a", "annotations/north/a.json"), ("north/b", "annotations/north/b.json")
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["../a.png", "/etc/a.png", "C:\\a.png", "..\\..\\a.png"])
def test_an_image_path_that_leads_out_is_refused(tmp_path, path):
    reading = read(write(tmp_path / "export", image=path))
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("a", "file_name_is_inside")]
    assert reading.records == []


def test_splits_are_taken_from_folders_and_sizes_are_stated(tmp_path):
    write(tmp_path / "train", shape("rectangle", "car", [[0, 0], [9, 9]]))
    (record,) = read(tmp_path).records
    assert (record.split, record.sample_id, record.stated_size_px) == ("train", "train/a", SIZE_PX)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (shape("polygon", "", [[0, 0], [1, 1], [2, 2]]), "label_is_declared"),
        (shape("polygon", "car", [[0, 0], [1, 1]]), "shape_is_readable"),
        (shape("polygon", "car", [[0, 0], [1, "x"], [2, 2]]), "shape_is_readable"),
        (shape("polygon", "car", [[0, 0], [1], [2, 2]]), "shape_is_readable"),
        (shape("rectangle", "car", [[0, 0]]), "shape_is_readable"),
        (shape("rectangle", "car", [[0, math.nan], [1, 1]]), "shape_is_readable"),
        (shape("circle", "car", [[0, 0], [1, 1], [2, 2]]), "shape_is_readable"),
        (shape("hexagon", "car", [[0, 0]]), "shape_is_readable"),
        (shape("mask", "car", [[0, 0], [1, 1]]), "shape_is_readable"),
        (shape("mask", "car", [], mask=png([[1]])), "shape_is_readable"),
        (shape("mask", "car", [[0, 0], [1, 1]], mask="no base64!"), "shape_is_readable"),
        (shape("mask", "car", [[60, 0], [70, 1]], mask=png([[1] * 11])), "shape_is_readable"),
        (shape("mask", "car", [[0, 0], [9, 9]], mask=png(np.ones((5000, 5000)))), "shape_is_readable"),
        ("a word", "shape_is_readable"),
        (shape(["list"], "car", [[0, 0]]), "shape_is_readable"),  # type: ignore[arg-type]
    ],
)
def test_a_shape_that_cannot_be_read_is_a_problem_of_its_image_alone(tmp_path, broken, rule):
    write(tmp_path, broken)
    reading = read(write(tmp_path, name="b"))
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("a", rule)]
    assert [one.sample_id for one in reading.records] == ["b"]


def test_a_torn_file_a_missing_image_and_a_broken_one_are_named(tmp_path):
    for name in ("torn", "gone", "broken"):
        write(tmp_path, name=name)
    (tmp_path / "torn.json").write_text('{"shapes": [')
    (tmp_path / "gone.png").unlink()
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert {(one.sample_id, one.rule) for one in read(tmp_path).problems} == {
        ("torn", "label_file_is_whole"), ("gone", "image_exists"), ("broken", "image_is_whole")
    }  # fmt: skip


def test_other_json_is_noted_and_alone_refused(tmp_path):
    (write(tmp_path) / "coco.json").write_text(json.dumps(coco_content()))
    assert read(tmp_path).notes == ["not read, since it is no LabelMe file: coco.json"]
    (tmp_path / "a.json").unlink()
    with pytest.raises(BadExport, match="no LabelMe file below"):
        read(tmp_path)


def test_only_labelmes_own_json_is_taken_for_it(tmp_path):
    write(tmp_path)
    (tmp_path / "coco.json").write_text(json.dumps(coco_content()))
    (tmp_path / "torn.json").write_text('{"shapes": [], "imagePath": "a.png"')
    (tmp_path / "list.json").write_text('[{"shapes": [], "imagePath": "a.png"}]')
    assert {path.name for path in tmp_path.glob("*.json") if is_labelme(path)} == {"a.json"}


def test_an_export_is_recognised_and_imported(tmp_path):
    result = import_export(write(tmp_path, shape("rectangle", "car", [[0, 0], [9, 9]])), None, declare())
    assert (result.format, result.problems, result.notes) == ("labelme", [], [])
    assert [one.bbox_xywh_px for item in result.samples for one in item.sample.annotations] == [(0, 0, 9, 9)]
