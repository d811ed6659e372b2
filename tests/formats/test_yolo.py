"""YOLO files written here after Ultralytics' description: polygons, keypoints, and the splits that data.yaml names."""

from pathlib import Path

import pytest

from lakegate.errors import BadExport
from lakegate.formats.importing import ImportResult, import_export
from lakegate.geometry import Keypoint

from .exports import declare, write_image


def write(folder: Path, text: str, yaml: str = "names: [car]\n") -> Path:
    write_image(folder / "images" / "a.jpg", (100, 50))
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text(text)
    (folder / "data.yaml").write_text(yaml)
    return folder


def read(folder: Path, task: str) -> ImportResult:
    return import_export(folder, None, declare(labels=["car"], task=task))


def test_a_polygon_has_its_points_in_pixels_and_the_box_around_them(tmp_path):
    result = read(write(tmp_path, "0 0.1 0.2 0.5 0.2 0.5 0.8\n"), "segmentation")
    (one,) = result.samples[0].sample.annotations
    assert one.polygons_px == ((10, 10, 50, 10, 50, 40),)
    assert one.bbox_xywh_px == (10, 10, 40, 30)


def test_polygons_and_boxes_in_one_file_are_boxes_in_a_detection_dataset(tmp_path):
    result = read(write(tmp_path, "0 0.1 0.2 0.5 0.2 0.5 0.8\n0 0.5 0.5 0.2 0.2\n"), "detection")
    assert result.problems == []
    assert [one.bbox_xywh_px for one in result.samples[0].sample.annotations] == [(10, 10, 40, 30), (40, 20, 20, 10)]
    assert result.notes == ["1 mask or polygon was not read: detection keeps boxes"]


@pytest.mark.parametrize(
    ("shape", "values", "points"),
    [
        ("[2, 3]", "0.1 0.2 2 0 0 0", (Keypoint("0", 10, 10, 2), Keypoint("1", 0, 0, 0))),
        ("[2, 2]", "0.1 0.2 0 0", (Keypoint("0", 10, 10, 2), Keypoint("1", 0, 0, 0))),
        ("[2, 3]\nkpt_names: {0: [nose, tail]}", "0.1 0.2 1 0.5 0.5 2",
         (Keypoint("nose", 10, 10, 1), Keypoint("tail", 50, 25, 2))),
    ],
)  # fmt: skip
def test_keypoints_follow_the_box_as_data_yaml_says(tmp_path, shape, values, points):
    folder = write(tmp_path, f"0 0.5 0.5 0.2 0.2 {values}\n", f"names: [car]\nkpt_shape: {shape}\n")
    (one,) = read(folder, "keypoints").samples[0].sample.annotations
    assert one.keypoints == points
    assert one.bbox_xywh_px == (40, 20, 20, 10)


def test_a_line_with_other_keypoints_than_data_yaml_says_is_named(tmp_path):
    folder = write(tmp_path, "0 0.5 0.5 0.2 0.2 0.1 0.2\n", "names: [car]\nkpt_shape: [2, 3]\n")
    (problem,) = read(folder, "keypoints").problems
    assert (problem.rule, "and 2 keypoints of 3 values" in problem.reason) == ("box_is_readable", True)


@pytest.mark.parametrize("shape", ["3", "[0, 3]", "[2, 4]", "[two, 3]"])
def test_a_shape_of_keypoints_that_is_none_is_refused(tmp_path, shape):
    with pytest.raises(BadExport, match="kpt_shape"):
        read(write(tmp_path, "", f"names: [car]\nkpt_shape: {shape}\n"), "keypoints")


def test_predictions_with_a_score_are_no_labels(tmp_path):
    (problem,) = read(write(tmp_path, "0 0.5 0.5 0.2 0.2 0.93\n"), "detection").problems
    assert "predictions with a score in each line are no labels" in problem.reason


def test_folders_that_data_yaml_gives_to_a_split_keep_it(tmp_path):
    for site in ("north", "south", "west"):
        write_image(tmp_path / "images" / site / "a.jpg", (20, 20))
        (tmp_path / "labels" / site).mkdir(parents=True)
        (tmp_path / "labels" / site / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    splits = "train: [images/north, images/west]\nval: ./images/south\ntest: images/west\n"
    (tmp_path / "data.yaml").write_text(f"names: [car]\n{splits}")
    result = import_export(tmp_path, None, declare(labels=["car"], split='{ from = "given" }'))
    assert {item.sample.id: item.sample.split for item in result.samples} == {"north/a": "train", "south/a": "val"}
    assert [(item.sample_id, item.rule) for item in result.problems] == [("west/a", "split_is_given")]
