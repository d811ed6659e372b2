"""Which object of the old labels is which of the new: one to one, identical ones first, then by falling overlap."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.masks import mask_iou_matrix, rle_of
from lakegate.samples import Annotation

FloatArray = npt.NDArray[np.float64]
Size = tuple[int, int]
MIN_IOU = 0.5
POINT_REACH = 0.02  # of the image's longer side: how far an object without area may move and still be the same
ROWS_AT_ONCE = 2_000_000  # overlaps computed at once: bounds the memory of very crowded images
SEMANTIC = "semantic"  # attribute `kind` of a mask that holds all pixels of its class


@dataclass(frozen=True)
class BoxMatches:
    """Indices into the old and the new annotations; every annotation stands in exactly one place."""

    pairs: tuple[tuple[int, int], ...]
    only_old: tuple[int, ...]
    only_new: tuple[int, ...]


def match_boxes(old: Sequence[Annotation], new: Sequence[Annotation], min_iou: float = MIN_IOU) -> BoxMatches:
    """Match annotations one to one by their boxes: :func:`match_objects` without an image size.

    >>> a, b = Annotation("RBC", (0, 0, 10, 10)), Annotation("WBC", (0, 0, 10, 9))
    >>> match_boxes([a], [b]).pairs
    ((0, 0),)
    """
    return match_objects(old, new, None, min_iou)


def match_objects(
    old: Sequence[Annotation], new: Sequence[Annotation], size_px: Size | None, min_iou: float = MIN_IOU
) -> BoxMatches:
    """Match annotations one to one: identical shapes first, then by falling overlap, whatever their labels.

    Overlap is the IoU of the masks (or filled polygons) where both have one, else that of the boxes; keypoints are compared
    by the boxes around them. Objects without area (a single keypoint) match within 2 % of the image's longer side. Of equally
    good pairs the one with equal labels is taken. Labels of the whole image match by label; where each side has exactly one,
    the two match: the image was given another class. Semantic masks of one class match whatever their overlap.

    Args:
        size_px: width and height of the image of both sides; ``None`` compares boxes only.
    """
    found = _Pairing(old, new)
    found.take_identical()
    found.take_whole_image_labels()
    found.take_overlapping(size_px, min_iou)
    return found.matches()


def iou_matrix(old_xyxy_px: FloatArray, new_xyxy_px: FloatArray) -> FloatArray:
    """Return intersection over union of (N, 4) and (M, 4) corner boxes as (N, M), 0..1; boxes without area give 0."""
    old_T, new_T = old_xyxy_px.T[:, :, None], new_xyxy_px.T[:, None, :]
    width = np.clip(np.minimum(old_T[2], new_T[2]) - np.maximum(old_T[0], new_T[0]), 0, None)
    height = np.clip(np.minimum(old_T[3], new_T[3]) - np.maximum(old_T[1], new_T[1]), 0, None)
    overlap = width * height
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (old_xyxy_px, new_xyxy_px)]
    union = areas[0][:, None] + areas[1][None, :] - overlap
    iou: FloatArray = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


class _Pairing:
    """What is matched so far; ascending lists of what is still free."""

    def __init__(self, old: Sequence[Annotation], new: Sequence[Annotation]) -> None:
        self._old, self._new = old, new
        self._pairs: list[tuple[int, int]] = []
        self._free_old, self._free_new = set(range(len(old))), set(range(len(new)))

    def matches(self) -> BoxMatches:
        return BoxMatches(tuple(sorted(self._pairs)), tuple(sorted(self._free_old)), tuple(sorted(self._free_new)))

    def take_identical(self) -> None:
        """Pair equal shapes: equal labels first, then in the order of the lists."""
        self._take_equal(lambda item: None if item.is_image_level else (item.geometry, item.label))
        self._take_equal(lambda item: None if item.is_image_level else item.geometry)

    def take_whole_image_labels(self) -> None:
        self._take_equal(lambda item: item.label if item.is_image_level else None)
        self._take_equal(lambda item: item.label if item.rle and item.attributes.get("kind") == SEMANTIC else None)
        whole = [[i for i, item in enumerate(side) if item.is_image_level] for side in (self._old, self._new)]
        if len(whole[0]) == len(whole[1]) == 1 and whole[0][0] in self._free_old:
            self._take(whole[0][0], whole[1][0])

    def take_overlapping(self, size_px: Size | None, min_iou: float) -> None:
        old = [i for i in sorted(self._free_old) if self._old[i].bbox_xywh_px is not None]
        new = [j for j in sorted(self._free_new) if self._new[j].bbox_xywh_px is not None]
        if not old or not new:
            return
        overlaps, rows, columns = _overlapping([self._old[i] for i in old], [self._new[j] for j in new], size_px, min_iou)
        labels = {label: number for number, label in enumerate({item.label for item in (*self._old, *self._new)})}
        label_old, label_new = (
            np.array([labels[side[i].label] for i in indices]) for side, indices in ((self._old, old), (self._new, new))
        )
        order = np.lexsort((columns, rows, label_old[rows] != label_new[columns], -overlaps))
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            if old[row] in self._free_old and new[column] in self._free_new:
                self._take(old[row], new[column])

    def _take_equal(self, key_of: Any) -> None:
        waiting: defaultdict[Any, list[int]] = defaultdict(list)
        for j in sorted(self._free_new, reverse=True):
            if (key := key_of(self._new[j])) is not None:
                waiting[key].append(j)
        for i in sorted(self._free_old):
            if (key := key_of(self._old[i])) is not None and waiting.get(key):
                self._take(i, waiting[key].pop())

    def _take(self, i: int, j: int) -> None:
        self._pairs.append((i, j))
        self._free_old.remove(i)
        self._free_new.remove(j)


def _overlapping(
    old: Sequence[Annotation], new: Sequence[Annotation], size_px: Size | None, min_iou: float
) -> tuple[FloatArray, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return overlap, row and column of each pair that overlaps enough; all boxes have to be there."""
    corners = [np.array([item.box_xyxy_px for item in side], dtype=np.float64) for side in (old, new)]
    masked = [_masked(side, size_px) for side in (old, new)]
    step = max(1, ROWS_AT_ONCE // len(new))
    parts = []
    for start in range(0, len(old), step):
        rows = slice(start, start + step)
        overlap = iou_matrix(corners[0][rows], corners[1])
        if size_px is not None:
            reach = _nearness(corners[0][rows], corners[1], POINT_REACH * max(size_px))
            overlap = np.maximum(overlap, reach)
            _put_mask_overlaps(overlap, old[rows], new, masked[0][rows], masked[1], size_px)
        at = np.nonzero(overlap >= min_iou)
        parts.append((overlap[at], at[0] + start, at[1]))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def _masked(side: Sequence[Annotation], size_px: Size | None) -> npt.NDArray[np.bool_]:
    """Tell which objects have a mask of an image of that size."""
    return np.array([size_px is not None and _has_mask(item, size_px) for item in side], dtype=np.bool_)


def _has_mask(item: Annotation, size_px: Size) -> bool:
    return bool(item.polygons_px) if item.rle is None else (item.rle.width_px, item.rle.height_px) == size_px


def _put_mask_overlaps(
    overlap: FloatArray,
    old: Sequence[Annotation],
    new: Sequence[Annotation],
    masked_old: npt.NDArray[np.bool_],
    masked_new: npt.NDArray[np.bool_],
    size_px: Size,
) -> None:
    """Replace the overlap of boxes by that of masks where both have one; only those whose boxes meet are rasterised."""
    meeting = (overlap > 0) & masked_old[:, None] & masked_new[None, :]
    rows, columns = np.flatnonzero(meeting.any(axis=1)), np.flatnonzero(meeting.any(axis=0))
    width_px, height_px = size_px
    masks = [
        [mask for i in indices if (mask := rle_of(side[int(i)], height_px, width_px)) is not None]
        for side, indices in ((old, rows), (new, columns))
    ]
    if masks[0] and masks[1]:
        overlap[np.ix_(rows, columns)] = np.where(
            masked_old[rows][:, None] & masked_new[columns][None, :],
            mask_iou_matrix(masks[0], masks[1]),
            overlap[np.ix_(rows, columns)],
        )


def _nearness(old_xyxy_px: FloatArray, new_xyxy_px: FloatArray, reach_px: float) -> FloatArray:
    """Return 1 for equal places, 0.5 at ``reach_px``, as (N, M); 0 unless neither of the two has an area."""
    flat = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) <= 0 for boxes in (old_xyxy_px, new_xyxy_px)]
    near: FloatArray = np.zeros((len(old_xyxy_px), len(new_xyxy_px)))
    at = np.ix_(flat[0], flat[1])
    if near[at].size and reach_px > 0:
        centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (old_xyxy_px[flat[0]], new_xyxy_px[flat[1]])]
        distance_px = np.linalg.norm(centres[0][:, None] - centres[1][None, :], axis=2)
        near[at] = np.clip(1 - distance_px / (2 * reach_px), 0, 1)
    return near
