"""CVAT for images 1.1 out: ``annotations.xml`` beside ``images/``, for a task to correct (pre-annotations: ``source="auto"``).

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/. Coordinates have three decimals. A track id becomes an attribute:
images have no tracks. A sample's tags become tags of the image, unless the dataset classifies images by them.
"""

from collections.abc import Iterable, Mapping
from io import TextIOBase
from pathlib import Path
from xml.sax.saxutils import XMLGenerator

import numpy as np

from lakegate.canonical import FLOAT_DECIMALS
from lakegate.formats.export_set import ExportItem, ExportSet, Losses
from lakegate.geometry import Keypoint, Rle
from lakegate.masks import box_of_points, mask_of_rle
from lakegate.samples import Annotation

SOURCES = frozenset({"manual", "auto", "semi-auto", "file"})  # what CVAT knows; others are refused by its import
OWN_FIELDS = ("occluded", "z_order", "group_id")  # attributes of ours that are XML attributes of a shape
TRACK_ID = "track_id"
Words = Mapping[str, str]


def write_cvat(exported: ExportSet, folder: Path) -> Losses:
    """Write ``annotations.xml``; the images are written by the caller."""
    losses = Losses("CVAT")
    with (folder / "annotations.xml").open("w", encoding="utf-8", newline="\n") as file:
        _Writer(file, exported, losses).write()
    return losses


