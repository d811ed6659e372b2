"""Masks as numbers: rasterised polygons, run lengths, areas, boxes and overlap; the work is done by COCO's own C code."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lakegate.geometry import Polygon, Rle

if TYPE_CHECKING:
    from lakegate.samples import Annotation

BoolMask = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]


def rle_of_mask(mask_HW: npt.NDArray[Any]) -> Rle:
    """Return the run lengths of a mask of shape (height, width); every value but 0 is foreground."""
    encoded = _coco().encode(np.asfortranarray(mask_HW != 0, dtype=np.uint8))
    return _rle(encoded)


def rle_of_polygons(polygons_px: Sequence[Polygon], height_px: int, width_px: int) -> Rle:
    """Return the union of filled polygons as run lengths of an image of that size."""
    parts = _coco().frPyObjects([list(polygon) for polygon in polygons_px], height_px, width_px)
    return _rle(_coco().merge(parts))


def rle_of(annotation: "Annotation", height_px: int, width_px: int) -> Rle | None:
    """Return an object's mask as run lengths; ``None`` for an object that has neither mask nor polygon."""
    if annotation.rle is not None:
        return annotation.rle
    if annotation.polygons_px:
        return rle_of_polygons(annotation.polygons_px, height_px, width_px)
    return None


def mask_of_rle(rle: Rle) -> BoolMask:
    """Return the mask, shape (height, width); raises ``ValueError`` where the run lengths are not those of its size."""
    mask_HW: BoolMask = np.asarray(_coco().decode(_coco_rle(rle)), dtype=np.bool_)
    return mask_HW


def area_px(rle: Rle) -> int:
    """Return the number of foreground pixels."""
    return int(_coco().area([_coco_rle(rle)])[0])


def box_of_rle(rle: Rle) -> Box:
    """Return x, y, width, height of the foreground, in pixels; four zeros where there is none."""
    x, y, width, height = (float(side) for side in _coco().toBbox([_coco_rle(rle)])[0])
    return x, y, width, height


def box_of_points(points_px: Sequence[float]) -> Box:
    """Return x, y, width, height around points x1, y1, x2, y2, … in pixels.

    >>> box_of_points([1, 2, 5, 2, 5, 8])
    (1.0, 2.0, 4.0, 6.0)
    """
    xs, ys = points_px[0::2], points_px[1::2]
    return float(min(xs)), float(min(ys)), float(max(xs) - min(xs)), float(max(ys) - min(ys))


def mask_iou_matrix(old: Sequence[Rle], new: Sequence[Rle]) -> FloatArray:
    """Return intersection over union of N and M masks of one image size as (N, M), 0..1."""
    if not old or not new:
        return np.zeros((len(old), len(new)))
    found = _coco().iou([_coco_rle(item) for item in new], [_coco_rle(item) for item in old], [0] * len(old))
    iou_NM: FloatArray = np.nan_to_num(np.asarray(found, np.float64).reshape(len(new), len(old)).T)
    return iou_NM


def _coco_rle(rle: Rle) -> dict[str, Any]:
    return {"size": [rle.height_px, rle.width_px], "counts": rle.counts.encode()}


def _rle(encoded: dict[str, Any]) -> Rle:
    height_px, width_px = encoded["size"]
    return Rle(int(height_px), int(width_px), encoded["counts"].decode())


def _coco() -> Any:
    from faster_coco_eval.core import mask  # 0.2 s

    return mask
