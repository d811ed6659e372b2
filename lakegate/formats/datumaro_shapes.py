"""One annotation of a Datumaro file as an object, and the annotations of one group as one object."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakegate.formats.json_values import is_number, word_of
from lakegate.formats.reading import SizePx, SourceObject
from lakegate.formats.run_lengths import rle_of_coco
from lakegate.formats.unreadable import UnreadableShape
from lakegate.geometry import Keypoint
from lakegate.masks import box_of_points, box_of_rle

Json = dict[str, Any]
KINDS = ("label", "bbox", "polygon", "mask", "points", "skeleton")


@dataclass(frozen=True)
class Categories:
    """Class names in order, and the names of keypoints by class number."""

    labels: list[str]
    points: dict[int, tuple[str, ...]]


@dataclass(frozen=True)
class Shape:
    """One annotation: ``group`` is 0 for one that stands alone; ``is_box`` tells a box that was drawn, not computed."""

    item: SourceObject
    group: int
    is_box: bool


def read_shape(shape: Any, categories: Categories, size_px: SizePx, not_read: Counter[str]) -> Shape | None:
    """Read one annotation; ``None`` for a kind that samples cannot hold, which is counted in ``not_read``.

    Raises:
        UnreadableShape: the class is unknown, or the shape is not what Datumaro says.
    """
    kind = shape.get("type") if isinstance(shape, dict) else None
    if not isinstance(kind, str):
        raise UnreadableShape("label_file_is_whole", f"an annotation has no type: {str(shape)[:60]}")
    if kind not in KINDS:
        not_read[kind] += 1
        return None
    number = shape.get("label_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(categories.labels):
        words = f"label_id {number} is none of the file's {len(categories.labels)} classes ({', '.join(categories.labels)})"
        raise UnreadableShape("label_is_declared", words)
    label, attributes = categories.labels[number], _attributes(shape)
    base = SourceObject(label, None, attributes, track_id=attributes.pop("track_id", ""))
    group = shape.get("group")
    return Shape(
        _with_shape(base, kind, shape, categories, size_px),
        group if isinstance(group, int) and not isinstance(group, bool) else 0,
        kind == "bbox",
    )


def join_groups(shapes: Sequence[Shape]) -> tuple[SourceObject, ...]:
    """Join the annotations of one group and class, as Datumaro does: the box, the polygons or the mask, the keypoints.

    A group that holds a part twice (two boxes, two masks) is a group of objects, and stays apart.
    """
    objects: list[SourceObject] = []
    groups: dict[tuple[int, str], list[Shape]] = {}
    for number, shape in enumerate(shapes):
        groups.setdefault((shape.group, shape.item.label) if shape.group else (-1 - number, ""), []).append(shape)
    for members in groups.values():
        objects += [_joined(members)] if _fit_together(members) else [shape.item for shape in members]
    return tuple(objects)


def _fit_together(members: Sequence[Shape]) -> bool:
    boxes = sum(shape.is_box for shape in members)
    masks = sum(shape.item.rle is not None for shape in members)
    polygons = sum(bool(shape.item.polygons_px) for shape in members)
    points = sum(bool(shape.item.keypoints) for shape in members)
    whole = sum(shape.item.bbox_xywh_px is None for shape in members)
    return boxes <= 1 and points <= 1 and not whole and (masks == 0 or (masks == 1 and polygons == 0))


def _joined(members: Sequence[Shape]) -> SourceObject:
    items = [shape.item for shape in members]
    first = next((shape.item for shape in members if shape.is_box), items[0])
    corners = [
        number
        for x, y, width, height in (item.bbox_xywh_px for item in items if item.bbox_xywh_px is not None)
        for number in (x, y, x + width, y + height)
    ]
    box = first.bbox_xywh_px if any(shape.is_box for shape in members) else box_of_points(corners)
    return replace(
        first,
        bbox_xywh_px=box,
        attributes={name: value for item in reversed(items) for name, value in item.attributes.items()},
        polygons_px=tuple(polygon for item in items for polygon in item.polygons_px),
        rle=next((item.rle for item in items if item.rle is not None), None),
        keypoints=next((item.keypoints for item in items if item.keypoints), ()),
        track_id=next((item.track_id for item in items if item.track_id), ""),
    )


def _with_shape(base: SourceObject, kind: str, shape: Json, categories: Categories, size_px: SizePx) -> SourceObject:
    if kind == "label":
        return base
    if kind == "bbox":
        x, y, width, height = _numbers(shape.get("bbox"), "box_is_readable", lambda count: count == 4)
        return replace(base, bbox_xywh_px=(x, y, width, height))
    if kind == "polygon":
        polygon = _numbers(shape.get("points"), "polygon_is_readable", lambda count: count >= 6 and count % 2 == 0)
        return replace(base, bbox_xywh_px=box_of_points(polygon), polygons_px=(tuple(polygon),))
    if kind == "mask":
        return _with_mask(base, shape.get("rle"), size_px)
    points = _skeleton(shape, categories) if kind == "skeleton" else _keypoints(shape, categories)
    seen = [number for point in points if point.visibility for number in (point.x_px, point.y_px)]
    return replace(base, bbox_xywh_px=box_of_points(seen) if seen else (0.0, 0.0, 0.0, 0.0), keypoints=points)


def _with_mask(base: SourceObject, rle: Any, size_px: SizePx) -> SourceObject:
    try:
        read = rle_of_coco(rle if isinstance(rle, dict) else {})
    except ValueError as error:
        raise UnreadableShape("mask_is_readable", f"a mask of '{base.label}': {error}") from error
    if (read.width_px, read.height_px) != size_px:
        size = f"{read.width_px} × {read.height_px} px"
        words = f"a mask of '{base.label}' is of {size}, the image has {size_px[0]} × {size_px[1]} px"
        raise UnreadableShape("mask_fits_image", words)
    return replace(base, bbox_xywh_px=box_of_rle(read), rle=read)


def _keypoints(shape: Json, categories: Categories) -> tuple[Keypoint, ...]:
    numbers = _numbers(shape.get("points"), "keypoints_are_readable", lambda count: count >= 2 and count % 2 == 0)
    count = len(numbers) // 2
    names = categories.points.get(shape["label_id"], ())
    if len(names) != count:
        names = tuple(str(number) for number in range(count))
    visibility = shape.get("visibility") or [2] * count
    if not isinstance(visibility, list) or len(visibility) != count or not all(value in (0, 1, 2) for value in visibility):
        words = f"visibility {str(visibility)[:60]} is not 0, 1 or 2 for each of {count} points"
        raise UnreadableShape("keypoints_are_readable", words)
    return tuple(
        Keypoint(name, x * (seen > 0), y * (seen > 0), int(seen))
        for name, x, y, seen in zip(names, numbers[0::2], numbers[1::2], visibility, strict=True)
    )


def _skeleton(shape: Json, categories: Categories) -> tuple[Keypoint, ...]:
    """Read the elements of a skeleton (CVAT's fork of Datumaro): points of one place each, named by their own class."""
    elements = shape.get("elements")
    points: list[Keypoint] = []
    for element in elements if isinstance(elements, list) else ():
        number = element.get("label_id") if isinstance(element, dict) else None
        if not isinstance(number, int) or not 0 <= number < len(categories.labels):
            words = f"an element of a skeleton has label_id {number}, which has no name"
            raise UnreadableShape("keypoints_are_readable", words)
        (point, *rest) = _keypoints(element, categories)
        if rest:
            raise UnreadableShape("keypoints_are_readable", "an element of a skeleton has more than one point")
        points.append(replace(point, name=categories.labels[number]))
    if not points:
        raise UnreadableShape("keypoints_are_readable", "a skeleton has no elements")
    return tuple(points)


def _numbers(values: Any, rule: str, fits: Callable[[int], bool]) -> list[float]:
    if not isinstance(values, list) or not fits(len(values)) or not all(map(is_number, values)):
        raise UnreadableShape(rule, f"an annotation holds {str(values)[:80]}, which are not the numbers of its shape")
    return [float(value) for value in values]


def _attributes(shape: Json) -> dict[str, str]:
    given = shape.get("attributes")
    pairs = given.items() if isinstance(given, dict) else ()
    return {str(name): word_of(value) for name, value in pairs if value is not None}
