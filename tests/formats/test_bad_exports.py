"""What is wrong with one file is said of that file, with a reason; what is wrong with the whole export stops the import."""

import json
from pathlib import Path

import pytest

from lakegate.errors import BadExport
from lakegate.formats.importing import ImportResult, import_export
from lakegate.quality.problems import SampleProblem

from .exports import SCENES, coco_content, declare, voc_xml, write_coco, write_image, write_voc, write_yolo

ONE = {"0001": SCENES["north/0001"], "0002": SCENES["north/0002"]}


def only_problem(result: ImportResult, left: int = 1) -> SampleProblem:
    """The one problem of a result whose other samples came in."""
    assert len(result.problems) == 1, result.problems
    assert len(result.samples) == left
    return result.problems[0]


def test_a_truncated_xml_is_named_and_the_others_come_in(tmp_path):
    folder = write_voc(tmp_path, ONE)
    label = folder / "Annotations" / "0001.xml"
    label.write_text(label.read_text()[:150])
    problem = only_problem(import_export(folder, None, declare()))
    assert (problem.sample_id, problem.file, problem.rule) == ("0001", "Annotations/0001.xml", "label_file_is_whole")
    assert "not well-formed XML" in problem.reason


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"<annotation>\x80\x81</annotation>"])
def test_an_xml_of_garbage_is_named(tmp_path, content):
    folder = write_voc(tmp_path, ONE)
    (folder / "Annotations" / "0001.xml").write_bytes(content)
    assert only_problem(import_export(folder, None, declare())).rule == "label_file_is_whole"


def test_an_xml_with_an_external_entity_is_refused_and_the_entity_is_not_read(tmp_path):
    folder = write_voc(tmp_path / "export", ONE)
    secret = tmp_path / "secret.txt"
    secret.write_text("car")
    body = voc_xml("0001.jpg", (128, 96), [("&secret;", (1, 2, 3, 4))])
    entity = f'<?xml version="1.0"?><!DOCTYPE annotation [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'
    (folder / "Annotations" / "0001.xml").write_text(entity + body)
    problem = only_problem(import_export(folder, None, declare()))
    assert (problem.file, problem.rule) == ("Annotations/0001.xml", "xml_has_no_dtd")
    assert "document type" in problem.reason


def test_an_annotation_for_a_missing_image_is_named_in_every_format(tmp_path):
    for name, write in {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}.items():
        folder = write(tmp_path / name, ONE)
        next(folder.rglob("0001.jpg")).unlink()
        problem = only_problem(import_export(folder, None, declare()))
        assert (problem.sample_id, problem.rule) == ("0001", "image_exists")
        assert "missing" in problem.reason


def test_an_undeclared_label_is_answered_with_the_nearest_declared_one(tmp_path):
    folder = write_voc(tmp_path, ONE)
    label = folder / "Annotations" / "0001.xml"
    label.write_text(label.read_text().replace("person", "persn"))
    problem = only_problem(import_export(folder, None, declare()))
    assert problem.rule == "label_is_declared"
    assert problem.reason == "'persn' is no label of the dataset; did you mean 'person'?"


def test_a_class_number_and_a_category_without_a_name_are_named(tmp_path):
    yolo = write_yolo(tmp_path / "yolo", ONE)
    (yolo / "labels" / "0001.txt").write_text("7 0.5 0.5 0.1 0.1\n")
    assert "class 7 has no name" in only_problem(import_export(yolo, None, declare())).reason
    coco = write_coco(tmp_path / "coco", ONE)
    content = coco_content(ONE)
    content["annotations"][0]["category_id"] = 99
    (coco / "annotations" / "instances_default.json").write_text(json.dumps(content))
    assert "category_id 99" in only_problem(import_export(coco, None, declare())).reason


@pytest.mark.parametrize("name", ["../../outside.jpg", "/etc/outside.jpg", "C:\\outside.jpg", "a\\..\\..\\outside.jpg"])
def test_a_file_name_that_leads_out_of_the_export_is_refused(tmp_path, name):
    write_image(tmp_path / "outside.jpg", (128, 96))
    voc = write_voc(tmp_path / "a" / "voc", ONE)
    label = voc / "Annotations" / "0001.xml"
    label.write_text(label.read_text().replace("0001.jpg", name))
    problem = only_problem(import_export(voc, None, declare()))
    assert (problem.sample_id, problem.rule) == ("0001", "file_name_is_inside")
    coco = write_coco(tmp_path / "a" / "coco", ONE)
    content = coco_content(ONE)
    content["images"][0]["file_name"] = name
    (coco / "annotations" / "instances_default.json").write_text(json.dumps(content))
    problem = only_problem(import_export(coco, None, declare()))
    assert (problem.rule, problem.file) == ("file_name_is_inside", "annotations/instances_default.json")


