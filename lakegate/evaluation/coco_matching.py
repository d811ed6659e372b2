"""COCO's matching of one sample's predictions with its objects, at ten IoU thresholds and four size ranges at once.

:mod:`.matching` says what a model finds at its operating threshold; this one serves average precision, where each score is
a threshold. Source: pycocotools ``COCOeval.evaluateImg`` (bounding boxes).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from lakegate.detections import BoolArray, IntArray
from lakegate.evaluation.sums import FloatArray64
from lakegate.imaging import FloatArray

BitArray = npt.NDArray[np.uint16]  # one bit per IoU threshold, the lowest bit for 0.5

N_THRESHOLDS = 10
ALL_BITS = (1 << N_THRESHOLDS) - 1
ANY_LABEL = -1  # a truth of a label that the model does not know: a prediction of any label may lie there, and is ignored
MAX_OBJECTS = 100
ALL_SIZES = ""
SIZES_PX2: dict[str, tuple[float, float]] = {  # area of the box, both ends included
    ALL_SIZES: (0.0, 1e10),
    "@small": (0.0, 32.0**2),
    "@medium": (32.0**2, 96.0**2),
    "@large": (96.0**2, 1e10),
}


@dataclass(frozen=True, eq=False)
class SampleMatches:
    """One model's predictions on one sample as average precision counts them.

    ``labels`` int64 (P,) and ``scores`` float32 (P,): by label, within it by falling score. Per size (see ``SIZES_PX2``):
    ``is_true`` and ``is_ignored`` uint16 (P,), a bit per IoU threshold 0.5, 0.55, … 0.95; a prediction with neither bit is
    false there. ``truth_labels`` int64 per size: the labels of the objects that count.
    """

    labels: IntArray
    scores: FloatArray
    is_true: Mapping[str, BitArray]
    is_ignored: Mapping[str, BitArray]
    truth_labels: Mapping[str, IntArray]


def match_sample(
    truth_boxes_xyxy_px: FloatArray,
    truth_labels: IntArray,
    truth_ignored: BoolArray,
    boxes_xyxy_px: FloatArray,
    scores: FloatArray,
    labels: IntArray,
    max_objects: int = MAX_OBJECTS,
) -> SampleMatches:
    """Match one sample's predictions with its objects as COCO does, at ten IoU thresholds and four size ranges at once.

    Args:
        truth_boxes_xyxy_px: (T, 4) x1, y1, x2, y2.
        truth_labels: (T,) indices; ``ANY_LABEL`` for an object whose label the model does not know.
        truth_ignored: (T,) bool. An ignored object is no error when it is missed, and a prediction that fits nothing else
            is ignored with it. ``ANY_LABEL`` is always ignored.
        boxes_xyxy_px: (P, 4), scores: (P,) and labels: (P,) of the predictions in any order.
        max_objects: of each label, so many of the best predictions count.
    """
    kept_P = best_of_each_label(scores, labels, max_objects)
    boxes_P, labels_P = boxes_xyxy_px[kept_P].astype(np.float64), labels[kept_P].astype(np.int64)
    truth_T = truth_boxes_xyxy_px.astype(np.float64).reshape(-1, 4)
    iou_PT = exact_iou(boxes_P, truth_T)
    iou_PT[(labels_P[:, None] != truth_labels[None, :]) & (truth_labels != ANY_LABEL)[None, :]] = 0.0
    prediction_J, truth_J = np.nonzero(iou_PT >= _thresholds()[0])
    iou_J = iou_PT[prediction_J, truth_J]
    reached_J = (1 << np.searchsorted(_thresholds(), iou_J, side="right")) - 1
    area_T, area_P = _areas(truth_T), _areas(boxes_P)
    is_true, is_ignored, counted = {}, {}, {}
    for size, (least_px2, most_px2) in SIZES_PX2.items():
        skipped_T = truth_ignored | (truth_labels == ANY_LABEL) | (area_T < least_px2) | (area_T > most_px2)
        order = np.lexsort((-truth_J, -iou_J, skipped_T[truth_J], prediction_J))
        pairs = zip(*(column[order].tolist() for column in (prediction_J, truth_J, reached_J)), strict=True)
        is_true[size], ignored_P = _take(pairs, labels_P.tolist(), skipped_T.tolist())
        is_outside_P = (area_P < least_px2) | (area_P > most_px2)
        is_ignored[size] = np.where(is_outside_P, ALL_BITS & ~is_true[size], ignored_P).astype(np.uint16)
        counted[size] = truth_labels[~skipped_T].astype(np.int64)
    return SampleMatches(labels_P, scores[kept_P].astype(np.float32), is_true, is_ignored, counted)


def exact_iou(first_xyxy_px: FloatArray64, second_xyxy_px: FloatArray64) -> FloatArray64:
    """Return the intersection over union of each pair in float64, shape (N, M), as pycocotools computes it."""
    first, second = first_xyxy_px[:, None, :], second_xyxy_px[None, :, :]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    common = np.where((sides > 0).all(axis=-1), sides[..., 0] * sides[..., 1], 0.0)
    union = _areas(first) + _areas(second) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _areas(boxes_xyxy_px: FloatArray64) -> FloatArray64:
    area: FloatArray64 = (boxes_xyxy_px[..., 2] - boxes_xyxy_px[..., 0]) * (boxes_xyxy_px[..., 3] - boxes_xyxy_px[..., 1])
    return area


def best_of_each_label(scores: FloatArray, labels: IntArray, max_objects: int) -> IntArray:
    """Return the indices of the best predictions, by label and falling score; equal scores keep their order."""
    order = np.lexsort((-scores, labels))
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, count)
    kept: IntArray = order[rank < max_objects].astype(np.int64)
    return kept


def _take(
    pairs: Iterable[tuple[int, int, int]], labels: Sequence[int], is_skipped: Sequence[bool]
) -> tuple[BitArray, BitArray]:
    """Give each prediction in turn the free object that it fits best, for all thresholds at once, as bits.

    ``pairs`` (prediction, truth, bits of the thresholds that their IoU reaches): by prediction, objects that count first, then
    by falling IoU. Returns which thresholds each prediction is true at, and which it is ignored at.
    """
    true_bits, ignored_bits = [0] * len(labels), [0] * len(labels)
    taken: dict[tuple[int, int], int] = {}  # (label, truth): labels are judged apart, so each may take an ANY_LABEL once
    for prediction, truth, reached in pairs:
        key = labels[prediction], truth
        gained = reached & ~taken.get(key, 0) & ~true_bits[prediction] & ~ignored_bits[prediction]
        taken[key] = taken.get(key, 0) | gained
        (ignored_bits if is_skipped[truth] else true_bits)[prediction] |= gained
    return np.array(true_bits, np.uint16), np.array(ignored_bits, np.uint16)


@cache
def _thresholds() -> FloatArray64:
    return np.linspace(0.5, 0.95, N_THRESHOLDS)
