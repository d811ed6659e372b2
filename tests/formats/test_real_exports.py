"""Real exports, compared with a second reading by the standard library: no object is lost, moved or renamed."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from lakegate.errors import BadExport
from lakegate.formats.export_files import IMAGE_SUFFIXES
from lakegate.formats.importing import ImportResult, import_export
from lakegate.masks import box_of_rle, mask_of_rle, rle_of_mask
from lakegate.samples import Annotation, Box, Sample

from .exports import declare

CELLS = ["RBC", "WBC", "Platelets"]
HELMETS = ["helmet", "head", "person"]
Objects = list[tuple[str, Box]]


def read_directly(folder: Path) -> dict[str, Objects]:
    """Every object of every XML; only sound for trusted files."""
    found: dict[str, Objects] = {}
    for path in folder.glob("*.xml"):
        objects: Objects = []
        for item in ElementTree.parse(path).getroot().findall("object"):
            x1, y1, x2, y2 = (float(item.findtext(f"bndbox/{side}") or "nan") for side in ("xmin", "ymin", "xmax", "ymax"))
            objects.append((item.findtext("name") or "", (x1, y1, x2 - x1, y2 - y1)))
        found[path.stem] = objects
    return found


def objects_of(result: ImportResult) -> dict[str, Objects]:
    return {
        item.sample.id: [(one.label, one.bbox_xywh_px) for one in item.sample.annotations if one.bbox_xywh_px]
        for item in result.samples
    }


@pytest.mark.parametrize(
    ("folder", "n_samples", "n_unlabelled", "n_objects"),
    [("v3_shenggan_2019_voc", 292, 2, 3943), ("v2_shenggan_2017_voc", 292, 2, 3943), ("v1_cosmicad_voc", 275, 19, 3106)],
)
def test_every_object_of_the_blood_cells_comes_in_exactly(samples_dir, folder, n_samples, n_unlabelled, n_objects):
    source = samples_dir / "bccd" / folder
    result = import_export(source, samples_dir / "bccd" / "images", declare(labels=CELLS))
    assert (result.format, len(result.samples), len(result.unlabelled)) == ("voc", n_samples, n_unlabelled)
    assert result.problems == []
    assert objects_of(result) == read_directly(source)
    assert sum(map(len, objects_of(result).values())) == n_objects
    assert {(item.sample.width_px, item.sample.height_px) for item in result.samples} == {(640, 480)}


def test_boxes_without_area_of_the_blood_cells_are_passed_on_for_validation_to_judge(samples_dir):
    bccd = samples_dir / "bccd"
    limit = set((bccd / "demo_v1.txt").read_text().split())
    result = import_export(bccd / "v3_shenggan_2019_voc", bccd / "images", declare(labels=CELLS), limit_to=limit)
    flat = {key for key, objects in objects_of(result).items() if any(not (w and h) for _, (_, _, w, h) in objects)}
    assert len(result.samples) == 200
    assert flat == {"BloodImage_00338", "BloodImage_00343"}


def test_three_label_sets_at_once_are_ambiguous_for_each_sample(samples_dir):
    result = import_export(samples_dir / "bccd", None, declare(labels=CELLS))
    assert {item.rule for item in result.problems} == {"labels_are_unique"}
    assert len(result.problems) == 292


def test_the_helmets_agree_between_pascal_voc_and_yolo(samples_dir):
    root = samples_dir / "hardhat"
    declaration = declare(labels=HELMETS)
    voc = import_export(root / "v1_kaggle_voc", root / "images", declaration)
    by_number = declare(labels=["helmet", "person", "head"])  # the copy does not name its classes
    yolo = import_export(root / "yolo_shahizat", root / "images", by_number)
    assert (voc.problems, yolo.problems) == ([], [])
    assert objects_of(voc) == read_directly(root / "v1_kaggle_voc")
    assert [item.sample.id for item in voc.samples] == [item.sample.id for item in yolo.samples]
    n_objects = 0
    for first, second in zip(voc.samples, yolo.samples, strict=True):
        assert [item.label for item in first.sample.annotations] == [item.label for item in second.sample.annotations]
        for one, other in zip(first.sample.annotations, second.sample.annotations, strict=True):
            assert centre_and_size(first.sample, one) == pytest.approx(centre_and_size(second.sample, other), abs=0.000501)
            n_objects += 1
    assert n_objects == 1610


def centre_and_size(sample: Sample, annotation: Annotation) -> list[float]:
    """As YOLO writes a box: shares of the image's sides."""
    x1, y1, x2, y2 = annotation.box_xyxy_px
    w, h = sample.width_px, sample.height_px
    return [(x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h]


def test_the_relabelled_helmets_come_in_and_images_without_new_labels_are_counted(samples_dir):
    root = samples_dir / "hardhat"
    result = import_export(root / "v2_relabel_voc", root / "images", declare(labels=["Safety Helmet", "No Safety Helmet"]))
    assert (len(result.samples), len(result.unlabelled), result.problems) == (121, 220, [])
    assert objects_of(result) == read_directly(root / "v2_relabel_voc")
    assert sum(map(len, objects_of(result).values())) == 452


@pytest.mark.parametrize("copy", ["datumaro", "cvat_ai_datumaro"])
def test_datumaros_own_coco_asset_comes_in_as_boxes_and_as_masks(samples_dir, copy):
    root = samples_dir / "annotation_exports" / copy / "tests" / "assets" / "coco_dataset" / "coco_instances"
    given = '{ from = "given" }'
    boxes = import_export(root, None, declare(labels=["a", "b", "c"], split=given))
    assert boxes.problems == []
    assert {item.sample.id: item.sample.split for item in boxes.samples} == {"train/a": "train", "val/b": "val"}
    stated = json.loads((root / "annotations" / "instances_train.json").read_text())["annotations"]
    assert [list(box) for _, box in objects_of(boxes)["train/a"]] == [item["bbox"] for item in stated]
    assert boxes.notes == ["2 masks or polygons were not read: detection keeps boxes"]
    masks = import_export(root, None, declare(labels=["a", "b", "c"], split=given, task="segmentation"))
    assert [(item.sample_id, item.rule) for item in masks.problems] == [("train/a", "shape_fits_task")]
    polygon, crowd = masks.samples[0].sample.annotations
    assert polygon.polygons_px == ((0.0, 0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 2.0),)
    assert polygon.attributes == {"x": "1", "y": "hello"}
    assert crowd.attributes == {"iscrowd": "true"}
    assert crowd.rle is not None
    assert np.flatnonzero(mask_of_rle(crowd.rle).ravel(order="F")).tolist() == list(range(20))


@pytest.mark.parametrize("copy", ["datumaro", "cvat_ai_datumaro"])
def test_datumaros_own_yolo_and_voc_assets_come_in(samples_dir, copy):
    assets = samples_dir / "annotation_exports" / copy / "tests" / "assets"
    yolo_root = next((assets / "yolo_dataset").iterdir())
    yolo = import_export(yolo_root, None, declare(labels=[f"label_{n}" for n in range(10)], split='{ from = "given" }'))
    assert yolo.problems == []
    assert {key: [label for label, _ in objects] for key, objects in objects_of(yolo).items()} == {
        "obj_train_data/1": ["label_2", "label_4"]
    }
    assert [item.sample.split for item in yolo.samples] == ["train"]
    voc_root = assets / "voc_dataset" / "voc_dataset1"
    voc = import_export(voc_root, None, declare(labels=["person", "cat"], split='{ from = "given" }'))
    assert objects_of(voc) == {"2007_000001": [("cat", (1, 2, 2, 2)), ("person", (4, 5, 2, 2))]}
    assert (voc.problems, voc.unlabelled, voc.samples[0].sample.split) == ([], [Path("2007_000002.jpg")], "train")
    assert voc.notes[0] == "1 parts of objects (<part>) were not read: whole objects are kept"
    masks = import_export(voc_root, None, declare(labels=["person", "cat"], task="segmentation"))
    assert [(item.rule, item.reason) for item in masks.problems] == [
        ("mask_fits_image", "2007_000001.png: the map of objects numbers 1, the label file holds 2 objects")
    ]


@pytest.fixture(scope="module")
def nuclei(samples_dir) -> dict[str, ImportResult]:
    """Both versions of the label maps."""
    root = samples_dir / "nuclei"
    declaration = declare(labels=["nucleus"], task="segmentation")
    return {name: import_export(root / f"{name}_instance16", root / "images", declaration) for name in ("v1", "v2")}


@pytest.mark.parametrize(("version", "n_samples", "n_objects"), [("v1", 110, 3330), ("v2", 107, 3304)])
def test_every_nucleus_of_the_label_maps_comes_in_pixel_by_pixel(samples_dir, nuclei, version, n_samples, n_objects):
    result = nuclei[version]
    assert (result.format, len(result.samples), len(result.unlabelled)) == ("instance-masks", n_samples, 110 - n_samples)
    assert result.problems == []
    assert sum(len(item.sample.annotations) for item in result.samples) == n_objects
    for item in result.samples:
        with Image.open(samples_dir / "nuclei" / f"{version}_instance16" / item.sample.source["file"]) as opened:
            map_HW = np.asarray(opened).astype(int)
        ordered = [(value, map_HW == value) for value in sorted(set(map_HW.ravel().tolist()) - {0})]
        assert len(ordered) == len(item.sample.annotations)
        for (_, mask_HW), one in zip(ordered, item.sample.annotations, strict=True):
            assert one.rle == rle_of_mask(mask_HW)
            assert one.bbox_xywh_px == box_of_rle(one.rle)


def test_the_known_changes_of_the_nuclei_are_found(nuclei):
    old, new = ({item.sample.id: item.sample.to_json() for item in nuclei[name].samples} for name in ("v1", "v2"))
    assert len(old.keys() - new.keys()) == 3
    assert sum(old[sample_id] != new[sample_id] for sample_id in new) == 56


def test_label_maps_in_a_detection_dataset_give_boxes_and_say_what_is_left_away(samples_dir):
    root = samples_dir / "nuclei"
    result = import_export(root / "v1_instance16", root / "images", declare(labels=["nucleus"]))
    assert result.notes == ["3330 masks or polygons were not read: detection keeps boxes"]
    assert all(one.rle is None and one.bbox_xywh_px for item in result.samples for one in item.sample.annotations)


GROCERIES = (
    "Banana", "Cantaloupe", "Carrots", "Conference", "Granny-Smith", "Lemon", "Orange", "Satsumas", "Watermelon",
    "Yellow-Onion",
)  # fmt: skip


def test_the_groceries_come_in_by_their_finest_folder(samples_dir):
    declaration = declare(labels=GROCERIES, task="classification", split='{ from = "given" }')
    result = import_export(samples_dir / "grocery" / "dataset", None, declaration)
    assert (result.format, len(result.samples), result.problems) == ("image-folders", 340, [])
    assert Counter(one.label for item in result.samples for one in item.sample.annotations) == dict.fromkeys(GROCERIES, 34)
    assert all(len(item.sample.annotations) == 1 and item.sample.annotations[0].is_image_level for item in result.samples)
    assert {item.sample.split for item in result.samples} == {"train"}
    assert result.notes == ["1 files are no images that Lakegate reads: .csv 1"]


def test_the_groceries_come_in_under_coarser_names_where_many_are_renamed_to_one(samples_dir):
    coarse = {name: "melon" if name in ("Cantaloupe", "Watermelon") else "other" for name in GROCERIES}
    rename = "{ " + ", ".join(f"{name} = '{word}'" for name, word in coarse.items()) + " }"
    declaration = declare(labels=["melon", "other"], task="classification", rename=rename)
    result = import_export(samples_dir / "grocery", None, declaration)
    assert result.problems == []
    assert Counter(item.sample.annotations[0].label for item in result.samples) == {"melon": 68, "other": 272}


def test_the_sign_digits_come_in_by_folder(samples_dir):
    digits = [str(number) for number in range(10)]
    result = import_export(samples_dir / "sign_digits" / "Dataset", None, declare(labels=digits, task="classification"))
    assert (result.format, len(result.samples), result.problems) == ("image-folders", 701, [])
    counts = Counter(item.sample.annotations[0].label for item in result.samples)
    assert counts == {**dict.fromkeys(digits, 70), "7": 71}


def test_folders_of_images_are_no_classes_in_a_detection_dataset(samples_dir):
    with pytest.raises(BadExport, match="folders are classes where the dataset's task is classification"):
        import_export(samples_dir / "sign_digits" / "Dataset", None, declare())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_images_are_refused_by_name_or_read_and_none_stops_the_import(samples_dir):
    root = samples_dir / "broken_images"
    folders = ["pillow", "exif_orientation", "apng", "common", "b", "q", "eps"]
    result = import_export(root, None, declare(labels=folders, task="classification"), source_format="image-folders")
    images = [path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES]
    named = {item.sample.id for item in result.samples} | {item.sample_id for item in result.problems}
    assert {path.relative_to(root).with_suffix("").as_posix() for path in images} == named
    assert {item.rule for item in result.problems} == {"image_is_whole"}
    assert (len(images), len(result.samples)) == (110, 110 - len(result.problems))
    assert len(result.problems) == 10


def test_the_cvat_asset_is_recognised_and_its_oddities_are_said(samples_dir):
    root = samples_dir / "annotation_exports" / "datumaro" / "tests" / "assets" / "cvat_dataset" / "for_images" / "export_task"
    result = import_export(root, None, declare(labels=["label1", "label2"]))
    assert (result.format, objects_of(result)) == ("cvat", {"img0": [("label1", (0, 2, 4, 2))]})
    assert [(item.sample_id, item.reason) for item in result.problems] == [("img1", "a polygon has no label")]
    assert result.notes[0].startswith("train.xml: 1 polyline not read")
