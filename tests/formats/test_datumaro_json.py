"""Datumaro's own format: written by Datumaro itself, and by hand where it has to be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from lakegate.errors import BadExport
from lakegate.formats.importing import ImportResult, import_export, recognise
from lakegate.geometry import Keypoint
from lakegate.masks import rle_of_mask
from lakegate.samples import Annotation

from .exports import declare, write_image

MASK_HW = np.zeros((8, 10), bool)
MASK_HW[2:5, 3:7] = True
LABELS = ["car", "person"]


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    """An export that Datumaro wrote: one image in each of two subsets."""
    from lakegate.formats.staging import load_datumaro

    load_datumaro()
    import datumaro as dm

    folder = tmp_path_factory.mktemp("datumaro")
    write_image(folder / "source" / "a.png", (10, 8))
    image = dm.Image.from_file(path=str(folder / "source" / "a.png"))
    shapes = [
        dm.Bbox(1, 2, 3, 4, label=0, id=1, attributes={"occluded": True, "track_id": 5}),
        dm.Polygon([1, 1, 5, 1, 5, 5], label=1, id=2, group=2),
        dm.Polygon([6, 6, 8, 6, 8, 7.5], label=1, id=3, group=2),
        dm.Mask(MASK_HW.astype(np.uint8), label=0, id=4),
        dm.Points([1, 2, 3, 4], [2, 0], label=1, id=5, group=5),
        dm.Bbox(0, 1, 5, 6, label=1, id=6, group=5),
        dm.PolyLine([1, 1, 2, 2], label=0, id=7),
        dm.Caption("a street"),
    ]
    items = [
        dm.DatasetItem("a", subset="train", media=image, annotations=shapes),
        dm.DatasetItem("b", subset="test", media=image, annotations=[dm.Label(1)]),
    ]
    categories = {
        dm.AnnotationType.label: dm.LabelCategories.from_iterable(LABELS),
        dm.AnnotationType.points: dm.PointsCategories.from_iterable([(1, ["nose", "tail"])]),
    }
    dataset = dm.Dataset.from_iterable(items, categories=categories)
    dataset.export(str(folder / "export"), "datumaro", save_media=True)
    return folder / "export"


def read(folder: Path, task: str) -> ImportResult:
    return import_export(folder, None, declare(labels=LABELS, task=task, split='{ from = "given" }'))


def shapes_of(result: ImportResult) -> list[Annotation]:
    return [one for item in result.samples for one in item.sample.annotations]


def test_boxes_come_in_with_their_attributes_and_what_has_no_place_is_counted(export):
    assert recognise(export) == "datumaro"
    result = read(export, "detection")
    assert result.problems == []
    assert {item.sample.id: (item.sample.split, item.sample.tags) for item in result.samples} == {
        "train/a": ("train", ()), "test/b": ("test", ("person",)),
    }  # fmt: skip
    boxes = {one.bbox_xywh_px: one for one in shapes_of(result)}
    assert set(boxes) == {(1, 2, 3, 4), (1, 1, 7, 6.5), (3, 2, 4, 3), (0, 1, 5, 6)}
    assert boxes[1, 2, 3, 4].attributes == {"occluded": "true"}
    assert boxes[1, 2, 3, 4].track_id == "5"
    assert result.notes == [
        "annotations/train.json: 2 annotations have no place in a sample: caption 1, polyline 1",
        "2 masks or polygons were not read: detection keeps boxes",
        "1 set of keypoints was not read: detection keeps boxes",
        "1 label of a whole image became tags: detection labels objects",
    ]


def rewritten(export: Path, folder: Path, kinds: set[str]) -> Path:
    """A copy with annotations of these kinds only."""
    content = json.loads((export / "annotations" / "train.json").read_text())
    for item in content["items"]:
        item["annotations"] = [shape for shape in item["annotations"] if shape["type"] in kinds]
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "train.json").write_text(json.dumps(content))
    write_image(folder / "images" / "train" / "a.png", (10, 8))
    return folder


def test_polygons_of_one_group_are_one_object_and_a_mask_is_its_run_lengths(export, tmp_path):
    result = read(rewritten(export, tmp_path, {"polygon", "mask"}), "segmentation")
    polygons, mask = sorted(shapes_of(result), key=lambda one: one.rle is not None)
    assert polygons.polygons_px == ((1, 1, 5, 1, 5, 5), (6, 6, 8, 6, 8, 7.5))
    assert (polygons.label, mask.label) == ("person", "car")
    assert mask.rle == rle_of_mask(MASK_HW)


def test_keypoints_and_the_box_of_one_group_are_one_object(export, tmp_path):
    result = read(rewritten(export, tmp_path, {"points"}), "keypoints")
    (alone,) = shapes_of(result)
    assert alone.keypoints == (Keypoint("nose", 1, 2, 2), Keypoint("tail", 0, 0, 0))
    content_path = tmp_path / "annotations" / "train.json"
    content = json.loads(content_path.read_text())
    content["items"][0]["annotations"].append(
        {"type": "bbox", "id": 9, "label_id": 1, "group": 5, "attributes": {}, "bbox": [0, 1, 5, 6]}
    )
    content_path.write_text(json.dumps(content))
    (joined,) = shapes_of(read(tmp_path, "keypoints"))
    assert (joined.keypoints, joined.bbox_xywh_px) == (alone.keypoints, (0, 1, 5, 6))


def test_a_skeleton_is_one_object_with_points_named_by_their_own_classes(tmp_path):
    element = {"type": "points", "visibility": [2], "points": [4, 5]}
    shape = {"type": "skeleton", "label_id": 0, "elements": [element | {"label_id": 1}]}
    (one,) = shapes_of(read(by_hand(tmp_path, shape), "keypoints"))
    assert one.keypoints == (Keypoint("person", 4, 5, 2),)


def by_hand(folder: Path, *shapes: object) -> Path:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    labels = [{"name": name, "parent": "", "attributes": []} for name in LABELS]
    item = {"id": "a", "image": {"path": "a.png", "size": [8, 10]}, "annotations": list(shapes)}
    content = {"categories": {"label": {"labels": labels}}, "items": [item]}
    (folder / "annotations" / "train.json").write_text(json.dumps(content))
    write_image(folder / "images" / "a.png", (10, 8))
    return folder


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ({"type": "bbox", "label_id": 9, "bbox": [1, 2, 3, 4]}, "label_is_declared"),
        ({"type": "bbox", "bbox": [1, 2, 3, 4]}, "label_is_declared"),
        ({"type": "bbox", "label_id": 0, "bbox": [1, 2, 3]}, "box_is_readable"),
        ({"type": "polygon", "label_id": 0, "points": [1, 2, 3, 4]}, "polygon_is_readable"),
        ({"type": "mask", "label_id": 0, "rle": {"size": [8, 10], "counts": "x"}}, "mask_is_readable"),
        ({"type": "mask", "label_id": 0}, "mask_is_readable"),
        ({"type": "mask", "label_id": 0, "rle": {"size": [1, 1], "counts": "1"}}, "mask_fits_image"),
        ({"type": "points", "label_id": 0, "points": [1, 2], "visibility": [3]}, "keypoints_are_readable"),
        ({"type": "skeleton", "label_id": 0}, "keypoints_are_readable"),
        ({"label_id": 0}, "label_file_is_whole"),
        ("box", "label_file_is_whole"),
    ],
)
def test_a_shape_that_is_none_is_named(tmp_path, shape, rule):
    result = read(by_hand(tmp_path, shape), "detection")
    assert [(item.sample_id, item.rule) for item in result.problems] == [("a", rule)]


def test_paths_that_lead_outside_and_missing_images_are_named(tmp_path):
    path = by_hand(tmp_path) / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["items"] = [{"id": "x", "image": {"path": "../x.png"}}, {"id": "y", "image": {"path": "y.png"}}]
    path.write_text(json.dumps(content))
    result = read(tmp_path, "detection")
    assert {item.sample_id: item.rule for item in result.problems} == {"x.png": "file_name_is_inside", "y": "image_exists"}


def test_items_and_categories_that_are_none_are_refused(tmp_path):
    path = by_hand(tmp_path) / "annotations" / "train.json"
    wrong_classes = ({"label": {"labels": [{}]}}, {"label": []}, {"points": {"items": [1]}})
    changes = [{"items": [1]}, {"items": [{"id": 5}]}, *({"categories": value} for value in wrong_classes)]
    for change in changes:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(BadExport, match=r"train\.json"):
            read(tmp_path, "detection")
        by_hand(tmp_path)
