"""Exports written from the formats' own specifications come in as the same samples, whatever the format."""

import random
import shutil
from pathlib import Path

import pytest

from lakegate.errors import BadDeclaration, BadExport
from lakegate.formats.importing import ImportResult, import_export, recognise
from lakegate.samples import draw_split

from .exports import (
    LABELS,
    SCENES,
    Box,
    Scene,
    declare,
    voc_xml,
    write_coco,
    write_image,
    write_voc,
    write_yolo,
)

WRITERS = {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}


def objects_of(result: ImportResult) -> dict[str, list[tuple[str, Box]]]:
    return {
        item.sample.id: sorted((one.label, one.bbox_xywh_px) for one in item.sample.annotations if one.bbox_xywh_px)
        for item in result.samples
    }


def expected(scenes: dict[str, Scene] = SCENES) -> dict[str, list[tuple[str, Box]]]:
    return {name: sorted(objects) for name, (_, objects) in scenes.items()}


@pytest.mark.parametrize("name", WRITERS)
def test_an_export_comes_in_with_every_object_where_it_was(tmp_path, name):
    result = import_export(WRITERS[name](tmp_path), None, declare())
    assert result.format == name
    assert result.problems == []
    assert objects_of(result) == expected()
    assert {item.sample.id: (item.sample.width_px, item.sample.height_px) for item in result.samples} == {
        key: size for key, (size, _) in SCENES.items()
    }
    assert all(item.image.is_file() for item in result.samples)


@pytest.mark.parametrize("name", WRITERS)
def test_random_boxes_with_fractions_outside_and_without_area_are_neither_rounded_nor_dropped(tmp_path, name):
    draw = random.Random(7)
    scenes: dict[str, Scene] = {}
    for number in range(40):
        size = (draw.randint(16, 4000), draw.randint(16, 3000))
        boxes: list[Box] = []
        for _ in range(draw.randint(0, 12)):
            x, y = round(draw.uniform(-20, size[0]), 3), round(draw.uniform(-20, size[1]), 3)
            boxes.append((x, y, draw.choice([0, 1, round(draw.uniform(0, 900), 3)]), round(draw.uniform(0, 900), 3)))
        scenes[f"{number:03d}"] = (size, [(draw.choice(LABELS), box) for box in boxes])
    result = import_export(WRITERS[name](tmp_path, scenes), None, declare())
    assert result.problems == []
    imported, wanted = objects_of(result), expected(scenes)
    assert sorted(imported) == sorted(wanted)
    for key, objects in wanted.items():
        assert [label for label, _ in imported[key]] == [label for label, _ in objects]
        for (_, came), (_, box) in zip(imported[key], objects, strict=True):
            assert came == pytest.approx(box, abs=0.0011)


def test_the_same_objects_give_the_same_annotations_in_all_three_formats(tmp_path):
    results = [import_export(write(tmp_path / name), None, declare()) for name, write in WRITERS.items()]
    contents = [
        [(item.sample.id, item.sample.split, sorted(map(str, item.sample.annotations))) for item in result.samples]
        for result in results
    ]
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize("name", WRITERS)
def test_the_result_depends_neither_on_the_place_nor_on_the_order_of_the_files(tmp_path, name):
    first = WRITERS[name](tmp_path / "here")
    second = WRITERS[name](tmp_path / "there" / "labels" / "x", dict(reversed(SCENES.items())))
    if name == "coco":
        shutil.copy(first / "annotations" / "instances_default.json", second / "annotations")
    one, two = (import_export(folder, None, declare()) for folder in (first, second))
    assert one.source_digest == two.source_digest
    assert [item.sample.to_json() for item in one.samples] == [item.sample.to_json() for item in two.samples]
    assert str(tmp_path).encode() not in b"".join(item.sample.to_json() for item in one.samples)


def test_the_digest_changes_with_a_label_an_image_a_declaration_and_a_limit(tmp_path):
    folder = write_voc(tmp_path)
    digests = [import_export(folder, None, declare()).source_digest]
    digests.append(import_export(folder, None, declare(on_bad_sample='"quarantine"')).source_digest)
    digests.append(import_export(folder, None, declare(), limit_to={"north/0001"}).source_digest)
    write_image(folder / "JPEGImages" / "north" / "0002.jpg", (64, 65))
    digests.append(import_export(folder, None, declare()).source_digest)
    label = folder / "Annotations" / "north" / "0001.xml"
    label.write_text(label.read_text().replace("car", "person"))
    digests.append(import_export(folder, None, declare()).source_digest)
    assert len(set(digests)) == 5


def test_a_folder_of_xml_files_finds_its_images_in_another_folder(tmp_path):
    root = write_voc(tmp_path)
    result = import_export(root / "Annotations", root / "JPEGImages", declare())
    assert objects_of(result) == expected()
    assert result.samples[0].sample.source == {"format": "voc", "file": "north/0001.xml"}


def test_a_coco_file_alone_finds_the_images_beside_its_folder(tmp_path):
    root = write_coco(tmp_path)
    assert objects_of(import_export(root / "annotations" / "instances_default.json", None, declare())) == expected()


@pytest.mark.parametrize("names", ["classes.txt", "obj.names", "data.yaml"])
def test_yolo_class_names_are_read_by_number_from_every_usual_file(tmp_path, names):
    result = import_export(write_yolo(tmp_path, names=names), None, declare(labels=tuple(reversed(LABELS))))
    assert objects_of(result) == expected()


def test_yolo_without_names_is_read_in_the_declared_order_and_says_so(tmp_path):
    (write_yolo(tmp_path) / "data.yaml").unlink()
    result = import_export(tmp_path, None, declare())
    assert objects_of(result) == expected()
    assert "does not name its classes" in result.notes[0]


