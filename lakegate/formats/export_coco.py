"""COCO out: one file per split below ``annotations/``, images below ``images/`` (https://cocodataset.org/#format-data).

Detection and segmentation are ``instances_<split>.json``, keypoints ``person_keypoints_<split>.json``, labels of whole images
``labels_<split>.json``, as Datumaro names them.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from lakegate.canonical import FLOAT_DECIMALS
from lakegate.declarations import Task
from lakegate.formats.export_set import ExportItem, ExportSet, Losses
from lakegate.masks import area_px, rle_of
from lakegate.samples import Annotation, Sample

FILE_NAMES: dict[Task, str] = {"classification": "labels", "keypoints": "person_keypoints"}
CROWD = "iscrowd"


def write_coco(exported: ExportSet, folder: Path) -> Losses:
    """Write the label files of an export; the images are written by the caller."""
    losses = Losses("COCO")
    (folder / "annotations").mkdir()
    for split, items in exported.by_split.items():
        name = f"{FILE_NAMES.get(exported.task, 'instances')}_{split}.json"
        with (folder / "annotations" / name).open("w", encoding="utf-8") as file:
            _write_file(file, exported, items, losses)
    return losses


def _write_file(file: IO[str], exported: ExportSet, items: list[ExportItem], losses: Losses) -> None:
    licences = list(dict.fromkeys(item.sample.source["licence"] for item in items if item.sample.source.get("licence")))
    parts: dict[str, Iterable[dict[str, Any]]] = {
        "licenses": ({"id": number, "name": name, "url": ""} for number, name in enumerate(licences, start=1)),
        "categories": _categories(exported),
        "images": (_image(number, item, licences) for number, item in enumerate(items, start=1)),
        "annotations": _annotations(exported, items, losses),
    }
    file.write(json.dumps({"info": {"description": exported.name}}, ensure_ascii=False)[:-1])
    for name, rows in parts.items():
        file.write(f',\n"{name}": [')
        for number, row in enumerate(rows):
            file.write(("," if number else "") + "\n" + json.dumps(row, ensure_ascii=False))
        file.write("]")
    file.write("}\n")


def _categories(exported: ExportSet) -> Iterator[dict[str, Any]]:
    for number, label in enumerate(exported.labels, start=1):
        category: dict[str, Any] = {"id": number, "name": label, "supercategory": ""}
        points = exported.points[label]
        yield category | {"keypoints": points, "skeleton": []} if points else category


def _image(number: int, item: ExportItem, licences: list[str]) -> dict[str, Any]:
    sample = item.sample
    content = {"id": number, "file_name": item.file_name, "width": sample.width_px, "height": sample.height_px}
    if sample.source.get("licence"):
        content["license"] = licences.index(sample.source["licence"]) + 1
    if sample.captured_at:
        content["date_captured"] = sample.captured_at
    return content


def _annotations(exported: ExportSet, items: list[ExportItem], losses: Losses) -> Iterator[dict[str, Any]]:
    categories = {label: (number, exported.points[label]) for number, label in enumerate(exported.labels, start=1)}
    written = 0
    for number, item in enumerate(items, start=1):
        losses.leave_out("tags of samples", len(item.sample.tags))
        for annotation in item.sample.annotations:
            if annotation.is_image_level != (exported.task == "classification"):
                kind = "labels of whole images" if annotation.is_image_level else "objects with a shape"
                losses.leave_out(f"{kind} of a dataset for {exported.task}")
                continue
            losses.check_words(annotation, attributes=True, track_id=True, origin=False)
            written += 1
            losses.written += 1
            category_id, points = categories[annotation.label]
            content = {"id": written, "image_id": number, "category_id": category_id}
            yield content | _shape(annotation, item.sample, points) | _words(annotation)


def _shape(annotation: Annotation, sample: Sample, point_names: list[str]) -> dict[str, Any]:
    if annotation.is_image_level:
        return {}
    rle = rle_of(annotation, sample.height_px, sample.width_px)
    box = annotation.bbox_xywh_px or (0.0, 0.0, 0.0, 0.0)
    segmentation: Any = [_rounded(polygon) for polygon in annotation.polygons_px]
    content = {
        "bbox": _rounded(box),
        "area": round(box[2] * box[3], FLOAT_DECIMALS) if rle is None else area_px(rle),
        "iscrowd": int(annotation.attributes.get(CROWD) == "true"),
        "segmentation": segmentation if annotation.rle is None else annotation.rle.to_dict(),
    }
    if annotation.keypoints:
        by_name = {point.name: point for point in annotation.keypoints if point.visibility}
        found = [by_name.get(name) for name in point_names]
        places = [(0, 0, 0) if point is None else (*_rounded((point.x_px, point.y_px)), point.visibility) for point in found]
        content["keypoints"] = [number for place in places for number in place]
        content["num_keypoints"] = len(by_name)
    return content


def _words(annotation: Annotation) -> dict[str, Any]:
    attributes = {name: value for name, value in annotation.attributes.items() if (name, value) != (CROWD, "true")}
    content: dict[str, Any] = {"attributes": attributes} if attributes else {}
    return content | {"track_id": annotation.track_id} if annotation.track_id else content


def _rounded(numbers: Iterable[float]) -> list[float]:
    return [round(number, FLOAT_DECIMALS) for number in numbers]
