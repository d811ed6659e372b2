"""Pascal VOC: one XML per image. Coordinates are taken as they stand (width = xmax - xmin, no shift by one).

Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
(its corners are 1-based and inclusive; LabelImg, CVAT and Roboflow write 0-based ones, and so do most exports today).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lakegate.errors import BadExport, BadImage
from lakegate.formats.export_files import (
    LABEL_FOLDERS,
    SPLIT_WORDS,
    ExportFiles,
    key_of,
    leads_outside,
    listed_splits,
    split_in,
)
from lakegate.formats.reading import Reading, SizePx, SourceObject, SourceRecord
from lakegate.formats.staging import link_or_copy, staged_name
from lakegate.formats.voc_masks import mask_files, with_masks

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

FLAGS = ("difficult", "truncated", "occluded")


class UnreadableLabel(ValueError):
    """One label file breaks the format; ``rule`` names how."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


def read_voc(export: ExportFiles) -> Reading:
    """Read all XMLs of an export; what is wrong with one file becomes a problem of its sample."""
    reading = Reading()
    lists = [path for path in export.files if path.parent.name == "Main" and path.suffix == ".txt" and path.stem in SPLIT_WORDS]
    splits, torn = listed_splits(lists)
    labels: dict[str, None] = {}
    parts, maps = 0, mask_files(export)
    for path in (path for path in export.files if path.suffix.lower() == ".xml"):
        relative = export.relative(path)
        key = key_of(PurePosixPath(relative), LABEL_FOLDERS)
        sample_id = export.find(key) or key
        try:
            root = _parse(path)
            sample_id = _sample_of(export, key, root)
            image = export.by_id[sample_id][0]
            objects = tuple(_object(element) for element in root.iterfind("object"))
            if sample_id in maps:
                reading.label_files[export.relative(maps[sample_id])] = maps[sample_id]
                objects = _with_masks(objects, maps[sample_id], export.size_px(image))
            split = splits.get(sample_id) or split_in(PurePosixPath(relative))
            if sample_id in torn:
                raise UnreadableLabel(
                    "split_is_given", f"it stands in the lists of two splits, the second is {torn[sample_id]}"
                )
            stated = _stated_size(root)
            record = SourceRecord(sample_id, relative, path, image, export.size_px(image), objects, stated, split)
        except UnreadableLabel as error:
            reading.problem(sample_id, relative, error.rule, str(error))
        except BadImage as error:
            reading.problem(sample_id, export.relative(export.by_id[sample_id][0]), "image_is_whole", str(error))
        else:
            reading.records.append(record)
            labels.update(dict.fromkeys(element.findtext("name") or "" for element in root.iterfind("object")))
            parts += len(root.findall("object/part"))
        reading.label_files[relative] = path
    if not reading.label_files:
        raise BadExport(f"no .xml below {export.root.name}; expected one Pascal VOC file per image")
    reading.label_files.update((export.relative(path), path) for path in lists)
    reading.labels = sorted(labels)
    if parts:
        reading.notes.append(f"{parts} parts of objects (<part>) were not read: whole objects are kept")
    return reading


def is_voc(path: Path) -> bool:
    """Return True for an XML file that has an element ``<annotation>`` in its first 64 KiB."""
    with path.open("rb") as file:
        head = file.read(65536)
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="ignore")
    return "<annotation>" in text or "<annotation " in text


def stage_voc(records: Sequence[SourceRecord], labels: Sequence[str], folder: Path) -> None:
    """Lay out ``Annotations/``, ``JPEGImages/``, ``ImageSets/Main/all.txt`` and the labels as Datumaro reads them."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for number, record in enumerate(records):
        link_or_copy(record.label_path, folder / "Annotations" / f"{staged_name(number)}.xml")
    names = "".join(f"{staged_name(number)}\n" for number in range(len(records)))
    (folder / "ImageSets" / "Main" / "all.txt").write_text(names)
    # labelmap.txt cannot hold a label with ':' or with blanks at its ends; this file holds any name
    (folder / "dataset_meta.json").write_text(json.dumps({"labels": list(labels)}))


def _with_masks(objects: tuple[SourceObject, ...], path: Path, size_px: SizePx) -> tuple[SourceObject, ...]:
    try:
        return with_masks(objects, path, size_px)
    except BadImage as error:
        raise UnreadableLabel("label_file_is_whole", str(error)) from error
    except ValueError as error:
        raise UnreadableLabel("mask_fits_image", f"{path.name}: {error}") from error


def _parse(path: Path) -> "Element":
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse

    try:
        root = parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise UnreadableLabel(
            "xml_has_no_dtd",
            f"it declares a document type or entities ({type(error).__name__}), which can read files or fill the memory; "
            "expected plain Pascal VOC, remove the <!DOCTYPE …>",
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise UnreadableLabel("label_file_is_whole", f"not well-formed XML ({error}); export it again") from error
    if root is None or root.tag != "annotation":
        raise UnreadableLabel("label_file_is_whole", "its outermost element is not <annotation>; expected Pascal VOC")
    return root


def _sample_of(export: ExportFiles, key: str, root: "Element") -> str:
    filename = (root.findtext("filename") or "").strip()
    if leads_outside(filename):
        raise UnreadableLabel("file_name_is_inside", f"<filename> '{filename}' leads out of the export; expected a plain name")
    named = str(PurePosixPath(key).parent / key_of(PurePosixPath(filename))) if filename else key
    found = export.find(key) or export.find(named)
    if found is None:
        raise UnreadableLabel(
            "image_exists",
            f"its image is missing: nothing among {len(export.by_id)} images is called '{PurePosixPath(key).name}'"
            + (f" or '{filename}'" if filename else ""),
        )
    return found


def _object(element: "Element") -> SourceObject:
    label = (element.findtext("name") or "").strip()
    if not label:
        raise UnreadableLabel("label_is_declared", "an <object> has no <name>")
    box = element.find("bndbox")
    if box is None:
        raise UnreadableLabel("box_is_readable", f"an object '{label}' has no <bndbox>; only boxes are read")
    x1, y1, x2, y2 = (_number(box, side, label) for side in ("xmin", "ymin", "xmax", "ymax"))
    attributes = {flag: "true" for flag in FLAGS if (element.findtext(flag) or "").strip() == "1"}
    pose = (element.findtext("pose") or "").strip()
    if pose and pose != "Unspecified":
        attributes["pose"] = pose
    for item in element.iterfind("attributes/attribute"):
        attributes[(item.findtext("name") or "").strip()] = (item.findtext("value") or "").strip()
    return SourceObject(label, (x1, y1, x2 - x1, y2 - y1), attributes)


def _number(box: "Element", side: str, label: str) -> float:
    text = box.findtext(side)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UnreadableLabel("box_is_readable", f"<{side}> of an object '{label}' is {text!r}; expected a number of pixels")
    return value


def _stated_size(root: "Element") -> SizePx | None:
    try:
        size = int(root.findtext("size/width") or 0), int(root.findtext("size/height") or 0)
    except ValueError:
        raise UnreadableLabel("size_matches", "<size> does not hold whole numbers of pixels") from None
    return size if all(size) else None
