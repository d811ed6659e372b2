"""COCO: boxes, polygons, run-length masks and keypoints (https://cocodataset.org/#format-data), read as a stream."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lakegate.errors import BadExport, BadImage
from lakegate.formats.coco_shapes import Category, Json, read_annotation
from lakegate.formats.export_files import SPLIT_WORDS, ExportFiles, key_of, leads_outside, split_in
from lakegate.formats.json_stream import ListBegins, has_members, iterate_members
from lakegate.formats.reading import Reading, SizePx, SourceRecord
from lakegate.formats.registry import is_format
from lakegate.formats.spool import Spool
from lakegate.formats.unreadable import UnreadableShape
from lakegate.samples import Split

LISTS = ("images", "annotations", "categories")
IMAGE_FIELDS = ("id", "file_name", "width", "height", "license", "date_captured")
NOT_COCO = frozenset({"shapes", "items", "imagePath"})  # fields of LabelMe and Datumaro: no need to read on
SHAPELESS = "labels_"  # beginning of the names of files that label whole images


@dataclass
class _CocoFile:
    """One annotation file. Images and annotations lie on disk; ``places`` are an image's annotations by its id."""

    path: Path
    relative: str
    split: Split | None
    categories: dict[Any, Category] = field(default_factory=dict)
    licences: dict[Any, str] = field(default_factory=dict)
    images: Spool[Json] = field(default_factory=lambda: Spool(lambda _: ""))
    annotations: Spool[Json] = field(default_factory=lambda: Spool(lambda _: ""))
    places: dict[Any, "array[int]"] = field(default_factory=dict)

    def annotations_of(self, image_id: object) -> Iterator[Json]:
        """Yield the annotations of an image in the file's order; they are then spoken for."""
        return (self.annotations[place] for place in self.places.pop(image_id, ()))


def read_coco(export: ExportFiles) -> Reading:
    """Read the annotation files of an export; where some are called after what they hold, those that suit the task."""
    reading = Reading()
    labels: dict[str, None] = {}
    for path in _annotation_files(export, reading):
        file = _CocoFile(path, export.relative(path), _split_of(path))
        reading.label_files[file.relative] = path
        _index(file)
        labels.update(dict.fromkeys(category.name for category in file.categories.values()))
        _read_file(export, reading, file)
    reading.labels = list(labels)
    return reading


def is_coco(path: Path) -> bool:
    """Return True for a JSON object with the list ``images`` and the field ``annotations``."""
    wanted = {"images": lambda value: value is ListBegins, "annotations": lambda _: True}
    return has_members(path, wanted, NOT_COCO)


def _annotation_files(export: ExportFiles, reading: Reading) -> list[Path]:
    files = [path for path in export.files if path.suffix.lower() == ".json"]
    if not export.source_is_file:
        files = [path for path in files if is_format("coco", path)]
    if not files:
        raise BadExport(f"no COCO file in {export.root.name}; expected a .json with images, annotations and categories")
    wanted = {"keypoints": "person_keypoints_", "classification": SHAPELESS}.get(export.task or "", "instances_")
    for beginning in dict.fromkeys((wanted, "instances_")):
        chosen = [path for path in files if path.name.startswith(beginning)]
        if chosen and len(chosen) < len(files):
            left_out = [export.relative(path) for path in files if path not in chosen]
            reading.notes.append(f"not read, since {beginning}*.json is there: {', '.join(left_out)}")
        if chosen:
            return chosen
    return files


def _index(file: _CocoFile) -> None:
    """Put images and annotations where they can be found one by one; raises ``BadExport``."""
    lists = set()
    try:
        for key, value in iterate_members(file.path):
            if value is ListBegins:
                lists.add(key)
            elif key in LISTS:
                _index_item(file, key, value)
            elif key == "licenses" and isinstance(value, dict) and isinstance(value.get("id"), int | str):
                file.licences[value["id"]] = str(value.get("name") or value.get("url") or "")
    except ValueError as error:
        raise BadExport(f"{file.path.name} is not JSON ({error}); export it again") from error
    if not lists.issuperset(LISTS):
        raise BadExport(f"{file.path.name} is not COCO: expected the lists {', '.join(LISTS)}")


def _index_item(file: _CocoFile, key: str, item: object) -> None:
    if not isinstance(item, dict) or (key != "annotations" and not isinstance(item.get("id"), int | str)):
        raise BadExport(f"{file.path.name} is not COCO: each item of {', '.join(LISTS)} must be an object with an id")
    if key == "categories":
        _add_category(file, item)
    elif key == "images":
        file.images.append({name: item[name] for name in IMAGE_FIELDS if name in item})
    else:
        image_id = item.get("image_id")
        place = file.places.setdefault(image_id if isinstance(image_id, int | str) else None, array("Q"))
        place.append(len(file.annotations))
        file.annotations.append(item)


def _add_category(file: _CocoFile, item: Json) -> None:
    name = str(item.get("name", "")).strip()
    if not name:
        raise BadExport(f"{file.relative}: a category lacks its id or name ({item['id']})")
    if item["id"] in file.categories or name in {category.name for category in file.categories.values()}:
        raise BadExport(f"{file.relative}: a category's id or name stands twice: {item['id']} {name}")
    points = item.get("keypoints")
    file.categories[item["id"]] = Category(name, tuple(map(str, points)) if isinstance(points, list) else ())


def _read_file(export: ExportFiles, reading: Reading, file: _CocoFile) -> None:
    for image in file.images:
        _read_image(export, reading, file, image, list(file.annotations_of(image["id"])))
    for image_id, places in file.places.items():
        reason = f"{len(places)} annotations name image {image_id}, which the file does not list"
        reading.problem(f"image_id {image_id}", file.relative, "image_exists", reason)


def _read_image(export: ExportFiles, reading: Reading, file: _CocoFile, image: Json, items: list[Json]) -> None:
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
    shapeless = file.path.name.startswith(SHAPELESS)
    try:
        size_px = export.size_px(picture)
        objects = tuple(read_annotation(item, file.categories, shapeless) for item in items)
        for item in objects:
            if item.rle is not None and (item.rle.width_px, item.rle.height_px) != size_px:
                words = f"a mask of '{item.label}' is of {item.rle.width_px} × {item.rle.height_px} px, the image has "
                raise UnreadableShape("mask_fits_image", f"{words}{size_px[0]} × {size_px[1]} px")
    except BadImage as error:
        reading.problem(sample_id, export.relative(picture), "image_is_whole", str(error))
    except UnreadableShape as error:
        reading.problem(sample_id, file.relative, error.rule, str(error))
    else:
        split = file.split or split_in(PurePosixPath(file_name))
        stated, captured = _stated_size(image), image.get("date_captured")
        record = SourceRecord(sample_id, file.relative, file.path, picture, size_px, objects, stated, split)
        number = image.get("license")
        licence = file.licences.get(number, "") if isinstance(number, int | str) else ""
        reading.records.append(
            replace(
                record,
                source={"licence": licence} if licence else {},
                captured_at=captured if isinstance(captured, str) else "",
            )
        )


def _stated_size(image: Json) -> SizePx | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None


def _split_of(path: Path) -> Split | None:
    words = [word for word in path.stem.lower().replace("-", "_").split("_") if word in SPLIT_WORDS]
    folder = path.parent.name.lower()
    return SPLIT_WORDS.get(words[-1] if words else folder)
