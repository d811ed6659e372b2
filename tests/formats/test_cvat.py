"""CVAT for images: task, project and job exports; real files first, then files written after the format's description."""

import pytest

from lakegate.errors import BadExport
from lakegate.formats.cvat import is_cvat, read_cvat
from lakegate.formats.export_files import open_export
from lakegate.formats.reading import Reading, SourceObject, SourceRecord
from lakegate.geometry import Keypoint
from lakegate.masks import area_px, mask_of_rle

from .cvat_files import attribute, box, cvat_xml, element, image, labels, shape, task, write_cvat
from .exports import write_image, write_voc

DOCS = "annotation_exports/cvat_doc_examples"


def read(folder) -> Reading:
    return read_cvat(open_export(folder, None))


def only_record(reading: Reading) -> SourceRecord:
    assert reading.problems == []
    (record,) = reading.records
    return record


def objects_of(tmp_path, *shapes: str, meta: str = "") -> tuple[SourceObject, ...]:
    content = cvat_xml(meta or task(labelled=labels(["car"])), image(0, "a.png", "".join(shapes)))
    return only_record(read(write_cvat(tmp_path, content, ["a.png"]))).objects


def test_the_image_example_of_cvats_documentation_comes_in_whole(samples_dir, tmp_path):
    """1 box, 1 polygon, 1 set of points, 1 tag, 1 skeleton, 1 mask, and 2 polylines that are counted."""
    write_image(tmp_path / "images" / "filename000.jpg", (1600, 1200))
    (tmp_path / "annotations.xml").write_bytes((samples_dir / DOCS / "example_2.xml").read_bytes())
    reading = read(tmp_path)
    plate, car, wheels, good, skeleton, mask = only_record(reading).objects
    assert (plate.label, plate.bbox_xywh_px) == ("plate", pytest.approx((797.33, 870.92, 168.19, 58.02)))
    assert (plate.attributes, len(car.polygons_px[0]) // 2) == ({"z_order": "4"}, 69)
    assert [point.name for point in wheels.keypoints] == ["1", "2", "3", "4"]
    assert (good.label, good.bbox_xywh_px, good.origin) == ("good_frame", None, "manual")
    assert skeleton.keypoints[1] == Keypoint("2", 68.02, 162.34, 2)
    assert skeleton.bbox_xywh_px == pytest.approx((54.47, 62.85, 71.4, 99.49))
    assert mask.rle is not None
    assert (mask.bbox_xywh_px, area_px(mask.rle)) == ((707.0, 888.0, 13.0, 15.0), 149)
    assert reading.labels == ["car", "traffic_line", "wheel", "plate", "s1", "good_frame"]
    assert reading.notes == [
        "annotations.xml: 2 polylines not read: boxes, polygons, masks, points, skeletons and tags are"
    ]  # fmt: skip


def test_datumaros_own_cvat_sample_gives_one_image_and_one_problem(samples_dir):
    """2 images with 4 shapes: a box comes in, a polyline is counted, a polygon without a label is a problem of its image."""
    reading = read(samples_dir / "annotation_exports/datumaro/tests/assets/cvat_dataset/for_images/export_task")
    (record,) = reading.records
    assert (record.sample_id, record.split, record.stated_size_px) == ("img0", "train", (8, 8))
    assert [(one.label, one.bbox_xywh_px) for one in record.objects] == [("label1", (0, 2, 4, 2))]
    assert record.objects[0].attributes["a4"] == "2.4"
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("img1", "label_is_declared")]
    assert len(reading.notes) == 1
    assert reading.notes[0].startswith("train.xml: 1 polyline not read")


@pytest.mark.parametrize("name", ["example_0.xml", "example_1.xml"])
def test_the_outlines_of_the_documentation_hold_words_for_numbers_and_give_no_record(samples_dir, tmp_path, name):
    write_image(tmp_path / "images" / "a.jpg", (8, 8))
    (tmp_path / "annotations.xml").write_bytes((samples_dir / DOCS / name).read_bytes())
    reading = read(tmp_path)
    assert reading.records == []
    assert [one.rule for one in reading.problems] == ([] if name == "example_0.xml" else ["image_exists"])


def test_only_cvats_own_xml_is_taken_for_it(samples_dir, tmp_path):
    voc = next((write_voc(tmp_path / "voc") / "Annotations").rglob("*.xml"))
    other = tmp_path / "other.xml"
    other.write_text("<annotations><page/></annotations>")
    assert is_cvat(samples_dir / DOCS / "example_2.xml")
    assert not is_cvat(voc)
    assert not is_cvat(other)


def test_attributes_flags_groups_and_sources_are_kept(tmp_path):
    inner = attribute("colour", "red") + attribute("note", "a & b") + attribute("track_id", "12")
    (car,) = objects_of(tmp_path, box("car", (1, 2, 11, 22), inner, occluded=1, z_order=3, group_id=5, source="auto"))
    assert car.attributes == {"colour": "red", "note": "a & b", "occluded": "true", "z_order": "3", "group_id": "5"}
    assert (car.origin, car.track_id, car.bbox_xywh_px) == ("auto", "12", (1, 2, 10, 20))


