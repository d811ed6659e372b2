"""COCO as Datumaro reads it, written from records."""

import json
from collections.abc import Sequence
from pathlib import Path

from lakegate.formats.reading import SourceRecord
from lakegate.formats.staging import annotation_number, staged_name


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
