"""Label Studio: no real file lies in the shared data; all are written after its description of tasks and results."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakegate.errors import BadExport
from lakegate.formats.export_files import open_export
from lakegate.formats.importing import import_export
from lakegate.formats.label_studio import is_label_studio, iterate_tasks, read_label_studio
from lakegate.formats.reading import Reading, SourceObject
from lakegate.masks import mask_of_rle

from .exports import coco_content, declare, write_image

WIDTH, HEIGHT = 50, 40
FIRST, LATER = "2024-01-01T08:00:00.000000Z", "2024-01-02T08:00:00.000000Z"


def result(kind: str, value: dict[str, Any], key: str = "r1", **more: Any) -> dict[str, Any]:
    words = {"id": key, "type": kind, "value": value, "from_name": "label", "to_name": "image", "origin": "manual"}
    return {**words, "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, **more}


def rectangle(label: str, key: str = "r1", **more: Any) -> dict[str, Any]:
    return result("rectanglelabels", {"x": 10, "y": 20, "width": 40, "height": 50, "rectanglelabels": [label], **more}, key)


def annotation(*results: object, updated: str = FIRST, **more: Any) -> dict[str, Any]:
    return {"id": 1, "completed_by": 7, "was_cancelled": False, "updated_at": updated, "result": list(results), **more}


def task(*annotations: object, image: str = "a.png", **more: Any) -> dict[str, Any]:
    return {"id": 5, "project": 2, "data": {"image": image}, "annotations": list(annotations), "predictions": [], **more}


def write(folder: Path, *tasks: object, images: tuple[str, ...] = ("a.png",)) -> Path:
    for name in images:
        write_image(folder / "images" / name, (WIDTH, HEIGHT))
    (folder / "project-2.json").write_text(json.dumps(list(tasks)))
    return folder


def read(folder: Path) -> Reading:
    return read_label_studio(open_export(folder, None))


def objects_of(folder: Path, *results: object) -> tuple[SourceObject, ...]:
    reading = read(write(folder, task(annotation(*results))))
    assert reading.problems == []
    return reading.records[0].objects


def packed(mask_HW: Any) -> list[int]:
    """Pack a mask as Label Studio does: four equal channels, run lengths of 8-bit values, counts of 3, 4, 8 or 16 bits."""
    values = np.repeat(np.asarray(mask_HW, np.uint8).ravel() * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    at = 0
    while at < len(values):
        count = next((k for k in range(1, len(values) - at) if values[at + k] != values[at]), len(values) - at)
        if count == 4 and at % 8:  # some as plain values, for the other kind of run
            bits += "000" + f"{count - 1:03b}" + f"{values[at]:08b}" * count
        else:
            bits += "111" + f"{count - 1:016b}" + f"{values[at]:08b}"
        at += count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]


def test_a_rectangle_in_percent_is_a_box_in_pixels_with_author_and_origin(tmp_path):
    reading = read(write(tmp_path, task(annotation(rectangle("car")))))
    (record,) = reading.records
    (car,) = record.objects
    assert (car.label, car.bbox_xywh_px, car.author, car.origin) == ("car", (5, 8, 20, 20), "7", "manual")
    assert (record.stated_size_px, record.source) == ((WIDTH, HEIGHT), {"task": "5", "project": "2"})
    assert (reading.notes, reading.labels) == ([], ["car"])


def test_the_author_may_be_given_with_an_address(tmp_path):
    who = {"id": 3, "email": "ann@example.org", "first_name": "Ann"}
    reading = read(write(tmp_path, task(annotation(rectangle("car"), completed_by=who))))
    assert reading.records[0].objects[0].author == "ann@example.org"


def test_a_turned_rectangle_turns_around_its_top_left_corner(tmp_path):
    (car,) = objects_of(tmp_path, rectangle("car", rotation=90))
    assert car.polygons_px[0] == pytest.approx((5, 8, 5, 28, -15, 28, -15, 8))
    assert car.bbox_xywh_px == pytest.approx((-15, 8, 20, 20))
    assert car.attributes == {"rotation": "90"}


def test_polygons_and_ellipses_come_in(tmp_path):
    polygon = result("polygonlabels", {"points": [[0, 0], [100, 0], [100, 100]], "polygonlabels": ["sky"]})
    ellipse = result("ellipselabels", {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "ellipselabels": ["sun"]}, "r2")
    sky, sun = objects_of(tmp_path, polygon, ellipse)
    assert sky.polygons_px == ((0, 0, 50, 0, 50, 40),)
    assert sun.bbox_xywh_px == pytest.approx((15, 16, 20, 8))


def test_a_brush_mask_is_unpacked_exactly(tmp_path):
    mask_HW = np.random.default_rng(4).random((HEIGHT, WIDTH)) > 0.6
    (cell,) = objects_of(tmp_path, result("brushlabels", {"format": "rle", "rle": packed(mask_HW), "brushlabels": ["cell"]}))
    assert cell.rle is not None
    assert (mask_of_rle(cell.rle) == mask_HW).all()


def test_keypoints_join_their_region_by_parent_or_relation(tmp_path):
    def point(label: str, key: str, x: float, **more: Any) -> dict[str, Any]:
        return result("keypointlabels", {"x": x, "y": 50, "width": 1, "keypointlabels": [label]}, key, **more)

    relation = {"type": "relation", "from_id": "k2", "to_id": "r1", "direction": "right"}
    joined = (point("head", "k1", 20, parentID="r1"), rectangle("person"), point("knee", "k2", 40), relation)
    results = (*joined, point("nose", "k3", 60))
    reading = read(write(tmp_path, task(annotation(*results))))
    person, nose = reading.records[0].objects
    assert [(one.name, one.x_px, one.y_px) for one in person.keypoints] == [("head", 10, 20), ("knee", 20, 20)]
    assert person.bbox_xywh_px == (5, 8, 20, 20)
    assert (nose.label, [one.name for one in nose.keypoints], nose.bbox_xywh_px) == ("nose", ["1"], (30, 20, 0, 0))
    assert reading.notes == []


def test_choices_label_the_image_or_their_region(tmp_path):
    whole = result("choices", {"choices": ["day", "rain"]}, "c1", from_name="weather")
    of_region = result("choices", {"choices": ["red"]}, "r1", from_name="colour")
    text = result("textarea", {"text": ["x"], "textarea": ["dirty"]}, "r1", from_name="remark")
    car, day, rain = objects_of(tmp_path, rectangle("car"), whole, of_region, text)
    assert car.attributes == {"colour": "red", "remark": "dirty"}
    assert [(one.label, one.bbox_xywh_px) for one in (day, rain)] == [("day", None), ("rain", None)]


def test_shapes_and_labels_in_two_results_are_one_object(tmp_path):
    place = {"x": 10, "y": 20, "width": 40, "height": 50}
    (car,) = objects_of(tmp_path, result("rectangle", place), result("labels", {**place, "labels": ["car"]}))
    assert (car.label, car.bbox_xywh_px) == ("car", (5, 8, 20, 20))


def test_a_region_with_several_labels_comes_in_once_for_each_and_is_noted(tmp_path):
    both = result("rectanglelabels", {"x": 0, "y": 0, "width": 10, "height": 10, "rectanglelabels": ["car", "taxi"]})
    reading = read(write(tmp_path, task(annotation(both))))
    assert [one.label for one in reading.records[0].objects] == ["car", "taxi"]
    assert reading.notes == ["project-2.json: 1 region with several labels came in once for each"]


def test_the_newest_annotation_that_was_not_cancelled_counts_and_the_others_are_noted(tmp_path):
    old, new = annotation(rectangle("car")), annotation(rectangle("bus"), updated=LATER, id=2)
    cancelled = annotation(rectangle("tram"), updated="2024-01-03", was_cancelled=True)
    tasks = (task(old, cancelled, new, predictions=[annotation(rectangle("van"))]), task(image="b.png"))
    reading = read(write(tmp_path, *tasks, images=("a.png", "b.png")))
    assert [[one.label for one in record.objects] for record in reading.records] == [["bus"]]
    assert reading.notes == [
        "project-2.json: left out: 1 cancelled annotation, 1 older annotation, 1 prediction, 1 unlabelled task"
    ]


def test_an_annotation_without_regions_is_an_image_without_objects(tmp_path):
    assert objects_of(tmp_path) == ()


def test_results_that_are_not_modelled_are_counted(tmp_path):
    video = result("videorectangle", {"sequence": []})
    reading = read(write(tmp_path, task(annotation(video, video, result("number", {"number": 3}, "n1")))))
    assert reading.notes == [
        "project-2.json: 1 number, 2 videorectangles not read: boxes, polygons, ellipses, masks, keypoints and choices are"
    ]


@pytest.mark.parametrize(
    "address",
    [
        "north/a.png", "/data/upload/2/1a2b3c4d-a.png", "/data/local-files/?d=set/north/a.png", "s3://bucket/set/north/a.png",
        "https://example.org/img/north/a.png?X-Signature=1", "gs://bucket/a%2Epng", "C:\\set\\north\\a.png",
    ],
)  # fmt: skip
def test_the_image_is_found_by_the_end_of_its_address(tmp_path, address):
    reading = read(write(tmp_path, task(annotation(), image=address), images=("north/a.png",)))
    assert [one.sample_id for one in reading.records] == ["north/a"]


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("/data/local-files/?d=../../a.png", "file_name_is_inside"),
        ("https://example.org/../../../a.png", "file_name_is_inside"),
        ("b.png", "image_exists"), ("http://[broken/a.png", "image_exists"), ("", "image_exists"),
    ],
)  # fmt: skip
def test_an_image_that_leads_out_or_is_missing_is_named(tmp_path, address, rule):
    reading = read(write(tmp_path, task(annotation(), image=address)))
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("task 5", rule)]


def test_a_task_with_several_images_is_refused(tmp_path):
    reading = read(write(tmp_path, {"id": 1, "data": {"left": "a.png", "right": "a.png"}, "annotations": [annotation()]}))
    assert "names 2 images (left, right)" in reading.problems[0].reason


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (result("rectanglelabels", {"x": 1, "y": 1, "width": 1, "height": 1}), "label_is_declared"),
        (result("rectangle", {"x": 1, "y": 1, "width": 1, "height": 1}), "label_is_declared"),
        (rectangle("car", x="left"), "shape_is_readable"),
        (rectangle("car", width=None), "shape_is_readable"),
        ({**rectangle("car"), "value": None}, "shape_is_readable"),
        ({**rectangle("car"), "image_rotation": 90}, "shape_is_readable"),
        (result("polygonlabels", {"points": [[0, 0], [1, 1]], "polygonlabels": ["car"]}), "shape_is_readable"),
        (result("polygonlabels", {"points": "0,0", "polygonlabels": ["car"]}), "shape_is_readable"),
        (result("brushlabels", {"rle": 10**12, "brushlabels": ["car"]}), "shape_is_readable"),
        (result("brushlabels", {"rle": [1, 2, 3], "brushlabels": ["car"]}), "shape_is_readable"),
        (result("brushlabels", {"rle": [300], "brushlabels": ["car"]}), "shape_is_readable"),
        (result("brushlabels", {"rle": packed(np.ones((HEIGHT, WIDTH)))[:-4], "brushlabels": ["car"]}), "shape_is_readable"),
        (result("brushlabels", {"rle": packed(np.ones((9, 9))), "brushlabels": ["car"]}), "shape_is_readable"),
        ("a word", "label_file_is_whole"),
    ],
)
def test_a_region_that_cannot_be_read_is_a_problem_of_its_image_alone(tmp_path, broken, rule):
    reading = read(write(tmp_path, task(annotation(broken)), task(annotation(), image="b.png"), images=("a.png", "b.png")))
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("a", rule)]
    assert [one.sample_id for one in reading.records] == ["b"]


@pytest.mark.parametrize("wrong", [3, {"data": 1}, {"data": {"image": "a.png"}, "annotations": 1}])
def test_what_is_no_task_is_named(tmp_path, wrong):
    reading = read(write(tmp_path, task(annotation()), wrong))
    assert len(reading.records) == 1
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("task 2", "label_file_is_whole")]


def test_a_broken_image_is_named(tmp_path):
    folder = write(tmp_path, task(annotation()))
    (folder / "images" / "a.png").write_bytes(b"no image")
    assert [(one.sample_id, one.rule) for one in read(folder).problems] == [("a", "image_is_whole")]


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.999])
def test_a_torn_file_is_refused(tmp_path, cut):
    folder = write(tmp_path, *(task(annotation(rectangle("car")), id=number) for number in range(400)))
    text = (folder / "project-2.json").read_text()
    (folder / "project-2.json").write_text(text[: int(len(text) * cut)])
    with pytest.raises(BadExport, match=r"project-2\.json"):
        read(folder)


def test_only_label_studios_own_json_is_taken_for_it(tmp_path):
    (tmp_path / "tasks.json").write_text(json.dumps([task(annotation())], indent=2))
    (tmp_path / "task.json").write_text(json.dumps(task(annotation())))
    (tmp_path / "coco.json").write_text(json.dumps(coco_content()))
    (tmp_path / "min.json").write_text('[{"image": "a.png", "label": []}]')
    (tmp_path / "torn.json").write_text('[{"data": {}')
    (tmp_path / "empty.json").write_text("")
    assert {path.name for path in tmp_path.iterdir() if is_label_studio(path)} == {"tasks.json", "task.json"}
    write_image(tmp_path / "a.png", (WIDTH, HEIGHT))
    (tmp_path / "tasks.json").unlink()
    (tmp_path / "task.json").unlink()
    with pytest.raises(BadExport, match="export as JSON, not as JSON-MIN"):
        read(tmp_path)


def test_ten_times_the_tasks_need_no_more_memory(tmp_path):
    def peak_bytes(n_tasks: int) -> int:
        path = tmp_path / f"{n_tasks}.json"
        path.write_text(json.dumps([task(annotation(*(rectangle("car", str(k)) for k in range(9)))) for _ in range(n_tasks)]))
        tracemalloc.start()
        try:
            assert sum(1 for _ in iterate_tasks(path)) == n_tasks
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak_bytes(2000) < 1.5 * peak_bytes(200)


def test_an_export_is_recognised_and_imported(tmp_path):
    result = import_export(write(tmp_path, task(annotation(rectangle("car")))), None, declare())
    assert (result.format, result.problems, result.notes) == ("label-studio", [], [])
    (sample,) = (item.sample for item in result.samples)
    assert (sample.annotations[0].author, sample.source["task"]) == ("7", "5")