def test_a_turned_box_is_a_polygon_with_the_box_around_it(tmp_path):
    (car,) = objects_of(tmp_path, box("car", (10, 10, 30, 20), rotation=90))
    assert car.polygons_px[0] == pytest.approx((25, 5, 25, 25, 15, 25, 15, 5))
    assert car.bbox_xywh_px == pytest.approx((15, 5, 10, 20))
    assert car.attributes == {"rotation": "90"}


def test_a_mask_is_row_by_row_from_its_left_and_top(tmp_path):
    """Two rows of three pixels: .## and #.. at x = 4, y = 6."""
    mask = element("mask", label="car", rle="1, 3, 2", left=4, top=6, width=3, height=2, occluded=0)
    (car,) = objects_of(tmp_path, mask)
    assert car.rle is not None
    pixels_HW = mask_of_rle(car.rle)
    assert pixels_HW.shape == (48, 64)
    assert sorted(zip(*pixels_HW.nonzero(), strict=True)) == [(6, 5), (6, 6), (7, 4)]
    assert car.bbox_xywh_px == (4, 6, 3, 2)


@pytest.mark.parametrize(
    ("rle", "left", "width", "words"),
    [
        ("1, 3, 3", 4, 3, "cover 7 px; its 3 × 2 px"),
        ("1, 3, 2", 62, 3, "does not lie inside the image of 64 × 48 px"),
        ("0, 1999999998", 0, 999999999, "expected a whole number"),
        ("1, x", 4, 3, "expected a whole number"),
        ("", 4, 3, "expected a whole number"),
    ],
)
def test_a_mask_that_does_not_fit_is_a_problem_of_its_image(tmp_path, rle, left, width, words):
    mask = element("mask", label="car", rle=rle, left=left, top=0, width=width, height=2)
    reading = read(write_cvat(tmp_path, cvat_xml(task(), image(0, "a.png", mask)), ["a.png"]))
    assert reading.records == []
    assert [one.rule for one in reading.problems] == ["shape_is_readable"]
    assert words in reading.problems[0].reason


def test_a_skeleton_has_all_points_of_its_label_in_the_labels_order(tmp_path):
    inner = (
        shape("points", "knee", "5,6", attribute("bent", "yes"), occluded=1, outside=0)
        + shape("points", "head", "1,2", occluded=0, outside=0)
        + shape("points", "foot", "9,9", occluded=0, outside=1)
    )
    skeleton = element("skeleton", inner + attribute("pose", "sits"), label="person", z_order=0)
    meta = task(labelled=labels(["person"], joints=["head", "hand", "knee", "foot"]))
    (person,) = objects_of(tmp_path, skeleton, meta=meta)
    assert person.keypoints == (
        Keypoint("head", 1, 2, 2), Keypoint("hand", 0, 0, 0), Keypoint("knee", 5, 6, 1), Keypoint("foot", 0, 0, 0)
    )  # fmt: skip
    assert person.bbox_xywh_px == (1, 2, 4, 4)
    assert person.attributes == {"pose": "sits", "knee.bent": "yes"}


def test_an_ellipse_becomes_a_polygon_and_a_cuboid_is_counted(tmp_path):
    ellipse = element("ellipse", label="car", cx=20, cy=20, rx=10, ry=5, rotation=90)
    content = cvat_xml(task(), image(0, "a.png", ellipse + element("cuboid", label="car", xtl1=1)))
    reading = read(write_cvat(tmp_path, content, ["a.png"]))
    (car,) = only_record(reading).objects
    assert len(car.polygons_px[0]) == 128
    assert car.bbox_xywh_px == pytest.approx((15, 10, 10, 20))
    words = [note.split(": ")[1] for note in reading.notes]
    assert words == ["1 cuboid not read", "1 ellipse came in as polygons of 64 points"]


def test_images_without_a_shape_are_samples_without_objects(tmp_path):
    reading = read(write_cvat(tmp_path, cvat_xml(task(), image(0, "a.png")), ["a.png", "b.png"]))
    assert [(one.sample_id, one.objects) for one in reading.records] == [("a", ())]


def test_a_project_gives_splits_tags_and_the_names_of_its_tasks(tmp_path):
    """As CVAT writes it: images/<subset>/<name>, ``subset`` and ``task_id`` on each image."""
    tasks = task("day", id=3) + task("night", id=4)
    meta = element("project", element("name", "cars") + labels(["car"]) + element("tasks", tasks))
    car = box("car", (1, 1, 9, 9))
    content = cvat_xml(
        meta,
        image(0, "a.png", car, subset="Train", task_id=3),
        image(1, "sub/b.png", car, subset="Validation", task_id=3),
        image(0, "a.png", "", subset="winter", task_id=4),
    )
    folder = write_cvat(tmp_path, content, ["Train/a.png", "Validation/sub/b.png", "winter/a.png"])
    first, second, third = sorted(read(folder).records, key=lambda one: one.sample_id)
    assert [first.sample_id, second.sample_id, third.sample_id] == ["Train/a", "Validation/sub/b", "winter/a"]
    assert [first.split, second.split, third.split] == ["train", "val", None]
    assert [first.tags, third.tags] == [(), ("winter",)]
    assert third.source == {"project": "cars", "task": "night"}
    assert read(folder).labels == ["car"]