def test_folders_named_by_split_give_the_split_where_the_declaration_keeps_the_given_one(tmp_path):
    for folder in ("train", "valid", "test"):
        write_image(tmp_path / folder / "images" / f"{folder}1.jpg", (40, 40))
        (tmp_path / folder / "labels").mkdir()
        (tmp_path / folder / "labels" / f"{folder}1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("names: [car]\n")
    result = import_export(tmp_path, None, declare(split='{ from = "given" }'))
    assert {item.sample.id: item.sample.split for item in result.samples} == {
        "train/train1": "train",
        "valid/valid1": "val",
        "test/test1": "test",
    }


def test_a_given_split_that_is_missing_is_a_problem_of_that_sample(tmp_path):
    folder = write_voc(tmp_path)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "test.txt").write_text("north/0001\nnorth/0002\n")
    result = import_export(folder, None, declare(split='{ from = "given" }'))
    assert {item.sample.id: item.sample.split for item in result.samples} == {"north/0001": "test", "north/0002": "test"}
    assert [(item.sample_id, item.rule) for item in result.problems] == [("south/ä 0001", "split_is_given")]


def test_samples_of_one_group_are_drawn_into_one_split(tmp_path):
    scenes = {f"clip{clip}_{frame}": ((20, 20), []) for clip in range(12) for frame in range(3)}
    scenes["clip0_0"] = ((20, 20), [("car", (1, 1, 5, 5))])
    result = import_export(write_voc(tmp_path, scenes), None, declare(split="{ test = 0.4, group = '^(clip\\d+)_' }"))
    for item in result.samples:
        assert item.sample.group == item.sample.id.split("_")[0]
        assert item.sample.split == draw_split(item.sample.group, 0.4)
    assert {item.sample.split for item in result.samples} == {"train", "test"}


def test_a_group_that_is_no_pattern_is_refused(tmp_path):
    with pytest.raises(BadDeclaration, match="regular expression"):
        import_export(write_voc(tmp_path), None, declare(split="{ group = '(clip' }"))


def test_a_renamed_label_comes_in_under_its_new_name(tmp_path):
    declaration = declare(labels=["vehicle", "person", "stop sign"], rename='{ car = "vehicle" }')
    result = import_export(write_voc(tmp_path), None, declaration)
    assert result.problems == []
    assert {one.label for one in result.samples[0].sample.annotations} == {"vehicle", "person"}


def test_flags_and_attributes_of_an_object_are_kept(tmp_path):
    write_image(tmp_path / "a.png", (50, 50))
    extra = "<pose>Left</pose><truncated>0</truncated><difficult>1</difficult>"
    extra += "<attributes><attribute><name>colour</name><value>red</value></attribute></attributes>"
    (tmp_path / "a.xml").write_text(voc_xml("a.png", (50, 50), [("car", (1, 2, 3, 4))], extra))
    result = import_export(tmp_path, None, declare())
    assert result.samples[0].sample.annotations[0].attributes == {"difficult": "true", "pose": "Left", "colour": "red"}


def test_images_without_labels_are_listed_and_not_imported(tmp_path):
    folder = write_voc(tmp_path)
    write_image(folder / "JPEGImages" / "north" / "0003.png", (10, 10))
    result = import_export(folder, None, declare())
    assert result.unlabelled == [Path("north/0003.png")]
    assert len(result.samples) == 3
    assert result.notes == ["1 images have no label file and are not published"]


def test_a_limit_restricts_samples_problems_and_unlabelled_images(tmp_path):
    folder = write_voc(tmp_path)
    write_image(folder / "JPEGImages" / "other.jpg", (10, 10))
    (folder / "Annotations" / "south" / "ä 0001.xml").write_text("<annotation>")
    result = import_export(folder, None, declare(), limit_to={"north/0002"})
    assert [item.sample.id for item in result.samples] == ["north/0002"]
    assert (result.problems, result.unlabelled) == ([], [])


def test_a_limit_that_names_unknown_samples_is_refused_by_name(tmp_path):
    with pytest.raises(BadExport, match=r"1 of the 2 samples.*'north/0009'; did you mean"):
        import_export(write_voc(tmp_path), None, declare(), limit_to={"north/0001", "north/0009"})


def test_an_export_put_together_from_links_is_read(tmp_path):
    real, linked = write_voc(tmp_path / "real"), tmp_path / "linked"
    (linked / "Annotations").mkdir(parents=True)
    for path in (real / "Annotations").rglob("*.xml"):
        (linked / "Annotations" / path.name.replace("0001", path.parent.name)).symlink_to(path)
    (linked / "JPEGImages").symlink_to(real / "JPEGImages")
    result = import_export(linked, None, declare(), limit_to={"north/0002"})
    assert [item.sample.id for item in result.samples] == ["north/0002"]


@pytest.mark.parametrize("name", WRITERS)
def test_the_format_is_recognised_from_the_files(tmp_path, name):
    assert recognise(WRITERS[name](tmp_path)) == name


def test_a_folder_of_two_formats_is_refused_until_one_is_named(tmp_path):
    write_voc(tmp_path)
    write_coco(tmp_path)
    shutil.rmtree(tmp_path / "JPEGImages")
    with pytest.raises(BadExport, match="looks like voc and coco"):
        import_export(tmp_path, None, declare())
    assert objects_of(import_export(tmp_path, None, declare(), source_format="coco")) == expected()


def test_a_format_that_does_not_exist_is_answered_with_the_nearest_one(tmp_path):
    with pytest.raises(BadExport, match="did you mean 'coco'"):
        import_export(write_coco(tmp_path), None, declare(), source_format="cocoo")
