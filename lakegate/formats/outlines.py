"""Masks and several polygons as the one outline that a format such as YOLO can hold."""

from collections.abc import Sequence

import numpy as np

from lakegate.geometry import Polygon, Rle
from lakegate.masks import area_px, mask_of_rle


def outlines_of_mask(rle: Rle) -> tuple[Polygon, ...]:
    """Return the outer outlines of a mask's parts, through the centres of their outermost pixels; holes are filled.

    A part of one or two pixels gives a polygon of three points without area.
    """
    import cv2  # 0.2 s

    contours, _ = cv2.findContours(mask_of_rle(rle).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outlines = []
    for contour in contours:
        points = [float(number) for number in contour.reshape(-1).tolist()]
        while len(points) < 6:
            points += points[-2:]
        outlines.append(tuple(points))
    return tuple(outlines)


def join_polygons(polygons: Sequence[Polygon]) -> Polygon:
    """Join polygons to one outline by bridges without width: it fills the same area, where they do not overlap.

    >>> join_polygons([(0, 0, 2, 0, 0, 2), (5, 5, 7, 5, 5, 7)])
    (0, 0, 2, 0, 0, 2, 0, 0, 5, 5, 7, 5, 5, 7, 5, 5)
    """
    if len(polygons) == 1:
        return polygons[0]
    return tuple(number for polygon in polygons for number in (*polygon, *polygon[:2]))


def has_holes(rle: Rle) -> bool:
    """Tell whether the outer outlines of a mask fill more than the mask."""
    import cv2

    filled = np.zeros((rle.height_px, rle.width_px), np.uint8)
    contours, _ = cv2.findContours(mask_of_rle(rle).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return int(filled.sum()) != area_px(rle)
