"""The shapes of one LabelMe file: those of one ``group_id`` and label are one object.

Points of a group become the keypoints of its only object, named by their labels; other points are objects of their own.
"""

import base64
import binascii
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

from lakegate.formats.reading import SizePx, SourceObject
from lakegate.formats.shapes import check_part, finite, polygon_of_ellipse, polygon_of_points, rle_of_crop, whole
from lakegate.formats.unreadable import UnreadableShape
from lakegate.geometry import Keypoint, Polygon
from lakegate.masks import box_of_points, box_of_rle
from lakegate.samples import Box

Json = dict[str, Any]
NOT_MODELLED = frozenset({"line", "linestrip", "points"})
BASE64_PER_PX = 4  # a mask's PNG needs far less; more is not decoded


@dataclass(frozen=True)
class _Shape:
    kind: str
    label: str
    group: str
    object: SourceObject


def objects_of(shapes: Sequence[Any], size_px: SizePx, unread: Counter[str]) -> list[SourceObject]:
    """Return the objects of an image of that size (width, height), in the order of their first shapes.

    What is not modelled is counted in ``unread``, by name.

    Raises:
        UnreadableShape: a shape lacks its label, or its points are not those of its kind.
    """
    groups: dict[tuple[str, str], list[_Shape]] = defaultdict(list)
    points: dict[str, list[_Shape]] = defaultdict(list)
    for number, item in enumerate(shapes):
        if not isinstance(item, dict):
            raise UnreadableShape("shape_is_readable", f"shape {number + 1} is no object")
        if str(item.get("shape_type")) in NOT_MODELLED:
            unread[str(item["shape_type"])] += 1
            continue
        shape = _shape(item, size_px)
        alone = f"alone {number}"
        if shape.kind == "point" and shape.group:
            points[shape.group].append(shape)
        else:
            groups[shape.group or alone, shape.label].append(shape)
    for group, members in points.items():
        owners = [key for key in groups if key[0] == group]
        if len(owners) == 1:
            groups[owners[0]] += members
        else:
            for shape in members:
                groups[group, shape.label].append(shape)
    return [_joined(members) for members in groups.values()]


def _joined(members: Sequence[_Shape]) -> SourceObject:
    """Make one object of the shapes of one group and label."""
    solid = [shape.object for shape in members if shape.kind != "point"]
    points = [(shape.label, shape.object.keypoints[0]) for shape in members if shape.kind == "point"]
    first = solid[0] if solid else members[0].object
    attributes = {name: text for shape in members for name, text in shape.object.attributes.items()}
    masks = [item.rle for item in solid if item.rle is not None]
    if masks and len(solid) > 1:
        raise UnreadableShape("shape_is_readable", f"a mask '{first.label}' is grouped with another shape; expected it alone")
    polygons = tuple(polygon for item in solid for polygon in item.polygons_px)
    if len(solid) > 1:
        polygons = tuple(polygon for item in solid for polygon in (item.polygons_px or (_corners(item.bbox_xywh_px),)))
    boxes = [item.bbox_xywh_px for item in solid if item.bbox_xywh_px is not None]
    names = [str(index) for index in range(1, len(points) + 1)] if not solid else [label for label, _ in points]
    keypoints = tuple(replace(point, name=name) for name, (_, point) in zip(names, points, strict=True))
    place = [number for box in boxes for number in _corners(box)]
    box_px = box_of_points(place or [one for point in keypoints for one in (point.x_px, point.y_px)])
    return replace(first, bbox_xywh_px=box_px, polygons_px=polygons, keypoints=keypoints, attributes=attributes)


def _corners(box_xywh_px: Box | None) -> Polygon:
    x, y, width, height = box_xywh_px or (0.0, 0.0, 0.0, 0.0)
    return (x, y, x + width, y, x + width, y + height, x, y + height)


def _shape(item: Json, size_px: SizePx) -> _Shape:
    label = str(item.get("label") or "").strip()
    kind = str(item.get("shape_type") or "polygon")  # files of version 3 do not say it
    what = f"a {kind} '{label}'"
    if not label:
        raise UnreadableShape("label_is_declared", f"a {kind} has no label")
    points = _points(item.get("points"), what)
    attributes = {flag: "true" for flag in true_flags(item.get("flags"))}
    if item.get("description"):
        attributes["description"] = str(item["description"])
    group = "" if item.get("group_id") is None else str(item["group_id"])
    if group:
        attributes["group_id"] = group
    base = SourceObject(label, None, attributes)
    return _Shape(kind, label, group, _with_geometry(base, kind, points, item, size_px))


def _with_geometry(base: SourceObject, kind: str, points: Polygon, item: Json, size_px: SizePx) -> SourceObject:
    what = f"a {kind} '{base.label}'"
    if kind == "mask":
        return _with_mask(base, item, points, size_px)
    if kind == "point":
        _expect(points, (1,), what)
        return replace(base, keypoints=(Keypoint("1", points[0], points[1]),), bbox_xywh_px=box_of_points(points))
    if kind == "rectangle":
        _expect(points, (2, 4), what)
        if len(points) == 4 or (len(set(points[0::2])), len(set(points[1::2]))) == (2, 2):
            return replace(base, bbox_xywh_px=box_of_points(points))
    if kind == "circle":
        _expect(points, (2,), what)
        radius = math.dist(points[:2], points[2:])
        polygon = polygon_of_ellipse((points[0], points[1]), (radius, radius), 0.0)
    elif kind in ("polygon", "rectangle", "rotation", "oriented_rectangle"):
        polygon = polygon_of_points(points, what)
    else:
        raise UnreadableShape("shape_is_readable", f"{what}: this shape_type is not known")
    return replace(base, polygons_px=(polygon,), bbox_xywh_px=box_of_points(polygon))


def _with_mask(base: SourceObject, item: Json, points: Polygon, size_px: SizePx) -> SourceObject:
    """Read a mask: a PNG of the part of the image that begins at the first point."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    what = f"the mask '{base.label}'"
    _expect(points, (2,), what)
    encoded = item.get("mask")
    if not isinstance(encoded, str) or len(encoded) > BASE64_PER_PX * size_px[0] * size_px[1] + 10_000:
        raise UnreadableShape("shape_is_readable", f"{what} holds no PNG that fits the image")
    left, top = whole(round(points[0]), f"the left of {what}"), whole(round(points[1]), f"the top of {what}")
    try:
        with Image.open(BytesIO(base64.b64decode(encoded))) as picture:
            check_part(left, top, *picture.size, size_px)  # before the pixels are unpacked
            crop_HW = np.asarray(picture.convert("L"))
    except (binascii.Error, UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, UnreadableShape):
            raise
        raise UnreadableShape("shape_is_readable", f"{what} is no PNG: {error}") from error
    rle = rle_of_crop(crop_HW, left, top, size_px)
    return replace(base, rle=rle, bbox_xywh_px=box_of_rle(rle))


def _points(points: Any, what: str) -> Polygon:
    if not isinstance(points, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in points):
        raise UnreadableShape("shape_is_readable", f"the points of {what} are no list of [x, y]")
    return tuple(finite(number, f"a number in the points of {what}") for pair in points for number in pair)


def _expect(points: Polygon, numbers: tuple[int, ...], what: str) -> None:
    if len(points) // 2 not in numbers:
        expected = " or ".join(map(str, numbers))
        raise UnreadableShape("shape_is_readable", f"{what} has {len(points) // 2} points; expected {expected}")


def true_flags(flags: Any) -> list[str]:
    """Return the names of the flags that are set."""
    return [str(name) for name, value in flags.items() if value is True] if isinstance(flags, dict) else []
