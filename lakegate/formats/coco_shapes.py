"""One annotation of a COCO file as an object: box, polygons or run lengths, keypoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakegate.formats.json_values import is_number, word_of
from lakegate.formats.reading import SourceObject
from lakegate.formats.run_lengths import rle_of_coco
from lakegate.formats.unreadable import UnreadableShape
from lakegate.geometry import Keypoint, Polygon, Rle
from lakegate.masks import box_of_points, box_of_rle
from lakegate.samples import Box

Json = dict[str, Any]


@dataclass(frozen=True)
class Category:
    """One category: its name, and the names of its keypoints where it has any."""

    name: str
    points: tuple[str, ...] = ()


def read_annotation(item: Json, categories: dict[Any, Category], labels_images: bool = False) -> SourceObject:
    """Read one annotation.

    Args:
        item: the annotation as the file holds it.
        categories: by id.
        labels_images: True where an annotation without any shape is a label of the whole image.

    Raises:
        UnreadableShape: the category is unknown, or a shape is not what COCO says.
    """
    category_id = item.get("category_id")
    if not isinstance(category_id, int | str) or category_id not in categories:
        names = ", ".join(category.name for category in categories.values())
        raise UnreadableShape("label_is_declared", f"category_id {category_id} is not in the file's categories ({names})")
    category = categories[category_id]
    if labels_images and not any(item.get(name) for name in ("bbox", "segmentation", "keypoints")):
        return SourceObject(category.name, None, _attributes(item))
    polygons, rle = _segmentation(item)
    points = _keypoints(item, category)
    box = _box(item, polygons, rle)
    return SourceObject(category.name, box, _attributes(item), polygons_px=polygons, rle=rle, keypoints=points,
                        track_id=_word(item, "track_id"))  # fmt: skip


def _box(item: Json, polygons: Sequence[Polygon], rle: Rle | None) -> Box:
    bbox = item.get("bbox")
    if bbox is None and polygons:
        return box_of_points([number for polygon in polygons for number in polygon])
    if bbox is None and rle is not None:
        return box_of_rle(rle)
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(is_number, bbox)):
        reason = f"annotation {item.get('id')} has bbox {str(bbox)[:60]}; expected [x, y, width, height], numbers of pixels"
        raise UnreadableShape("box_is_readable", reason)
    x, y, width, height = (float(side) for side in bbox)
    return x, y, width, height


def _segmentation(item: Json) -> tuple[tuple[Polygon, ...], Rle | None]:
    segmentation = item.get("segmentation")
    if not segmentation:
        return (), None
    if isinstance(segmentation, dict):
        try:
            return (), rle_of_coco(segmentation)
        except ValueError as error:
            raise UnreadableShape("mask_is_readable", f"the mask of annotation {item.get('id')}: {error}") from error
    if not isinstance(segmentation, list) or not all(map(_is_polygon, segmentation)):
        reason = f"the segmentation of annotation {item.get('id')} is neither run lengths nor polygons of three points or more"
        raise UnreadableShape("polygon_is_readable", reason)
    return tuple(tuple(map(float, polygon)) for polygon in segmentation), None


def _keypoints(item: Json, category: Category) -> tuple[Keypoint, ...]:
    values = item.get("keypoints")
    if not values:
        return ()
    if not isinstance(values, list) or len(values) % 3 or not all(map(is_number, values)):
        reason = f"the keypoints of annotation {item.get('id')} are no list of x, y, visibility"
        raise UnreadableShape("keypoints_are_readable", reason)
    names = category.points or tuple(str(number) for number in range(len(values) // 3))
    if len(names) * 3 != len(values):
        reason = f"annotation {item.get('id')} has {len(values) // 3} keypoints, the category '{category.name}' {len(names)}"
        raise UnreadableShape("keypoints_are_readable", reason)
    points = []
    for name, x, y, visibility in zip(names, values[0::3], values[1::3], values[2::3], strict=True):
        if visibility not in (0, 1, 2):
            reason = f"keypoint '{name}' of annotation {item.get('id')} has visibility {visibility}; expected 0, 1 or 2"
            raise UnreadableShape("keypoints_are_readable", reason)
        points.append(Keypoint(name, float(x) if visibility else 0.0, float(y) if visibility else 0.0, int(visibility)))
    return tuple(points)


def _attributes(item: Json) -> dict[str, str]:
    given = item.get("attributes")
    pairs = given.items() if isinstance(given, dict) else ()
    attributes = {str(name): word_of(value) for name, value in pairs if name != "track_id"}
    if item.get("iscrowd"):
        attributes["iscrowd"] = "true"
    return attributes


def _word(item: Json, name: str) -> str:
    """Return a field of the annotation, or of its attributes, where CVAT writes it; empty where there is none."""
    given = item.get("attributes")
    value = item.get(name, given.get(name) if isinstance(given, dict) else None)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""


def _is_polygon(polygon: object) -> bool:
    return isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0 and all(map(is_number, polygon))