class _Writer:
    """Writes one file, image after image."""

    def __init__(self, file: TextIOBase, exported: ExportSet, losses: Losses) -> None:
        self._xml = XMLGenerator(file, encoding="utf-8", short_empty_elements=True)
        self._exported, self._losses = exported, losses

    def write(self) -> None:
        """Write the whole document."""
        self._xml.startDocument()
        self._start("annotations")
        self._text("version", "1.1")
        self._write_head()
        for number, item in enumerate(self._exported.items):
            self._write_image(number, item)
        self._end("annotations")
        self._xml.endDocument()

    def _write_head(self) -> None:
        self._start("meta")
        self._start("task")
        self._text("name", self._exported.name)
        self._text("size", str(len(self._exported.items)))
        self._text("mode", "annotation")
        self._start("labels")
        attributes = _attribute_names(self._exported.annotations)
        for label in self._exported.labels:
            points = self._exported.points[label]
            self._write_label(label, attributes.get(label, ()), "skeleton" if points else "any")
            for point in points:
                self._write_label(point, (), "points", parent=label)
        for tag in dict.fromkeys(tag for item in self._exported.items for tag in item.sample.tags):
            if tag not in self._exported.labels and self._exported.task != "classification":
                self._write_label(tag, (), "tag")
        for name in ("labels", "task", "meta"):
            self._end(name)

    def _write_label(self, name: str, attributes: Iterable[str], kind: str, parent: str = "") -> None:
        self._start("label")
        self._text("name", name)
        self._text("type", kind)
        self._start("attributes")
        for attribute in attributes:
            self._start("attribute")
            for key, value in (("name", attribute), ("mutable", "False"), ("input_type", "text"), ("default_value", "")):
                self._text(key, value)
            self._text("values", "")
            self._end("attribute")
        self._end("attributes")
        if parent:
            self._text("parent", parent)
        self._end("label")

    def _write_image(self, number: int, item: ExportItem) -> None:
        sample = item.sample
        words = {"id": str(number), "name": item.file_name, "width": str(sample.width_px), "height": str(sample.height_px)}
        if self._exported.has_splits:
            words["subset"] = sample.split
        self._start("image", words)
        groups = [int(value) for one in sample.annotations if (value := one.attributes.get("group_id", "")).isdecimal()]
        for annotation in sample.annotations:
            self._losses.check_words(annotation, attributes=True, track_id=True, origin=annotation.origin in SOURCES)
            self._write_object(annotation, groups)
        if self._exported.task == "classification":
            self._losses.leave_out("tags of samples", len(sample.tags))
        else:
            for tag in sample.tags:
                self._shape("tag", Annotation(tag), {})
        self._end("image")

    def _write_object(self, annotation: Annotation, groups: list[int]) -> None:
        """Write one shape, or one for each polygon of an object; ``groups`` are the numbers that the image uses already."""
        seen = [point for point in annotation.keypoints if point.visibility]
        self._losses.written += 1
        if annotation.is_image_level:
            self._shape("tag", annotation, {})
        elif seen:
            self._write_skeleton(annotation, seen)
        elif annotation.rle is not None:
            self._write_mask(annotation, annotation.rle)
        elif annotation.polygons_px:
            self._write_polygons(annotation, groups)
        elif annotation.bbox_xywh_px is not None:
            x, y, width, height = annotation.bbox_xywh_px
            self._shape("box", annotation, _numbers(xtl=x, ytl=y, xbr=x + width, ybr=y + height))

    def _write_skeleton(self, annotation: Annotation, seen: list[Keypoint]) -> None:
        if annotation.rle is not None or annotation.polygons_px:
            self._losses.leave_out("masks or polygons of objects with keypoints")
        if not _is_same(annotation.bbox_xywh_px, box_of_points([side for point in seen for side in (point.x_px, point.y_px)])):
            self._losses.leave_out("boxes of skeletons that are not the box around their points")
        by_name = {point.name: point for point in annotation.keypoints}
        self._open_shape("skeleton", annotation, {})
        for name in self._exported.points[annotation.label]:
            point = by_name.get(name, Keypoint(name, 0.0, 0.0, 0))
            words = {"label": name, "outside": str(int(point.visibility == 0)), "occluded": str(int(point.visibility == 1))}
            self._start("points", {**words, "points": f"{_number(point.x_px)},{_number(point.y_px)}"})
            self._end("points")
        self._close_shape("skeleton", annotation)

    def _write_mask(self, annotation: Annotation, rle: Rle) -> None:
        mask_HW = mask_of_rle(rle)
        rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
        if not len(rows):
            self._losses.written -= 1
            self._losses.leave_out("masks without a pixel")
            return
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        flat = mask_HW[top:bottom, left:right].reshape(-1)
        edges = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff(np.concatenate(([0], edges, [len(flat)]))).tolist()
        words = {"rle": ", ".join(map(str, [0, *runs] if flat[0] else runs))}  # the first run is background
        sides = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        self._shape("mask", annotation, {**words, **{name: str(int(side)) for name, side in sides.items()}})

    def _write_polygons(self, annotation: Annotation, groups: list[int]) -> None:
        words: dict[str, str] = {}
        if len(annotation.polygons_px) > 1:
            self._losses.change("objects of several polygons written as shapes of one group")
            groups.append(max(groups, default=0) + 1)
            words = {"group_id": str(groups[-1])}
        around = box_of_points([number for polygon in annotation.polygons_px for number in polygon])
        if not _is_same(annotation.bbox_xywh_px, around):
            self._losses.leave_out("boxes of polygons that are not the box around them")
        for polygon in annotation.polygons_px:
            pairs = zip(polygon[0::2], polygon[1::2], strict=True)
            points = ";".join(f"{_number(x)},{_number(y)}" for x, y in pairs)
            self._shape("polygon", annotation, {**words, "points": points})

    def _shape(self, kind: str, annotation: Annotation, words: Words) -> None:
        self._open_shape(kind, annotation, words)
        self._close_shape(kind, annotation)

    def _open_shape(self, kind: str, annotation: Annotation, words: Words) -> None:
        fields = {"label": annotation.label}
        if annotation.origin in SOURCES:
            fields["source"] = annotation.origin
        if kind != "tag":
            fields["occluded"] = str(int(annotation.attributes.get("occluded") == "true"))
            fields["z_order"] = annotation.attributes.get("z_order", "0")
        if "group_id" in annotation.attributes:
            fields["group_id"] = annotation.attributes["group_id"]
        self._start(kind, {**fields, **words})

    def _close_shape(self, kind: str, annotation: Annotation) -> None:
        for name, value in _own_attributes(annotation).items():
            self._start("attribute", {"name": name})
            self._xml.characters(_printable(value))
            self._end("attribute")
        self._end(kind)

    def _text(self, name: str, text: str) -> None:
        self._start(name)
        self._xml.characters(_printable(text))
        self._end(name)

    def _start(self, name: str, words: Words | None = None) -> None:
        self._xml.startElement(name, {key: _printable(value) for key, value in (words or {}).items()})  # type: ignore[arg-type]

    def _end(self, name: str) -> None:
        self._xml.endElement(name)
        self._xml.ignorableWhitespace("\n")


def _own_attributes(annotation: Annotation) -> dict[str, str]:
    own = {name: value for name, value in annotation.attributes.items() if name not in OWN_FIELDS}
    return own | {TRACK_ID: annotation.track_id} if annotation.track_id else own


def _attribute_names(annotations: Iterable[Annotation]) -> dict[str, dict[str, None]]:
    """Return the names of attributes that objects of each label have: CVAT takes only those that the label declares."""
    found: dict[str, dict[str, None]] = {}
    for annotation in annotations:
        found.setdefault(annotation.label, {}).update(dict.fromkeys(_own_attributes(annotation)))
    return found


def _numbers(**numbers: float) -> dict[str, str]:
    return {name: _number(number) for name, number in numbers.items()}


def _number(number: float) -> str:
    return f"{number:.{FLOAT_DECIMALS}f}"


def _is_same(one: Iterable[float] | None, other: Iterable[float]) -> bool:
    return one is not None and [_number(side) for side in one] == [_number(side) for side in other]


def _printable(text: str) -> str:
    """Return the text without the control signs that XML cannot hold; they become spaces."""
    return "".join(sign if sign >= " " or sign in "\t\n\r" else " " for sign in text)
