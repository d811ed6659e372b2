"""The formats that Lakegate reads: a row for each, whose functions are imported when they are needed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from lakegate.errors import BadExport, nearest

if TYPE_CHECKING:
    from lakegate.formats.export_files import ExportFiles
    from lakegate.formats.reading import Reading
    from lakegate.formats.staging import Stage

Format = Literal[
    "voc", "coco", "yolo", "cvat", "labelme", "label-studio", "datumaro", "image-folders", "instance-masks", "semantic-masks"
]
SourceFormat = Literal["auto", Format]


@dataclass(frozen=True)
class KnownFormat:
    """One row. Functions are named as ``module:function`` below ``lakegate.formats``.

    ``reader`` is ``(ExportFiles) -> Reading``; ``is_one`` is ``(Path) -> bool`` for one file that has ``suffix``, and empty
    where only the whole export tells the format; ``stage`` lays records out for Datumaro's importer ``datumaro_format``.
    """

    name: Format
    words: str
    reader: str
    is_one: str = ""
    suffix: str = ""
    stage: str = ""
    datumaro_format: str = ""


FORMATS: dict[str, KnownFormat] = {
    row.name: row
    for row in (
        KnownFormat("voc", "Pascal VOC (*.xml)", "voc:read_voc", "voc:is_voc", ".xml", "voc:stage_voc", "voc_detection"),
        KnownFormat(
            "coco", "COCO (*.json with images and annotations)", "coco:read_coco", "coco:is_coco", ".json",
            "coco_staging:stage_coco", "coco_instances",
        ),
        KnownFormat("cvat", "CVAT for images and for video 1.1 (*.xml)", "cvat:read_cvat", "cvat_xml:is_cvat", ".xml"),
        KnownFormat("labelme", "LabelMe (*.json, one per image)", "labelme:read_labelme", "labelme:is_labelme", ".json"),
        KnownFormat(
            "label-studio", "Label Studio (*.json)", "label_studio:read_label_studio", "label_studio:is_label_studio", ".json"
        ),
        KnownFormat(
            "datumaro", "Datumaro (annotations/*.json)", "datumaro_json:read_datumaro", "datumaro_json:is_datumaro", ".json"
        ),
        KnownFormat(
            "yolo", "YOLO (labels/*.txt with data.yaml or classes.txt)", "yolo:read_yolo", stage="yolo:stage_yolo",
            datumaro_format="yolo",
        ),
        KnownFormat("instance-masks", "label maps of instances (16-bit PNG or TIFF)", "label_maps:read_instance_masks"),
        KnownFormat("semantic-masks", "label maps of classes (8-bit PNG or TIFF)", "label_maps:read_semantic_masks"),
        KnownFormat("image-folders", "one folder of images per class", "image_folders:read_image_folders"),
    )
}  # fmt: skip


def check_format(name: str) -> Format:
    """Return ``name`` as a format; raises ``BadExport`` that names the nearest one."""
    if name not in FORMATS:
        raise BadExport(f"'{name}' is no format that Lakegate reads{nearest(name, FORMATS)}")
    return FORMATS[name].name


def read_format(name: Format, export: "ExportFiles") -> "Reading":
    """Read an export by the reader of that format; raises ``BadExport``."""
    reader = cast("Callable[[ExportFiles], Reading]", _function(FORMATS[name].reader))
    return reader(export)


def is_format(name: Format, path: Path) -> bool:
    """Tell whether one file is of that format; False for formats that no single file tells."""
    row = FORMATS[name]
    if not row.is_one or path.suffix.lower() != row.suffix:
        return False
    return cast("Callable[[Path], bool]", _function(row.is_one))(path)


def datumaro_stage(name: Format) -> "Stage | None":
    """Return the function that lays records out for Datumaro; None for formats that Datumaro does not check."""
    row = FORMATS[name]
    return cast("Stage", _function(row.stage)) if row.stage else None


def _function(words: str) -> object:
    module, _, name = words.partition(":")
    return getattr(import_module(f"lakegate.formats.{module}"), name)
