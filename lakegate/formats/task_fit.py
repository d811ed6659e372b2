"""What a dataset's task keeps of an export: nothing is left away without being counted."""

from collections import Counter
from dataclasses import dataclass, field, replace

from lakegate.declarations import Task
from lakegate.formats.reading import SourceObject, SourceRecord

WANTED: dict[Task, str] = {
    "classification": "a label of the whole image",
    "detection": "a box",
    "segmentation": "a polygon or a mask",
    "keypoints": "keypoints",
}
KEEPS: dict[Task, str] = {
    "classification": "labels of whole images",
    "detection": "boxes",
    "segmentation": "polygons and masks with the box around them",
    "keypoints": "keypoints and boxes",
}
NAMES = {
    "mask": ("mask or polygon", "masks or polygons"),
    "keypoints": ("set of keypoints", "sets of keypoints"),
    "object": ("object with a shape", "objects with a shape"),
    "tag": ("label of a whole image", "labels of whole images"),
}


class ShapeMissing(ValueError):
    """An object lacks the shape that the task is about."""


@dataclass
class TaskFit:
    """Fits records to one task, and counts what it left away."""

    task: Task
    _left: Counter[str] = field(default_factory=Counter)

    def fit(self, record: SourceRecord) -> SourceRecord:
        """Return the record with what the task keeps.

        Labels of whole images become tags, except in classification, where they are what is kept.

        Raises:
            ShapeMissing: an object has no shape of the task's kind; the words name it.
        """
        shaped = [item for item in record.objects if not _is_image_level(item)]
        whole = [item for item in record.objects if _is_image_level(item)]
        if self.task == "classification":
            self._left["object"] += len(shaped)
            return replace(record, objects=tuple(whole)) if shaped else record
        for number, item in enumerate(shaped, start=1):
            if not self._has_shape(item):
                came = "a box only" if item.bbox_xywh_px is not None else "no box"
                words = f"object {number} '{item.label}' has {came}"
                raise ShapeMissing(f"{words}; in a dataset for {self.task} each object has {WANTED[self.task]}")
        self._left["tag"] += len(whole)
        tags = tuple(dict.fromkeys((*record.tags, *(item.label for item in whole))))
        return replace(record, objects=tuple(map(self._kept, shaped)), tags=tags)

    @property
    def notes(self) -> list[str]:
        """What was left away so far, in words."""
        notes = [
            f"{self._count(kind)} {'was' if self._left[kind] == 1 else 'were'} not read: "
            f"{self.task} keeps {KEEPS[self.task]}"
            for kind in ("mask", "keypoints", "object")
            if self._left[kind]
        ]
        if self._left["tag"]:
            notes.append(f"{self._count('tag')} became tags: {self.task} labels objects")
        return notes

    def _count(self, kind: str) -> str:
        number = self._left[kind]
        return f"{number} {NAMES[kind][number != 1]}"

    def _has_shape(self, item: SourceObject) -> bool:
        if self.task == "segmentation":
            return bool(item.polygons_px) or item.rle is not None
        return bool(item.keypoints) if self.task == "keypoints" else item.bbox_xywh_px is not None

    def _kept(self, item: SourceObject) -> SourceObject:
        if self.task != "segmentation" and (item.polygons_px or item.rle is not None):
            self._left["mask"] += 1
            item = replace(item, polygons_px=(), rle=None)
        if self.task != "keypoints" and item.keypoints:
            self._left["keypoints"] += 1
            item = replace(item, keypoints=())
        return item


def _is_image_level(item: SourceObject) -> bool:
    return item.bbox_xywh_px is None and not item.polygons_px and item.rle is None and not item.keypoints
