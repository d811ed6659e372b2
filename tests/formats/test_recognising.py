"""The format is told from the files, and where more than one is possible, all are named."""

import json
import shutil

import pytest

from lakegate.errors import BadExport
from lakegate.formats.recognising import recognise

from .exports import write_coco, write_image, write_voc, write_yolo
from .test_datumaro_json import by_hand
from .test_label_maps import draw


@pytest.mark.parametrize(
    ("name", "write"),
    [("voc", write_voc), ("coco", write_coco), ("yolo", write_yolo), ("datumaro", by_hand), ("instance-masks", draw)],
)
def test_each_format_is_recognised_and_two_in_one_folder_are_both_named(tmp_path, name, write):
    assert recognise(write(tmp_path / "one")) == name
    other, other_name = (write_voc, "voc") if name != "voc" else (write_coco, "coco")
    write(tmp_path / "two")
    other(tmp_path / "two")
    if name == "instance-masks":  # pictures beside label files are not taken for label maps
        assert recognise(tmp_path / "two") == other_name
        return
    with pytest.raises(BadExport, match="looks like") as caught:
        recognise(tmp_path / "two")
    assert name in str(caught.value)
    assert other_name in str(caught.value)


def test_one_file_is_recognised_alone(tmp_path):
    assert recognise(write_coco(tmp_path) / "annotations" / "instances_default.json") == "coco"


def test_json_of_other_programs_is_no_export(tmp_path):
    write_image(tmp_path / "a.png", (10, 10))
    (tmp_path / "package.json").write_text(json.dumps({"images": {}, "name": "x"}))
    with pytest.raises(BadExport, match=r"files found: \.json, \.png"):
        recognise(tmp_path)


def test_images_alone_are_classes_where_the_task_says_so_and_may_be_label_maps(tmp_path):
    for name in ("cat/1.png", "dog/2.png"):
        write_image(tmp_path / name, (10, 10))
    assert recognise(tmp_path) == recognise(tmp_path, None, "classification") == "image-folders"
    with pytest.raises(BadExport, match=r"only images \(folders are classes .*with --images"):
        recognise(tmp_path, None, "segmentation")
    shutil.rmtree(tmp_path / "dog")
    with pytest.raises(BadExport, match="only images; where they are label maps"):
        recognise(tmp_path, None, "classification")


def test_maps_and_images_in_two_places_are_recognised_together(tmp_path):
    draw(tmp_path)
    assert recognise(tmp_path / "masks", tmp_path / "images") == "instance-masks"


def test_photographs_beside_the_images_are_no_label_maps(tmp_path):
    draw(tmp_path)
    write_image(tmp_path / "masks" / "photo.png", (10, 10))
    with pytest.raises(BadExport, match="only images"):
        recognise(tmp_path)
