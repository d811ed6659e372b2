"""What can be wrong with the shape of one labelled object, beyond its box."""

import math
from collections.abc import Iterable, Sequence

from lakegate.geometry import Keypoint, Polygon, Rle
from lakegate.samples import Annotation

MIN_POINTS = 3
_VISIBILITIES = (0, 1, 2)


def polygon_flaw(polygons: Sequence[Polygon]) -> str:
    """Return what makes a polygon no area, in words; empty where all are fine.

    >>> polygon_flaw([(0, 0, 4, 0, 4)])
    'polygon 1 has 5 numbers, expected pairs of x and y'
    """
    for number, polygon in enumerate(polygons, start=1):
        if len(polygon) % 2:
            return f"polygon {number} has {len(polygon)} numbers, expected pairs of x and y"
        if len(polygon) < 2 * MIN_POINTS:
            return f"polygon {number} has {len(polygon) // 2} point(s), expected at least {MIN_POINTS}"
        if not math.isfinite(sum(polygon)):
            return f"polygon {number} has a coordinate that is no number"
        if not polygon_area_px(polygon):
            return f"polygon {number} has no area"
    return ""


def polygon_area_px(polygon: Polygon) -> float:
    """Return the area in square pixels by the shoelace formula.

    >>> polygon_area_px((0, 0, 4, 0, 4, 3))
    6.0
    """
    xs, ys = polygon[0::2], polygon[1::2]
    doubled = sum(x * below - right * y for x, y, right, below in zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True))
    return abs(doubled) / 2


def outside_px(points_px: Iterable[Sequence[float]], width_px: int, height_px: int) -> float:
    """Return how far points (x1, y1, x2, y2, … per shape) reach beyond the image, 0 inside, infinite where one is no number."""
    farthest = 0.0
    for flat in points_px:
        xs, ys = flat[0::2], flat[1::2]
        if not math.isfinite(sum(flat)):
            return math.inf
        if xs and ys:
            farthest = max(farthest, -min(xs), -min(ys), max(xs) - width_px, max(ys) - height_px)
    return farthest


def labelled_points(keypoints: Sequence[Keypoint]) -> list[tuple[float, float]]:
    """Return x and y of the keypoints that are labelled: those with visibility 0 have no place."""
    return [(point.x_px, point.y_px) for point in keypoints if point.visibility != 0]


def keypoint_flaw(keypoints: Sequence[Keypoint]) -> str:
    """Return what is wrong with names or visibilities, in words; empty where all are fine."""
    names = [point.name for point in keypoints]
    for point in keypoints:
        if point.visibility not in _VISIBILITIES:
            return f"keypoint '{point.name}' has visibility {point.visibility}, expected 0, 1 or 2"
    twice = next((name for name in names if names.count(name) > 1), None)
    return "" if twice is None else f"keypoint '{twice}' stands {names.count(twice)} times"


def mask_flaw(annotation: Annotation, covered_px: int, width_px: int, height_px: int) -> str:
    """Return what is wrong with an object's mask, in words; empty where it is fine or where there is none.

    Args:
        annotation: the object.
        covered_px: pixels that its run lengths cover, -1 where they cannot be read.
        width_px: of the image.
        height_px: of the image.
    """
    mask = annotation.rle
    if mask is None:
        return ""
    if annotation.polygons_px:
        return "has polygons and a mask, expected one of the two"
    if (mask.width_px, mask.height_px) != (width_px, height_px):
        return f"has a mask of {mask.width_px} x {mask.height_px} px, the image has {width_px} x {height_px} px"
    return _cover_flaw(mask, covered_px)


def _cover_flaw(mask: Rle, covered_px: int) -> str:
    if covered_px < 0:
        return "has a mask whose run lengths cannot be read"
    wanted_px = mask.width_px * mask.height_px
    return "" if covered_px == wanted_px else f"has a mask whose run lengths cover {covered_px} of {wanted_px} pixels"
