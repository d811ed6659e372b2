"""The results of one Label Studio annotation: percentages of the image become pixels, regions become objects."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lakegate.formats.json_values import is_number
from lakegate.formats.label_studio_brush import alpha_of_rle
from lakegate.formats.reading import SizePx, SourceObject
from lakegate.formats.shapes import finite, polygon_of_ellipse, polygon_of_points, rle_of_crop, turned
from lakegate.formats.unreadable import UnreadableShape
from lakegate.geometry import Keypoint, Polygon
from lakegate.masks import box_of_points, box_of_rle

Json = dict[str, Any]
BARE = frozenset({"rectangle", "polygon", "brush", "ellipse", "keypoint"})  # the labels stand in a second result of that id
WORDS = frozenset({"choices", "taxonomy", "textarea", "number", "rating"})
REGIONS = frozenset({"rectanglelabels", "polygonlabels", "brushlabels", "ellipselabels", "keypointlabels", "labels"})


@dataclass
class Annotated:
    """What one annotation says of its image."""

    objects: tuple[SourceObject, ...] = ()
    stated_size_px: SizePx | None = None
    unread: Counter[str] = field(default_factory=Counter)
    n_several_labels: int = 0


def objects_of(results: Any, size_px: SizePx, author: str) -> Annotated:
    """Turn the results of an annotation into objects of an image of that size (width, height).

    Keypoints that belong to a region (``parentID``, or a relation) become its keypoints; others are objects of their own.
    Choices without a region are labels of the image, those with one its attributes.

    Raises:
        UnreadableShape: a region cannot be read; it names the region.
    """
    items = _items(results)
    found = Annotated(stated_size_px=_stated_size(items))
    named = [item for item in items if item["type"] in REGIONS]
    regions = {str(item.get("id")) for item in named}
    parents = _parents(items)
    joints: dict[str, list[Keypoint]] = defaultdict(list)
    objects: dict[str, list[SourceObject]] = {}
    for number, item in enumerate(named):
        key = str(item.get("id") or f"region {number}")
        made = _objects(item, size_px, author)
        parent = parents.get(key, "")
        if _is_keypoint(item) and parent in regions and parent != key:
            joints[parent] += [replace(one.keypoints[0], name=one.label) for one in made]
        else:
            found.n_several_labels += len(made) > 1
            objects.setdefault(key, []).extend(made)
    for key, points in joints.items():
        if key not in objects:
            raise UnreadableShape("shape_is_readable", f"region {key} is a keypoint that has keypoints")
        objects[key] = [replace(one, keypoints=tuple(points)) for one in objects[key]]
    _add_words(items, objects, found, author)
    found.objects = tuple(one for made in objects.values() for one in made)
    return found


def _items(results: Any) -> list[Json]:
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise UnreadableShape("label_file_is_whole", "its annotation has no list of results")
    return [{**item, "type": str(item.get("type", "")).lower()} for item in results]


def _parents(items: Sequence[Json]) -> dict[str, str]:
    """Return by id of a keypoint the id of the region that it belongs to."""
    named = [item for item in items if _is_keypoint(item) and item.get("parentID")]
    return {**dict(_joints(items)), **{str(item.get("id")): str(item["parentID"]) for item in named}}


def _joints(items: Sequence[Json]) -> list[tuple[str, str]]:
    """Return the relations of a keypoint with another region, as their ids."""
    points = {str(item.get("id")) for item in items if _is_keypoint(item)}
    ends = [(str(item.get("from_id")), str(item.get("to_id"))) for item in items if item["type"] == "relation"]
    return [(one, other) if one in points else (other, one) for one, other in ends if (one in points) != (other in points)]


def _is_keypoint(item: Json) -> bool:
    return bool(item["type"] == "keypointlabels")


def _add_words(items: Sequence[Json], objects: dict[str, list[SourceObject]], found: Annotated, author: str) -> None:
    """Add choices and texts: to their region, or as labels of the image; count what is not read."""
    regions = {str(item.get("id")) for item in items if item["type"] in REGIONS}
    joined = {key for ends in _joints(items) for key in ends}
    for item in items:
        kind, key, value = item["type"], str(item.get("id")), item.get("value")
        words = _words(value.get(kind)) if isinstance(value, dict) and kind in WORDS else []
        if kind in REGIONS or (kind in BARE and key in regions):
            continue
        if kind in BARE:
            raise UnreadableShape("label_is_declared", f"region {key} ({kind}) has no label")
        if words and key in regions and key in objects:
            name = str(item.get("from_name") or kind)
            objects[key] = [replace(one, attributes={**one.attributes, name: ", ".join(words)}) for one in objects[key]]
        elif words and kind == "choices" and key not in regions:
            labels = [SourceObject(word, None, author=author, origin=_origin(item)) for word in words]
            objects.setdefault(f"choices of {key}", []).extend(labels)
        elif kind != "relation" or not {str(item.get("from_id")), str(item.get("to_id"))} <= joined:
            found.unread[kind or "result without a type"] += 1


def _words(value: Any) -> list[str]:
    """Flatten a choice, a path of a taxonomy or a text into words."""
    if isinstance(value, list):
        paths = [" / ".join(map(str, one)) if isinstance(one, list) else str(one) for one in value]
        return [path.strip() for path in paths if path.strip()]
    return [str(value)] if isinstance(value, int | float | str) and str(value).strip() else []


def _objects(item: Json, size_px: SizePx, author: str) -> list[SourceObject]:
    """Return the objects of one region: one for each of its labels."""
    what = f"region {item.get('id')} ({item['type']})"
    value = item.get("value")
    if not isinstance(value, dict):
        raise UnreadableShape("shape_is_readable", f"{what} has no value")
    labels = _words(value.get(item["type"]))
    if not labels:
        raise UnreadableShape("label_is_declared", f"{what} has no label")
    if finite(item.get("image_rotation") or 0, f"image_rotation of {what}"):
        reason = f"{what} was drawn on an image turned by {item['image_rotation']}°; turn it back in Label Studio"
        raise UnreadableShape("shape_is_readable", reason)
    attributes = {"score": str(item["score"])} if isinstance(item.get("score"), int | float) else {}
    base = SourceObject(labels[0], None, attributes, author=author, origin=_origin(item))
    made = _with_geometry(base, value, size_px, what)
    return [replace(made, label=label) for label in labels]


def _origin(item: Json) -> str:
    return str(item.get("origin") or "")


def _with_geometry(base: SourceObject, value: Json, size_px: SizePx, what: str) -> SourceObject:
    if "rle" in value:
        rle = rle_of_crop(alpha_of_rle(value["rle"], size_px, what), 0, 0, size_px)
        return replace(base, rle=rle, bbox_xywh_px=box_of_rle(rle))
    if "points" in value:
        return _solid(base, _points_px(value["points"], size_px, what))
    if "radiusX" in value:
        return _solid(base, _ellipse_px(value, size_px, what))
    x, y = _px(value, "x", size_px[0], what), _px(value, "y", size_px[1], what)
    if "height" not in value or "keypointlabels" in value:
        point = Keypoint("1", x, y)
        return replace(base, keypoints=(point,), bbox_xywh_px=(x, y, 0.0, 0.0))
    width, height = _px(value, "width", size_px[0], what), _px(value, "height", size_px[1], what)
    rotation_deg = finite(value.get("rotation") or 0, f"rotation of {what}")
    if not rotation_deg:
        return replace(base, bbox_xywh_px=(x, y, width, height))
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    solid = _solid(base, turned(corners, (x, y), rotation_deg))  # Label Studio turns around the top left corner
    return replace(solid, attributes={**base.attributes, "rotation": str(value["rotation"])})


def _solid(base: SourceObject, polygon: Polygon) -> SourceObject:
    return replace(base, polygons_px=(polygon,), bbox_xywh_px=box_of_points(polygon))


def _points_px(points: Any, size_px: SizePx, what: str) -> Polygon:
    if not isinstance(points, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in points):
        raise UnreadableShape("shape_is_readable", f"the points of {what} are no list of [x, y]")
    places = [finite(number, f"a number in the points of {what}") for pair in points for number in pair]
    return polygon_of_points(tuple(place * size_px[index % 2] / 100 for index, place in enumerate(places)), what)


def _ellipse_px(value: Json, size_px: SizePx, what: str) -> Polygon:
    centre_px = _px(value, "x", size_px[0], what), _px(value, "y", size_px[1], what)
    radii_px = _px(value, "radiusX", size_px[0], what), _px(value, "radiusY", size_px[1], what)
    return polygon_of_ellipse(centre_px, radii_px, finite(value.get("rotation") or 0, f"rotation of {what}"))


def _px(value: Json, name: str, side_px: int, what: str) -> float:
    """Return a percentage of one side of the image in pixels."""
    return finite(value.get(name), f"{name} of {what}") * side_px / 100


def _stated_size(items: Sequence[Json]) -> SizePx | None:
    for item in items:
        sides: list[Any] = [item.get("original_width"), item.get("original_height")]
        if all(is_number(side) and side >= 1 for side in sides):
            return int(sides[0]), int(sides[1])
    return None