def test_a_list_of_images_that_leads_out_of_the_export_is_named(tmp_path):
    folder = write_yolo(tmp_path, ONE)
    (folder / "train.txt").write_text("images/0002.jpg\n../../0001.jpg\n")
    result = import_export(folder, None, declare())
    assert [(item.sample_id, item.file, item.rule) for item in result.problems] == [
        ("0001", "train.txt", "file_name_is_inside")
    ]


def test_two_images_with_one_stem_are_both_named_and_neither_comes_in(tmp_path):
    folder = write_voc(tmp_path, ONE)
    write_image(folder / "JPEGImages" / "0001.png", (128, 96))
    problem = only_problem(import_export(folder, None, declare()))
    assert (problem.sample_id, problem.rule) == ("0001", "stem_is_unique")
    assert "JPEGImages/0001.jpg, JPEGImages/0001.png" in problem.reason


def test_an_image_whose_name_cannot_be_printed_is_named_in_a_way_that_can(tmp_path):
    folder = write_voc(tmp_path, ONE)
    label = folder / "Annotations" / "0001.xml"
    label.rename(label.with_name("00\n01.xml"))
    image = folder / "JPEGImages" / "0001.jpg"
    image.rename(image.with_name("00\n01.jpg"))
    (folder / "JPEGImages" / b"\xff.jpg".decode(errors="surrogateescape")).write_bytes(b"")
    result = import_export(folder, None, declare())
    assert {item.rule for item in result.problems} == {"name_is_printable", "image_exists"}
    assert "JPEGImages/00\\n01.jpg" in {item.file for item in result.problems}
    assert all((item.sample_id + item.file + item.reason).isprintable() for item in result.problems)


def test_a_label_of_a_missing_image_is_not_given_to_another_image_of_the_same_name(tmp_path):
    folder = write_voc(tmp_path, {"north/1": ONE["0001"], "north/2": ONE["0001"], "south/2": ONE["0002"]})
    (folder / "JPEGImages" / "north" / "2.jpg").unlink()
    (folder / "Annotations" / "south" / "2.xml").unlink()
    problem = only_problem(import_export(folder, None, declare()))
    assert (problem.sample_id, problem.rule) == ("north/2", "image_exists")


def test_a_sample_that_stands_in_the_lists_of_two_splits_is_named(tmp_path):
    voc, yolo = write_voc(tmp_path / "voc", ONE), write_yolo(tmp_path / "yolo", ONE)
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    for split in ("train", "test"):
        (voc / "ImageSets" / "Main" / f"{split}.txt").write_text("0001\n")
        (yolo / f"{split}.txt").write_text("images/0001.jpg\n")
    for folder in (voc, yolo):
        problem = only_problem(import_export(folder, None, declare()))
        assert (problem.sample_id, problem.rule) == ("0001", "split_is_given")
        assert "the second is train.txt" in problem.reason


def test_two_label_files_for_one_image_are_named_and_neither_counts(tmp_path):
    folder = write_voc(tmp_path, ONE)
    (folder / "Annotations" / "old").mkdir()
    (folder / "Annotations" / "old" / "0001.xml").write_text(voc_xml("0001.jpg", (128, 96), []))
    problem = only_problem(import_export(folder, None, declare()))
    assert problem.rule == "labels_are_unique"
    assert "Annotations/0001.xml, Annotations/old/0001.xml" in problem.reason


def test_a_stated_size_that_is_not_the_images_own_is_a_problem_and_the_real_size_is_recorded(tmp_path):
    folder = write_voc(tmp_path, ONE)
    write_image(folder / "JPEGImages" / "0001.jpg", (96, 128))
    result = import_export(folder, None, declare())
    problem = only_problem(result, left=2)
    assert problem.rule == "size_matches"
    assert "128 × 96 px, the image has 96 × 128 px; the sides are swapped" in problem.reason
    assert (result.samples[0].sample.width_px, result.samples[0].sample.height_px) == (96, 128)


@pytest.mark.parametrize("write", [write_voc, write_coco, write_yolo])
def test_a_web_page_called_jpg_is_named(tmp_path, write):
    folder = write(tmp_path, ONE)
    next(folder.rglob("0001.jpg")).write_text("<!doctype html><html>404</html>")
    problem = only_problem(import_export(folder, None, declare()))
    assert (problem.sample_id, problem.rule) == ("0001", "image_is_whole")
    assert problem.file.endswith("0001.jpg")
    assert "is not an image" in problem.reason


@pytest.mark.parametrize("side", ["", "twelve", "nan", "1e999"])
def test_a_box_side_that_is_no_number_is_named(tmp_path, side):
    folder = write_voc(tmp_path, ONE)
    label = folder / "Annotations" / "0001.xml"
    label.write_text(label.read_text().replace("<xmin>10<", f"<xmin>{side}<"))
    assert only_problem(import_export(folder, None, declare())).rule == "box_is_readable"


