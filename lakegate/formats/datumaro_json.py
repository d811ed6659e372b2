"""Datumaro's own format: ``annotations/<subset>.json`` with categories and items, images in ``images/<subset>/``."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from lakegate.errors import BadExport, BadImage
from lakegate.formats.datumaro_shapes import Categories, join_groups, read_shape
from lakegate.formats.export_files import SPLIT_WORDS, ExportFiles, key_of, leads_outside
from lakegate.formats.json_stream import ListBegins, has_members, iterate_members
from lakegate.formats.reading import Reading, SizePx, SourceRecord
from lakegate.formats.registry import is_format
from lakegate.formats.unreadable import UnreadableShape

NOT_DATUMARO = frozenset({"images", "shapes", "imagePath"})
Json = dict[str, Any]


@dataclass
class _Subset:
    path: Path
    relative: str
    categories: Categories
    not_read: Counter[str] = field(default_factory=Counter)  # shapes that samples cannot hold, by kind


def read_datumaro(export: ExportFiles) -> Reading:
    """Read all subsets of an export; a subset that is called train, val or test is that split."""
    reading = Reading()
    files = [path for path in export.files if is_format("datumaro", path)]
    if not files:
        raise BadExport(f"no Datumaro file in {export.root.name}; expected annotations/<subset>.json with categories and items")
    labels: dict[str, None] = {}
    for path in files:
        subset = _Subset(path, export.relative(path), _categories(path))
        reading.label_files[subset.relative] = path
        labels.update(dict.fromkeys(subset.categories.labels))
        try:
            for key, item in iterate_members(path):
                if key == "items" and item is not ListBegins:
                    _read_item(export, reading, subset, item)
        except ValueError as error:
            raise BadExport(f"{path.name} is not JSON ({error}); export it again") from error
        if subset.not_read:
            words = ", ".join(f"{kind} {number}" for kind, number in sorted(subset.not_read.items()))
            reading.notes.append(f"{subset.relative}: {subset.not_read.total()} annotations have no place in a sample: {words}")
    reading.labels = list(labels)
    return reading


def is_datumaro(path: Path) -> bool:
    """Return True for a JSON object with an object ``categories`` and a list ``items``."""
    wanted = {"categories": lambda value: isinstance(value, dict), "items": lambda value: value is ListBegins}
    return has_members(path, wanted, NOT_DATUMARO)


def _categories(path: Path) -> Categories:
    """Read the class names and the names of their keypoints; raises ``BadExport``."""
    try:
        content: Any = next(value for key, value in iterate_members(path) if key == "categories")
        labels = [str(item["name"]).strip() for item in content.get("label", {}).get("labels", ())]
        points = {
            int(item["label_id"]): tuple(map(str, item["labels"])) for item in content.get("points", {}).get("items", ())
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadExport(f"{path.name}: its categories are not Datumaro's ({type(error).__name__}: {error})") from error
    if len(set(labels)) < len(labels) or not all(labels):
        raise BadExport(f"{path.name}: a class name is empty or stands twice: {', '.join(labels)}")
    return Categories(labels, points)


def _read_item(export: ExportFiles, reading: Reading, subset: _Subset, item: Any) -> None:
    if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not isinstance(item.get("annotations", []), list):
        raise BadExport(f"{subset.relative} is not Datumaro: an item has no id, or its annotations are no list")
    media = item.get("image")
    given = media.get("path") if isinstance(media, dict) else None
    name = (given if isinstance(given, str) and given else f"{item['id']}.jpg").replace("\\", "/")
    if leads_outside(name):
        reason = f"the path '{name}' of item '{item['id']}' leads out of the export; expected a path below the images"
        reading.problem(PurePosixPath(name).name, subset.relative, "file_name_is_inside", reason)
        return
    key = key_of(PurePosixPath(name))
    in_subset = f"{subset.path.stem}/{key}"
    sample_id = in_subset if in_subset in export.by_id else export.find(key)
    if sample_id is None:
        reason = f"the image '{name}' is missing; {len(export.by_id)} images were found"
        reading.problem(key, subset.relative, "image_exists", reason)
        return
    picture = export.by_id[sample_id][0]
    try:
        size_px = export.size_px(picture)
        shapes = [read_shape(shape, subset.categories, size_px, subset.not_read) for shape in item.get("annotations", [])]
        objects = join_groups([shape for shape in shapes if shape is not None])
    except BadImage as error:
        reading.problem(sample_id, export.relative(picture), "image_is_whole", str(error))
    except UnreadableShape as error:
        reading.problem(sample_id, subset.relative, error.rule, str(error))
    else:
        split = SPLIT_WORDS.get(subset.path.stem.lower())
        stated = _stated_size(media)
        record = SourceRecord(sample_id, subset.relative, subset.path, picture, size_px, objects, stated, split)
        reading.records.append(record)


def _stated_size(media: object) -> SizePx | None:
    """Return (width, height); Datumaro writes height first."""
    size = media.get("size") if isinstance(media, dict) else None
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        return None
    return size[1], size[0]
