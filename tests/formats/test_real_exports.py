"""Real exports, compared with a second reading by the standard library: no object is lost, moved or renamed."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lakegate.formats.importing import ImportResult, import_export
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
    ("folder", "n_samples", "n_unlabelled"), [("v3_shenggan_2019_voc", 292, 2), ("v1_cosmicad_voc", 275, 19)]
)
def test_every_object_of_the_blood_cells_comes_in_exactly(samples_dir, folder, n_samples, n_unlabelled):
    source = samples_dir / "bccd" / folder
    result = import_export(source, samples_dir / "bccd" / "images", declare(labels=CELLS))
    assert (result.format, len(result.samples), len(result.unlabelled)) == ("voc", n_samples, n_unlabelled)
    assert result.problems == []
    assert objects_of(result) == read_directly(source)
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


def test_datumaros_own_assets_come_in(samples_dir):
    assets = samples_dir / "annotation_exports" / "datumaro" / "tests" / "assets"
    root = assets / "coco_dataset" / "coco_instances"
    coco = import_export(root, None, declare(labels=["a", "b", "c"], split='{ from = "given" }'))
    assert coco.problems == []
    assert {item.sample.id: item.sample.split for item in coco.samples} == {"train/a": "train", "val/b": "val"}
    stated = json.loads((root / "annotations" / "instances_train.json").read_text())["annotations"]
    assert [list(box) for _, box in objects_of(coco)["train/a"]] == [item["bbox"] for item in stated]
    yolo = import_export(assets / "yolo_dataset" / "strict", None, declare(labels=[f"label_{n}" for n in range(10)]))
    assert yolo.problems == []
    assert [label for label, _ in next(iter(objects_of(yolo).values()))] == ["label_2", "label_4"]
    voc = import_export(assets / "voc_dataset" / "voc_dataset1", None, declare(labels=["person", "cat"]))
    assert [item.sample.id for item in voc.samples] == ["2007_000001"]
