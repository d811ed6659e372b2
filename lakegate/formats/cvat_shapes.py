"""One shape of CVAT's XML 1.1: parsed from its element, and turned into an object of ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from lakegate.formats.reading import SizePx, SourceObject
from lakegate.formats.shapes import (
    check_part,
    finite,
    polygon_of_ellipse,
    polygon_of_points,
    polygon_of_rotated_box,
    rle_of_crop,
    whole,
)
from lakegate.formats.unreadable import UnreadableShape
from lakegate.geometry import Keypoint, Polygon, Rle
from lakegate.masks import box_of_points, box_of_rle

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SHAPES = frozenset({"box", "polygon", "mask", "points", "skeleton", "ellipse", "tag"})
NOT_MODELLED = frozenset({"polyline", "cuboid"})
NUMBERS = {
    "box": ("xtl", "ytl", "xbr", "ybr"),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "mask": ("left", "top", "width", "height"),
}


@dataclass(frozen=True)
class Joint:
    """One point of a skeleton. ``is_outside``: the point is not in the picture, and its place means nothing."""

    name: str
    x_px: float
    y_px: float
    is_occluded: bool = False
    is_outside: bool = False


@dataclass(frozen=True)
class CvatShape:
    """One shape as the file states it; ``problem`` is set where it cannot be read, and then nothing else counts.

    ``numbers`` are the corners of a box, centre and radii of an ellipse, left, top, width and height of a mask, and
    x1, y1, x2, y2, … of a polygon or of points, all in px. ``frame`` and what follows stand in tracks only.
    """

    kind: str
    label: str
    numbers: tuple[float, ...] = ()
    rotation_deg: float = 0.0
    runs: tuple[int, ...] = ()  # of a mask: row by row, beginning with background
    joints: tuple[Joint, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    track_id: str = ""
    frame: int = 0
    is_outside: bool = False
    is_keyframe: bool = True
    is_estimated: bool = False  # a polygon between keyframes, which CVAT may place otherwise
    problem: UnreadableShape | None = None


def read_shape(element: "Element", track: Mapping[str, str] | None = None) -> CvatShape:
    """Parse a shape of an image, or of a track whose XML attributes are ``track``; what is wrong stands in ``problem``.

    Raises:
        UnreadableShape: a shape of a track has no readable frame, so that nobody can say where it is missing.
    """
    given = element.attrib if track is None else {**track, **element.attrib}
    label = given.get("label", "").strip()
    frame = 0 if track is None else whole(given.get("frame"), f"the frame of a {element.tag} '{label}'")
    try:
        if not label:
            raise UnreadableShape("label_is_declared", f"a {element.tag} has no label")
        return _shape(element, given, label, frame, in_track=track is not None)
    except UnreadableShape as problem:
        return CvatShape(element.tag, label, frame=frame, problem=problem)


def object_of(shape: CvatShape, size_px: SizePx, joint_names: Sequence[str]) -> SourceObject:
    """Turn a shape into an object of an image of that size.

    Args:
        shape: what :func:`read_shape` gave.
        size_px: width and height of the image, needed for masks.
        joint_names: the points that the skeleton's label has, in order; one that the shape lacks is not labelled.

    Raises:
        UnreadableShape: the shape has a problem, or its mask does not fit the image.
    """
    if shape.problem is not None:
        raise shape.problem
    base = SourceObject(shape.label, None, dict(shape.attributes), track_id=shape.track_id, origin=_origin(shape))
    if shape.kind == "tag":
        return base
    return _with_geometry(base, shape, size_px, joint_names)


def _with_geometry(base: SourceObject, shape: CvatShape, size_px: SizePx, joint_names: Sequence[str]) -> SourceObject:
    if shape.kind == "mask":
        rle = _rle(shape, size_px)
        return replace(base, bbox_xywh_px=box_of_rle(rle), rle=rle)
    if shape.kind in ("points", "skeleton"):
        points = _points(shape) if shape.kind == "points" else keypoints_of(shape.joints, joint_names)
        seen = [number for point in points if point.visibility for number in (point.x_px, point.y_px)]
        if not seen:
            raise UnreadableShape("shape_is_readable", f"no point of the skeleton '{shape.label}' is in the picture")
        return replace(base, bbox_xywh_px=box_of_points(seen), keypoints=points)
    if shape.kind == "box" and not shape.rotation_deg:
        x1, y1, x2, y2 = shape.numbers
        return replace(base, bbox_xywh_px=(x1, y1, x2 - x1, y2 - y1))
    polygon = _polygon(shape)
    return replace(base, bbox_xywh_px=box_of_points(polygon), polygons_px=(polygon,))


def keypoints_of(joints: Sequence[Joint], joint_names: Sequence[str]) -> tuple[Keypoint, ...]:
    """Return the points of a skeleton in the label's order, those that the label does not name last."""
    by_name = {joint.name: joint for joint in joints}
    names = [*joint_names, *(name for name in by_name if name not in joint_names)]
    return tuple(_keypoint(name, by_name.get(name)) for name in names)


def _keypoint(name: str, joint: Joint | None) -> Keypoint:
    if joint is None or joint.is_outside:
        return Keypoint(name, 0.0, 0.0, 0)
    return Keypoint(name, joint.x_px, joint.y_px, 1 if joint.is_occluded else 2)


