"""What a page draws of an annotation: box, outline or points, in pixels of the image, as plain numbers and path texts."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.geometry import Rle
from lakegate.samples import Annotation, Sample

MAX_OBJECTS = 300  # per picture; further ones are counted on the page
MAX_MASK_PX = 200_000_000  # decoded per picture; masks beyond are drawn as boxes
_FINE_SIDES = 640  # an outline keeps what is seen on a picture of this side
Shape = list[Any]  # [label index, number of the annotation from 1, breaks a rule (0 or 1), box, path, points]


def drawn_shapes(sample: Sample, labels: dict[str, int], bad: Collection[int] = ()) -> tuple[list[Shape], list[str]]:
    """Return what to draw on a sample's picture, and sentences on what is not drawn.

    Args:
        labels: index of each label that occurs.
        bad: annotations that break a rule, counted from 1; they come last, so that nothing hides them, and are always drawn.

    Returns:
        Per object ``[label, number, is bad, box or 0, path or "", points or 0]``: a box is ``[x, y, width, height]``, a path an
        SVG path of the outline (even-odd rule), points are ``[x, y, visibility]``; all in pixels. Labels of the whole image
        have neither and are left out.
    """
    digits = 1 if max(sample.width_px, sample.height_px) <= _FINE_SIDES else 0
    step_px = max(sample.width_px, sample.height_px, 1) / _FINE_SIDES
    numbered = [(number, item) for number, item in enumerate(sample.annotations, start=1) if not item.is_image_level]
    numbered.sort(key=lambda pair: (pair[0] not in bad, pair[0]))
    masks_left, n_as_box, shapes = MAX_MASK_PX // max(sample.width_px * sample.height_px, 1), 0, []
    for number, item in numbered[:MAX_OBJECTS]:
        path = _polygons_path(item.polygons_px, step_px, digits)
        if item.rle is not None:
            masks_left -= 1
            path = _mask_path(item, item.rle, step_px, digits) if masks_left >= 0 else ""
            n_as_box += masks_left < 0
        shapes.append([labels[item.label], number, int(number in bad), _box(item, digits), path, _points(item, digits)])
    notes = [f"{n_as_box} masks are drawn as boxes"] if n_as_box else []
    if len(numbered) > MAX_OBJECTS:
        notes.append(f"{len(numbered) - MAX_OBJECTS} further objects are not drawn")
    return shapes[::-1], notes


def _box(item: Annotation, digits: int) -> list[float] | int:
    if item.bbox_xywh_px is None:
        return 0
    return [_number(side, digits) for side in item.bbox_xywh_px]


def _points(item: Annotation, digits: int) -> list[list[float]] | int:
    seen = [point for point in item.keypoints if point.visibility]
    return [[_number(point.x_px, digits), _number(point.y_px, digits), point.visibility] for point in seen] or 0


def _number(value: float, digits: int) -> float:
    if not np.isfinite(value):
        return 0
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded


def _polygons_path(polygons_px: Sequence[Sequence[float]], step_px: float, digits: int) -> str:
    return "".join(
        _path(_simpler(np.asarray(polygon, np.float32).reshape(-1, 2), step_px), digits)
        for polygon in polygons_px
        if len(polygon) >= 6 and not len(polygon) % 2
    )


def _mask_path(item: Annotation, rle: Rle, step_px: float, digits: int) -> str:
    """Return the outlines of a mask, holes included; "" where the run lengths are not those of a mask."""
    import cv2

    from lakegate.masks import mask_of_rle

    try:
        mask_HW = mask_of_rle(rle)
    except ValueError:
        return ""
    x, y, width, height = _window(item, rle)
    part_HW = np.ascontiguousarray(mask_HW[y : y + height, x : x + width], np.uint8)
    if not part_HW.size:
        return ""
    # OpenCV's points are the middles of pixels: half a pixel from their corner
    outlines, _ = cv2.findContours(part_HW, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x, y))
    return "".join(_path(_simpler(line.reshape(-1, 2).astype(np.float32) + 0.5, step_px), digits) for line in outlines)


def _window(item: Annotation, rle: Rle) -> tuple[int, int, int, int]:
    """Return the whole pixels that the object's box covers: the rest of its mask is empty."""
    if item.bbox_xywh_px is None or not np.isfinite(item.bbox_xywh_px).all():
        return 0, 0, rle.width_px, rle.height_px
    x1, y1, x2, y2 = item.box_xyxy_px
    left, top = max(int(np.floor(x1)) - 1, 0), max(int(np.floor(y1)) - 1, 0)
    return left, top, max(int(np.ceil(x2)) + 1 - left, 0), max(int(np.ceil(y2)) + 1 - top, 0)


def _simpler(points_N2: npt.NDArray[np.float32], step_px: float) -> npt.NDArray[np.float32]:
    import cv2

    if len(points_N2) <= 8 or not np.isfinite(points_N2).all():
        return points_N2
    fewer: npt.NDArray[np.float32] = cv2.approxPolyDP(points_N2, 0.7 * step_px, closed=True).reshape(-1, 2)
    return fewer if len(fewer) >= 3 else points_N2


def _path(points_N2: npt.NDArray[np.float32], digits: int) -> str:
    if not np.isfinite(points_N2).all():
        return ""
    return "M" + "L".join(f"{_number(float(x), digits):g} {_number(float(y), digits):g}" for x, y in points_N2) + "Z"