def test_an_object_that_datumaro_would_drop_is_a_problem_instead_of_a_gap(tmp_path):
    folder = write_voc(tmp_path, ONE)
    label = folder / "Annotations" / "0001.xml"
    label.write_text(label.read_text().replace("</name>", "</name><difficult>maybe</difficult>", 1))
    problem = only_problem(import_export(folder, None, declare()))
    assert problem.rule == "import_is_faithful"
    assert "difficult" in problem.reason


def test_the_image_of_a_sample_whose_labels_were_not_read_is_known(tmp_path):
    folder = write_voc(tmp_path, ONE)
    (folder / "Annotations" / "0001.xml").write_text("<annotation>")
    result = import_export(folder, None, declare())
    assert result.problem_images == {"0001": folder / "JPEGImages" / "0001.jpg"}


@pytest.mark.parametrize(
    "line",
    ["0 0.5 0.5 0.1", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.3", "0 0.1 0.1 0.2 0.1 0.9", "car 0.5 0.5 0.1 0.1", "0 nan 0.5 0.1 0.1"],
)
def test_a_yolo_line_that_is_no_box_is_named(tmp_path, line):
    folder = write_yolo(tmp_path, ONE)
    (folder / "labels" / "0001.txt").write_text(line + "\n")
    problem = only_problem(import_export(folder, None, declare()))
    assert (problem.file, problem.rule) == ("labels/0001.txt", "box_is_readable")


def test_a_byte_order_mark_before_a_label_or_a_class_name_is_no_part_of_it(tmp_path):
    folder = write_yolo(tmp_path, {"0001": ((40, 40), [("car", (10, 10, 20, 20))])})
    label = folder / "labels" / "0001.txt"
    label.write_bytes(b"\xef\xbb\xbf" + label.read_bytes().replace(b"\n", b"\r\n"))
    result = import_export(folder, None, declare())
    assert (result.problems, result.samples[0].sample.annotations[0].bbox_xywh_px) == ([], (10, 10, 20, 20))


def test_a_file_on_which_datumaro_gives_up_is_a_problem_of_its_own_sample(tmp_path):
    boxes = {f"{number:04d}": ((40, 40), [("car", (10, 10, 20, 20))]) for number in range(5)}
    folder = write_yolo(tmp_path, boxes)
    (folder / "labels" / "0003.txt").write_text("0 0.5 0.5 0.5 0.5\f0 0.5 0.5 0.5 0.5\n")  # two lines for us, one for it
    problem = only_problem(import_export(folder, None, declare()), left=4)
    assert (problem.sample_id, problem.rule) == ("0003", "import_is_faithful")


def test_coco_annotations_of_an_image_that_is_not_listed_are_not_lost_in_silence(tmp_path):
    folder = write_coco(tmp_path, ONE)
    content = coco_content(ONE)
    content["annotations"][0]["image_id"] = 12345
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(content))
    problem = only_problem(import_export(folder, None, declare()), left=2)
    assert problem.rule == "image_exists"
    assert "1 annotations name image 12345" in problem.reason


@pytest.mark.parametrize("bbox", [None, [], [1, 2, 3], [1, 2, "x", 4], [1, 2, float("nan"), 4]])
def test_a_coco_box_that_is_no_box_is_named(tmp_path, bbox):
    folder = write_coco(tmp_path, ONE)
    content = coco_content(ONE)
    content["annotations"][0]["bbox"] = bbox
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(content))
    assert only_problem(import_export(folder, None, declare())).rule == "box_is_readable"


def prepare(folder: Path, kind: str) -> Path:
    """An export that is bad as a whole."""
    folder.mkdir(exist_ok=True)
    if kind == "missing":
        return folder / "nowhere"
    if kind == "text":
        (folder / "readme.md").write_text("hello")
    if kind == "zip":
        (folder / "export.zip").write_bytes(b"PK")
    if kind == "other xml":
        (folder / "annotations.xml").write_text("<?xml version='1.0'?><page><word>1.1</word></page>")
    if kind == "broken json":
        (folder / "instances.json").write_text('{"images": [')
    if kind == "no images":
        (folder / "1.xml").write_text(voc_xml("1.jpg", (10, 10), []))
    if kind == "names twice":
        write_yolo(folder, ONE, names="classes.txt")
        (folder / "classes.txt").write_text("car\ncar\nperson\n")
    if kind == "no categories":
        write_coco(folder, ONE)
        (folder / "annotations" / "instances_default.json").write_text('{"images": [], "annotations": []}')
    return folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("empty", "files found: none"),
        ("text", "expected Pascal VOC"),
        ("zip", "unpack the archive first"),
        ("other xml", "files found: .xml.; expected Pascal VOC"),
        ("broken json", "instances.json is not JSON"),
        ("no images", "--images DIR"),
        ("names twice", "stands twice: car, car, person"),
        ("no categories", "expected the lists images, annotations, categories"),
    ],
)
def test_an_export_that_is_unreadable_as_a_whole_is_refused_with_the_way_out(tmp_path, kind, words):
    with pytest.raises(BadExport, match=words):
        import_export(prepare(tmp_path / "export", kind), None, declare())