def _points(shape: CvatShape) -> tuple[Keypoint, ...]:
    """Points without names are called 1, 2, 3, …"""
    pairs = zip(shape.numbers[0::2], shape.numbers[1::2], strict=True)
    visibility = 1 if shape.attributes.get("occluded") == "true" else 2
    return tuple(Keypoint(str(index), x, y, visibility) for index, (x, y) in enumerate(pairs, start=1))


def _polygon(shape: CvatShape) -> Polygon:
    if shape.kind == "polygon":
        return shape.numbers
    first, second, third, fourth = shape.numbers
    if shape.kind == "ellipse":
        return polygon_of_ellipse((first, second), (third, fourth), shape.rotation_deg)
    return polygon_of_rotated_box((first, second, third - first, fourth - second), shape.rotation_deg)


def _rle(shape: CvatShape, size_px: SizePx) -> Rle:
    left, top, width, height = (int(number) for number in shape.numbers)
    check_part(left, top, width, height, size_px)  # before anything of that size is made
    if sum(shape.runs) != width * height:
        raise UnreadableShape(
            "shape_is_readable",
            f"the runs of a mask '{shape.label}' cover {sum(shape.runs)} px; its {width} × {height} px were expected",
        )
    values = np.arange(len(shape.runs)) % 2
    return rle_of_crop(np.repeat(values, shape.runs).reshape(height, width), left, top, size_px)


def _origin(shape: CvatShape) -> str:
    if shape.is_keyframe:
        return shape.source
    return f"{shape.source}, interpolated" if shape.source else "interpolated"


def _shape(element: "Element", given: Mapping[str, str], label: str, frame: int, *, in_track: bool) -> CvatShape:
    kind = element.tag
    what = f"of a {kind} '{label}'"
    attributes = _attributes(element, given)
    track_id = given.get("id", "") if in_track else attributes.pop("track_id", "")
    return CvatShape(
        kind,
        label,
        numbers=_numbers(kind, given, what),
        rotation_deg=_rotation(attributes, given, what),
        runs=tuple(whole(run, f"a run {what}") for run in given.get("rle", "").split(",")) if kind == "mask" else (),
        joints=tuple(_joint(point, what) for point in element if point.tag != "attribute") if kind == "skeleton" else (),
        attributes=attributes,
        source=given.get("source", "").strip(),
        track_id=track_id,
        frame=frame,
        is_outside=given.get("outside") == "1",
        is_keyframe=given.get("keyframe", "1") == "1",
    )


def _numbers(kind: str, given: Mapping[str, str], what: str) -> tuple[float, ...]:
    if kind == "mask":
        return tuple(whole(given.get(name), f"{name} {what}") for name in NUMBERS[kind])
    if kind in NUMBERS:
        rule = "box_is_readable" if kind == "box" else "shape_is_readable"
        return tuple(finite(given.get(name), f"{name} {what}", rule) for name in NUMBERS[kind])
    if kind in ("polygon", "points"):
        points = _pairs(given.get("points", ""), what)
        return polygon_of_points(points, f"a polygon {what}") if kind == "polygon" else points
    return ()


def _rotation(attributes: dict[str, str], given: Mapping[str, str], what: str) -> float:
    """Return the angle in degrees; a box that is turned keeps it as an attribute, too."""
    rotation_deg = finite(given.get("rotation", "0"), f"the rotation {what}")
    if rotation_deg:
        attributes["rotation"] = given["rotation"]
    return rotation_deg


def _attributes(element: "Element", given: Mapping[str, str]) -> dict[str, str]:
    attributes = _own_attributes(element)
    for point in element.iterfind("points"):  # of a skeleton
        name = point.attrib.get("label", "").strip()
        attributes.update({f"{name}.{key}": value for key, value in _own_attributes(point).items()})
    if given.get("occluded") == "1":
        attributes["occluded"] = "true"
    for name in ("z_order", "group_id"):
        if given.get(name, "0").strip() not in ("0", ""):
            attributes[name] = given[name].strip()
    return attributes


def _own_attributes(element: "Element") -> dict[str, str]:
    return {item.attrib.get("name", "").strip(): (item.text or "").strip() for item in element.iterfind("attribute")}


def _joint(point: "Element", what: str) -> Joint:
    name = point.attrib.get("label", "").strip()
    if point.tag != "points" or not name:
        raise UnreadableShape("shape_is_readable", f"an element <{point.tag}> '{name}' {what} is no named point")
    place = _pairs(point.attrib.get("points", ""), f"of '{name}' {what}")
    if len(place) != 2:
        raise UnreadableShape("shape_is_readable", f"'{name}' {what} has {len(place) // 2} places; expected one")
    return Joint(name, *place, is_occluded=point.attrib.get("occluded") == "1", is_outside=point.attrib.get("outside") == "1")


def _pairs(text: str, what: str) -> tuple[float, ...]:
    numbers: list[float] = []
    for pair in text.split(";"):
        parts = pair.split(",")
        if len(parts) != 2:
            raise UnreadableShape("shape_is_readable", f"the points {what} hold '{pair[:40]}'; expected x,y;x,y;…")
        numbers += [finite(part, f"a number in the points {what}") for part in parts]
    return tuple(numbers)
