"""COCO files written here after cocodataset.org's description: masks, keypoints, image labels, licences."""

import json
from pathlib import Path

import pytest

from lakegate.errors import BadExport
from lakegate.formats.importing import ImportResult, import_export
from lakegate.geometry import Keypoint
from lakegate.masks import area_px, mask_of_rle
from lakegate.samples import Annotation

from .exports import declare, write_image

SIZE_PX = (10, 8)
SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]


def write(folder: Path, *items: dict[str, object], name: str = "instances_default.json", **fields: object) -> Path:
    """An export of one image ``a`` with these annotations; ``fields`` replace the file's own."""
    write_image(folder / "images" / "a.png", SIZE_PX)
    content: dict[str, object] = {
        "images": [{"id": 7, "file_name": "a.png", "width": SIZE_PX[0], "height": SIZE_PX[1]}],
        "annotations": [{"id": number, "image_id": 7, "category_id": 1} | item for number, item in enumerate(items)],
        "categories": [{"id": 1, "name": "car", "keypoints": ["nose", "tail"]}],
    }
    path = folder / "annotations" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content | fields))
    return folder


def only(result: ImportResult) -> Annotation:
    assert result.problems == []
    (annotation,) = result.samples[0].sample.annotations
    return annotation


def read(folder: Path, task: str) -> ImportResult:
    return import_export(folder, None, declare(labels=["car"], task=f"{task}"))


def test_the_polygons_of_one_object_stay_together_and_the_box_is_the_files(tmp_path):
    item = {"bbox": [1, 1, 8, 5], "segmentation": [SQUARE, [7, 2, 9, 2, 9, 4.5]]}
    one = only(read(write(tmp_path, item), "segmentation"))
    assert one.polygons_px == ((1, 1, 5, 1, 5, 5, 1, 5), (7, 2, 9, 2, 9, 4.5))
    assert one.bbox_xywh_px == (1, 1, 8, 5)


def test_a_box_that_is_not_stated_is_drawn_around_the_shape(tmp_path):
    polygon = only(read(write(tmp_path / "a", {"segmentation": [SQUARE]}), "segmentation"))
    assert polygon.bbox_xywh_px == (1, 1, 4, 4)
    runs = {"size": [8, 10], "counts": [9, 4, 67]}
    mask = only(read(write(tmp_path / "b", {"segmentation": runs, "iscrowd": 1}), "segmentation"))
    assert (mask.bbox_xywh_px, mask.attributes) == ((1, 1, 1, 4), {"iscrowd": "true"})


def test_plain_and_compressed_run_lengths_are_one_mask(tmp_path):
    plain = only(read(write(tmp_path / "a", {"segmentation": {"size": [8, 10], "counts": [9, 4, 67]}}), "segmentation"))
    assert plain.rle is not None
    compressed = only(read(write(tmp_path / "b", {"segmentation": plain.rle.to_dict()}), "segmentation"))
    assert plain == compressed
    assert (area_px(plain.rle), mask_of_rle(plain.rle)[1:5, 1].all()) == (4, True)


@pytest.mark.parametrize(
    ("segmentation", "rule"),
    [
        ([[1, 1, 2, 2]], "polygon_is_readable"),
        ([[1, 1, 2, 2, 3]], "polygon_is_readable"),
        ([[1, 1, 2, 2, 3, float("nan")]], "polygon_is_readable"),
        ("all of it", "polygon_is_readable"),
        ({"size": [8, 10], "counts": [81]}, "mask_is_readable"),
        ({"size": [8, 10], "counts": "nonsense"}, "mask_is_readable"),
        ({"size": [10, 8], "counts": [9, 4, 67]}, "mask_fits_image"),
    ],
)
def test_a_shape_that_is_none_is_named_and_keeps_the_sample_out(tmp_path, segmentation, rule):
    result = read(write(tmp_path, {"bbox": [1, 1, 4, 4], "segmentation": segmentation}), "segmentation")
    assert [(item.sample_id, item.rule) for item in result.problems] == [("a", rule)]
    assert len(result.samples) == 0


def test_keypoints_have_their_categorys_names_and_points_that_are_not_labelled_have_no_place(tmp_path):
    one = only(read(write(tmp_path, {"bbox": [1, 1, 4, 4], "keypoints": [2, 3, 2, 9, 9, 0]}), "keypoints"))
    assert one.keypoints == (Keypoint("nose", 2, 3, 2), Keypoint("tail", 0, 0, 0))
    assert one.bbox_xywh_px == (1, 1, 4, 4)


