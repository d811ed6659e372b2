"""COCO object detection: https://cocodataset.org/#format-data. ``bbox`` is x, y, width, height in pixels."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import SPLIT_WORDS, ExportFiles, key_of, leads_outside, split_in
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.recognising import is_coco
from lakegate.formats.staging import annotation_number, staged_name
from lakegate.samples import Split

Json = dict[str, Any]


@dataclass(frozen=True)
class _CocoFile:
    path: Path
    relative: str
    names: dict[Any, str]  # by category id
    split: Split | None


def read_coco(export: ExportFiles) -> Reading:
    """Read the annotation files of an export (all of them, or those called ``instances_*`` where there are such)."""
    reading = Reading()
    labels: dict[str, None] = {}
    for path in _annotation_files(export, reading):
        relative = export.relative(path)
        reading.label_files[relative] = path
        content = _load(path)
        names = _category_names(content, relative)
        labels.update(dict.fromkeys(names.values()))
        _read_file(export, reading, _CocoFile(path, relative, names, _split_of(path)), content)
    reading.labels = list(labels)
    return reading


def stage_coco(records: Sequence[SourceRecord], labels: Sequence[str], folder: Path) -> None:
    """Write ``annotations/instances_default.json`` of these records alone, with the fields that Datumaro demands.

    It is written, not linked: exports often lack ``iscrowd`` or ``id``, for which Datumaro drops the object.
    """
    (folder / "annotations").mkdir()
    (folder / "images").mkdir()
    numbers = {label: index + 1 for index, label in enumerate(labels)}
    images, annotations = [], []
    for number, record in enumerate(records):
        width, height = record.size_px
        images.append({"id": number + 1, "file_name": f"{staged_name(number)}.jpg", "width": width, "height": height})
        annotations += [
            {
                "id": annotation_number(number, index),
                "image_id": number + 1,
                "category_id": numbers[item.label],
                "bbox": list(item.bbox_xywh_px or ()),
                "iscrowd": 0,
                "segmentation": [],
            }
            for index, item in enumerate(record.objects)
        ]
    categories = [{"id": number, "name": label} for label, number in numbers.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_default.json").write_text(json.dumps(content))


def _annotation_files(export: ExportFiles, reading: Reading) -> list[Path]:
    files = [path for path in export.files if path.suffix.lower() == ".json" and (export.source_is_file or is_coco(path))]
    instances = [path for path in files if path.name.startswith("instances_")]
    if instances and len(instances) < len(files):
        left_out = [export.relative(path) for path in files if path not in instances]
        reading.notes.append(f"not read, since instances_*.json is there: {', '.join(left_out)}")
    if not files:
        raise BadExport(f"no COCO file in {export.root.name}; expected a .json with images, annotations and categories")
    return instances or files


def _load(path: Path) -> Json:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadExport(f"{path.name} is not JSON ({error}); export it again") from error
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in lists):
        raise BadExport(f"{path.name} is not COCO: expected the lists {', '.join(lists)}")
    if not all(isinstance(item, dict) for name in lists for item in content[name]) or not all(
        isinstance(item.get("id"), int | str) for item in (*content["images"], *content["categories"])
    ):
        raise BadExport(f"{path.name} is not COCO: each item of {', '.join(lists)} must be an object with an id")
    return dict(content)


def _category_names(content: Json, file: str) -> dict[Any, str]:
    try:
        names = {item["id"]: str(item["name"]).strip() for item in content["categories"]}
    except (KeyError, TypeError) as error:
        raise BadExport(f"{file}: a category lacks its id or name ({error})") from error
    if len(set(names.values())) < len(content["categories"]):
        raise BadExport(f"{file}: a category's id or name stands twice: {', '.join(names.values())}")
    return names


def _read_file(export: ExportFiles, reading: Reading, file: _CocoFile, content: Json) -> None:
    by_image: dict[Any, list[Json]] = {}
    for item in content["annotations"]:
        image_id = item.get("image_id")
        by_image.setdefault(image_id if isinstance(image_id, int | str) else None, []).append(item)
    for image in content["images"]:
        _read_image(export, reading, file, image, by_image.pop(image["id"], []))
    for image_id, objects in by_image.items():
        reason = f"{len(objects)} annotations name image {image_id}, which the file does not list"
        reading.problem(f"image_id {image_id}", file.relative, "image_exists", reason)
    masks = sum(1 for item in content["annotations"] if item.get("segmentation") or item.get("keypoints"))
    if masks:
        reading.notes.append(f"{file.relative}: {masks} masks or sets of keypoints were not read: detection keeps boxes")


def _read_image(export: ExportFiles, reading: Reading, file: _CocoFile, image: Json, objects: list[Json]) -> None:
    file_name = str(image.get("file_name", "")).replace("\\", "/")
    key = key_of(PurePosixPath(file_name)) if file_name else f"image_id {image['id']}"
    if not file_name or leads_outside(file_name):
        reason = f"file_name '{file_name}' of image {image['id']} leads out of the export; expected a path below the images"
        reading.problem(PurePosixPath(key).name, file.relative, "file_name_is_inside", reason)
        return
    in_split = f"{file.split}/{key}"
    sample_id = in_split if in_split in export.by_id else export.find(key)
    if sample_id is None:
        reason = f"the image '{file_name}' is missing; {len(export.by_id)} images were found"
        reading.problem(key, file.relative, "image_exists", reason)
        return
    picture = export.by_id[sample_id][0]
    try:
        size_px = export.size_px(picture)
        boxes = tuple(_object(item, file.names) for item in objects)
    except BadImage as error:
        reading.problem(sample_id, export.relative(picture), "image_is_whole", str(error))
    except LookupError as error:
        reading.problem(sample_id, file.relative, "label_is_declared", str(error.args[0]))
    except ValueError as error:
        reading.problem(sample_id, file.relative, "box_is_readable", str(error))
    else:
        split = file.split or split_in(PurePosixPath(file_name))
        stated = _stated_size(image)
        reading.records.append(SourceRecord(sample_id, file.relative, file.path, picture, size_px, boxes, stated, split))


def _object(item: Json, names: dict[Any, str]) -> SourceObject:
    """Read one annotation; raises ``LookupError`` for an unknown category, ``ValueError`` for an unreadable box."""
    category = item.get("category_id")
    if not isinstance(category, int | str) or category not in names:
        raise LookupError(f"category_id {category} is not in the file's categories ({', '.join(names.values())})")
    bbox = item.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError(f"annotation {item.get('id')} has bbox {bbox!r}; expected [x, y, width, height]")
    if not all(isinstance(side, int | float) and math.isfinite(side) for side in bbox):
        raise ValueError(f"annotation {item.get('id')} has bbox {bbox!r}; expected four numbers of pixels")
    x, y, width, height = (float(side) for side in bbox)
    attributes = {str(name): str(value) for name, value in (item.get("attributes") or {}).items()}
    if item.get("iscrowd"):
        attributes["iscrowd"] = "true"
    return SourceObject(names[category], (x, y, width, height), attributes)


def _stated_size(image: Json) -> SizePx | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None


def _split_of(path: Path) -> Split | None:
    words = [word for word in path.stem.lower().replace("-", "_").split("_") if word in SPLIT_WORDS]
    folder = path.parent.name.lower()
    return SPLIT_WORDS.get(words[-1] if words else folder)
