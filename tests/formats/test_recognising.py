"""The format is told from the files, and where more than one is possible, all are named."""

import json
import shutil
from pathlib import Path

import pytest

from lakegate.errors import BadExport
from lakegate.formats.importing import import_export
from lakegate.formats.recognising import recognise

from . import cvat_files, test_label_studio, test_labelme
from .exports import declare, write_coco, write_image, write_voc, write_yolo
from .test_datumaro_json import by_hand
from .test_label_maps import draw


def write_cvat(folder: Path) -> Path:
    inner = cvat_files.image(0, "a.png", cvat_files.box("car", (1, 2, 3, 4)))
    cvat_files.write_cvat(folder, cvat_files.cvat_xml(cvat_files.task(), inner), ["a.png"])
    return folder


def write_labelme(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return test_labelme.write(folder, test_labelme.shape("rectangle", "car", [[1, 2], [4, 6]]))


def write_label_studio(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    annotation = test_label_studio.annotation(test_label_studio.rectangle("car"))
    return test_label_studio.write(folder, test_label_studio.task(annotation))


WRITERS = {
    "voc": write_voc, "coco": write_coco, "yolo": write_yolo, "cvat": write_cvat, "labelme": write_labelme,
    "label-studio": write_label_studio, "datumaro": by_hand, "instance-masks": draw,
}  # fmt: skip


@pytest.mark.parametrize(("name", "write"), WRITERS.items())
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


def test_an_export_of_each_format_comes_in_through_the_registry(tmp_path):
    for name in ("cvat", "labelme", "label-studio"):
        result = import_export(WRITERS[name](tmp_path / name), None, declare(labels=["car"]))
        assert (result.format, result.problems) == (name, [])
        assert [[one.label for one in item.sample.annotations] for item in result.samples] == [["car"]]


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