@pytest.mark.parametrize("keypoints", [[1, 2], [1, 2, 2], [1, 2, 2, 3, 4, 5], ["x", 2, 2, 3, 4, 2], "none"])
def test_keypoints_that_are_none_are_named(tmp_path, keypoints):
    result = read(write(tmp_path, {"bbox": [1, 1, 4, 4], "keypoints": keypoints}), "keypoints")
    assert [item.rule for item in result.problems] == ["keypoints_are_readable"]


def test_what_the_task_does_not_keep_is_counted(tmp_path):
    items = ({"bbox": [1, 1, 4, 4], "segmentation": [SQUARE], "keypoints": [2, 3, 2, 9, 9, 0]}, {"bbox": [0, 0, 2, 2]})
    result = read(write(tmp_path, *items), "detection")
    assert [one.geometry[1:] for one in result.samples[0].sample.annotations] == [((), None, ())] * 2
    assert result.notes == [
        "1 mask or polygon was not read: detection keeps boxes",
        "1 set of keypoints was not read: detection keeps boxes",
    ]


def test_an_object_without_the_shape_of_the_task_keeps_its_sample_out(tmp_path):
    items = ({"bbox": [1, 1, 4, 4], "segmentation": [SQUARE]}, {"bbox": [0, 0, 2, 2]})
    result = read(write(tmp_path, *items), "segmentation")
    assert [item.rule for item in result.problems] == ["shape_fits_task"]
    assert "object 2 'car' has a box only; in a dataset for segmentation each object has a polygon or a mask" in (
        result.problems[0].reason
    )


def test_files_are_chosen_by_what_the_task_needs(tmp_path):
    folder = write(tmp_path, {"bbox": [1, 1, 4, 4]})
    write(tmp_path, {"bbox": [1, 1, 4, 4], "keypoints": [2, 3, 2, 9, 9, 0]}, name="person_keypoints_default.json")
    write(tmp_path, {}, name="labels_default.json")
    assert only(read(folder, "detection")).keypoints == ()
    assert len(only(read(folder, "keypoints")).keypoints) == 2
    whole = read(folder, "classification")
    assert only(whole).is_image_level
    assert "not read, since labels_*.json is there" in whole.notes[0]


def test_licence_date_track_and_attributes_are_kept(tmp_path):
    image = {"id": 7, "file_name": "a.png", "license": 3, "date_captured": "2024-05-06 07:08:09"}
    item = {"bbox": [1, 1, 4, 4], "attributes": {"occluded": True, "colour": "red", "track_id": 12}}
    folder = write(tmp_path, item, images=[image], licenses=[{"id": 3, "name": "CC BY 4.0"}])
    result = read(folder, "detection")
    assert only(result).attributes == {"occluded": "true", "colour": "red"}
    assert only(result).track_id == "12"
    assert result.samples[0].sample.source["licence"] == "CC BY 4.0"
    assert result.samples[0].sample.captured_at == "2024-05-06 07:08:09"


def test_the_callers_licence_and_words_stand_where_the_export_says_nothing(tmp_path):
    folder = write(tmp_path, {"bbox": [1, 1, 4, 4]})
    plain = import_export(folder, None, declare(labels=["car"]))
    result = import_export(folder, None, declare(labels=["car"]), licence="CC0-1.0", origin=" camera 4 ")
    assert result.samples[0].sample.source == {
        "format": "coco", "file": "annotations/instances_default.json", "licence": "CC0-1.0", "origin": "camera 4",
    }  # fmt: skip
    assert plain.source_digest != result.source_digest


@pytest.mark.parametrize(
    "fields",
    [
        {"images": {}}, {"images": [1]}, {"images": [{"file_name": "a.png"}]}, {"annotations": ["x"]},
        {"categories": [{"id": 1}]}, {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
        {"categories": [{"id": [1], "name": "a"}]},
    ],
)  # fmt: skip
def test_a_file_that_is_not_coco_is_refused(tmp_path, fields):
    with pytest.raises(BadExport, match=r"no COCO file|is not COCO|a category"):
        import_export(write(tmp_path, **fields), None, declare(labels=["car"]), source_format="coco")


def test_lists_in_another_order_give_the_same(tmp_path):
    folder = write(tmp_path, {"bbox": [1, 1, 4, 4]})
    path = folder / "annotations" / "instances_default.json"
    before = read(folder, "detection")
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert read(folder, "detection").samples == before.samples