def test_a_job_is_read_and_named(tmp_path):
    meta = task(kind="job", labelled=labels(["car"]), subset="test")
    record = only_record(read(write_cvat(tmp_path, cvat_xml(meta, image(0, "a.png")), ["a.png"])))
    assert (record.source, record.split, record.clip) == ({"job": "7"}, "test", "")


def test_several_files_of_one_export_find_the_images_beside_them(tmp_path):
    for name in ("north", "south"):
        content = cvat_xml(task(name, labelled=labels([name])), image(0, "a.png"))
        write_cvat(tmp_path / name, content, ["a.png"])
    reading = read(tmp_path)
    assert [(one.sample_id, one.label_file) for one in reading.records] == [
        ("north/a", "north/annotations.xml"), ("south/a", "south/annotations.xml")
    ]  # fmt: skip
    assert reading.labels == ["north", "south"]
    assert sorted(reading.label_files) == ["north/annotations.xml", "south/annotations.xml"]


def test_images_may_lie_beside_the_file_and_a_name_may_lack_its_suffix(tmp_path):
    content = cvat_xml(task(), image(0, "a.png"), image(1, "v1.5"))
    reading = read(write_cvat(tmp_path, content, ["a.png", "v1.5.png"], below="."))
    assert [one.sample_id for one in reading.records] == ["a", "v1.5"]


def test_frames_of_a_video_that_was_exported_as_images_are_one_group(tmp_path):
    content = cvat_xml(task("drive", mode="interpolation"), image(4, "frame_000004", box("car", (1, 1, 5, 5))))
    record = only_record(read(write_cvat(tmp_path, content, ["frame_000004.png"])))
    assert (record.clip, record.frame) == ("drive", 4)


def test_an_image_that_is_missing_or_leads_out_is_named(tmp_path):
    content = cvat_xml(task(), image(0, "gone.png"), image(1, "../up.png"), image(2, ""), image(3, "a.png"))
    reading = read(write_cvat(tmp_path, content, ["a.png"]))
    assert [(one.sample_id, one.rule) for one in reading.problems] == [
        ("gone.png", "image_exists"), ("../up.png", "file_name_is_inside"), ("image 2", "file_name_is_inside")
    ]  # fmt: skip
    assert [one.sample_id for one in reading.records] == ["a"]


def test_a_broken_image_is_named(tmp_path):
    folder = write_cvat(tmp_path, cvat_xml(task(), image(0, "a.png")), ["a.png"])
    (folder / "images" / "a.png").write_bytes(b"no image")
    assert [(one.sample_id, one.rule) for one in read(folder).problems] == [("a", "image_is_whole")]


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (box("car", ("nan", 1, 2, 3)), "box_is_readable"),
        (box("car", ("-1e308", 1, "1e308", 3)), "box_is_readable"),
        (element("box", label="car", xtl=1), "box_is_readable"),
        (box("", (1, 1, 2, 2)), "label_is_declared"),
        (shape("polygon", "car", "1,1;2,2"), "shape_is_readable"),
        (shape("polygon", "car", "1,1;2;3,3"), "shape_is_readable"),
        (shape("points", "car", ""), "shape_is_readable"),
        (element("skeleton", shape("points", "head", "1,1;2,2"), label="person"), "shape_is_readable"),
        (element("skeleton", element("polygon", label="head"), label="person"), "shape_is_readable"),
        (element("skeleton", label="person"), "shape_is_readable"),
        (element("ellipse", label="car", cx=1, cy="inf", rx=1, ry=1), "shape_is_readable"),
        (box("car", (1, 1, 2, 2), rotation="left"), "shape_is_readable"),
    ],
)
def test_a_shape_that_cannot_be_read_is_a_problem_of_its_image_alone(tmp_path, broken, rule):
    content = cvat_xml(task(), image(0, "a.png", broken), image(1, "b.png", box("car", (1, 1, 2, 2))))
    reading = read(write_cvat(tmp_path, content, ["a.png", "b.png"]))
    assert [(one.sample_id, one.rule) for one in reading.problems] == [("a", rule)]
    assert [one.sample_id for one in reading.records] == ["b"]


def test_a_folder_without_a_cvat_file_is_refused_and_other_xml_is_noted(tmp_path):
    with pytest.raises(BadExport, match=r"no CVAT file below voc; expected an \.xml that begins with <annotations>"):
        read(write_voc(tmp_path / "voc"))
    folder = write_cvat(tmp_path / "cvat", cvat_xml(task(), image(0, "a.png")), ["a.png"])
    (folder / "other.xml").write_text("<root/>")
    assert read(folder).notes == ["not read, since it is no CVAT file: other.xml"]
