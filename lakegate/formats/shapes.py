"""Shapes as annotation tools draw them, turned into boxes, polygons and masks of whole images."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.formats.json_values import is_number
from lakegate.formats.reading import SizePx
from lakegate.formats.unreadable import UnreadableShape
from lakegate.geometry import Polygon, Rle
from lakegate.samples import Box

ELLIPSE_POINTS = 64  # the polygon inside covers 99.8 % of the ellipse's area
MAX_FRAME = 10**9 - 1


def finite(value: Any, what: str, rule: str = "shape_is_readable") -> float:
    """Return a number that can be a place in an image; raises ``UnreadableShape`` that says what should have been one.

    >>> finite("12.50", "xtl of a box")
    12.5
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not is_number(number):
        raise UnreadableShape(rule, f"{what} is {_shown(value)}; expected a number")
    return number


def whole(value: Any, what: str, highest: int = MAX_FRAME) -> int:
    """Return a whole number from 0 to ``highest``; raises ``UnreadableShape``."""
    try:
        number = finite(value, what)
    except UnreadableShape:
        number = -1
    if number != int(number) or not 0 <= number <= highest:
        raise UnreadableShape("shape_is_readable", f"{what} is {_shown(value)}; expected a whole number from 0 to {highest}")
    return int(number)


def polygon_of_points(points_px: tuple[float, ...], what: str) -> Polygon:
    """Return the points as a polygon; raises ``UnreadableShape`` where there are fewer than three."""
    if len(points_px) < 6:
        raise UnreadableShape("shape_is_readable", f"{what} has {len(points_px) // 2} points; a polygon needs three")
    return points_px


def polygon_of_rotated_box(box_xywh_px: Box, rotation_deg: float) -> Polygon:
    """Return the corners of a box that was turned clockwise around its centre, beginning with its top left one.

    >>> [round(number) for number in polygon_of_rotated_box((0, 0, 4, 2), 90)]
    [3, -1, 3, 3, 1, 3, 1, -1]
    """
    x, y, width, height = box_xywh_px
    corners = ((x, y), (x + width, y), (x + width, y + height), (x, y + height))
    return turned(corners, (x + width / 2, y + height / 2), rotation_deg)


def polygon_of_ellipse(centre_px: tuple[float, float], radii_px: tuple[float, float], rotation_deg: float) -> Polygon:
    """Return an inscribed polygon of 64 points."""
    (x, y), (rx, ry) = centre_px, radii_px
    angles = [2 * math.pi * index / ELLIPSE_POINTS for index in range(ELLIPSE_POINTS)]
    return turned(tuple((x + rx * math.cos(one), y + ry * math.sin(one)) for one in angles), centre_px, rotation_deg)


def turned(points_px: tuple[tuple[float, float], ...], centre_px: tuple[float, float], rotation_deg: float) -> Polygon:
    """Return points turned clockwise (y points down) around ``centre_px``, as x1, y1, x2, y2, …"""
    cx, cy = centre_px
    cos, sin = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    flat: list[float] = []
    for x, y in points_px:
        flat += [cx + cos * (x - cx) - sin * (y - cy), cy + sin * (x - cx) + cos * (y - cy)]
    return tuple(flat)


def rle_of_crop(crop_HW: npt.NDArray[Any], left_px: int, top_px: int, size_px: SizePx) -> Rle:
    """Return the run lengths of a mask that is given for a part of the image only.

    Args:
        crop_HW: shape (height, width) of the part; every value but 0 is foreground.
        left_px: column of the image at which the part begins.
        top_px: row of the image at which the part begins.
        size_px: width and height of the image.

    Raises:
        UnreadableShape: the part is empty or does not lie inside the image.

    Only the part's columns are looked at, so a small mask of a large image costs little.
    """
    from faster_coco_eval.core import mask as coco  # 0.2 s

    (width, height), (part_height, part_width) = size_px, crop_HW.shape
    check_part(left_px, top_px, part_width, part_height, size_px)
    columns_HW = np.zeros((height, part_width), np.bool_)
    columns_HW[top_px : top_px + part_height] = crop_HW != 0
    pixels = np.concatenate([[False], columns_HW.ravel(order="F")])
    borders = np.flatnonzero(pixels[1:] != pixels[:-1])
    counts = np.diff(np.concatenate([[0], borders + left_px * height])).tolist()
    counts.append(width * height - sum(counts))
    encoded = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return Rle(height, width, encoded["counts"].decode())


def check_part(left_px: int, top_px: int, part_width: int, part_height: int, size_px: SizePx) -> None:
    """Refuse a part that is empty or reaches out of the image; raises ``UnreadableShape``."""
    width, height = size_px
    inside = left_px >= 0 and top_px >= 0 and left_px + part_width <= width and top_px + part_height <= height
    if not inside or part_width < 1 or part_height < 1:
        raise UnreadableShape(
            "shape_is_readable",
            f"a mask of {part_width} × {part_height} px at {left_px}, {top_px} does not lie inside the image of "
            f"{width} × {height} px",
        )


def last_number(name: str) -> int | None:
    """Return the number at the end of a name, for example a frame's.

    >>> last_number("frame_000123"), last_number("cover")
    (123, None)
    """
    found = re.search(r"([0-9]{1,9})$", name)
    return int(found.group(1)) if found else None


def counted(unread: Mapping[str, int]) -> str:
    """Name things with their numbers, in order of the names.

    >>> counted({"polyline": 2, "cuboid": 1})
    '1 cuboid, 2 polylines'
    """
    return ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in sorted(unread.items()))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
