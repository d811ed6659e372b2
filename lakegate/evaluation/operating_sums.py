"""Detection at the operating threshold as sums: objects, found, missed and false ones per label and size, and empty scenes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakegate.detections import BoolArray, IntArray
from lakegate.evaluation.sums import FloatArray64, SumMetric, SumStatistics, ratio
from lakegate.imaging import FloatArray
from lakegate.task_types.protocol import SIZES

SIZE_LIMITS_PX2 = (32.0**2, 96.0**2)  # an area on a limit is of the larger size: each object has one


@dataclass(frozen=True, eq=False)
class OperatingCounts:
    """One model on one sample at its threshold.

    ``objects``, ``found`` and ``false`` float64 (1 + K + 3,): of all labels, of each label, and small, medium, large.
    ``is_empty``: the sample has no object at all; ``is_alarm``: it is empty and the model shows something.
    """

    objects: FloatArray64
    found: FloatArray64
    false: FloatArray64
    is_empty: bool
    is_alarm: bool


def count_sample(
    truth_boxes_xyxy_px: FloatArray,
    truth_labels: IntArray,
    truth_ignored: BoolArray,
    is_found: BoolArray,
    boxes_xyxy_px: FloatArray,
    labels: IntArray,
    is_false: BoolArray,
    n_labels: int,
) -> OperatingCounts:
    """Count one sample.

    Args:
        truth_boxes_xyxy_px: (T, 4), truth_labels: (T,) of 0 … K - 1 where they are not ignored.
        truth_ignored: (T,) objects that do not count; a sample that has one is not empty.
        is_found: (T,) some prediction matches the object.
        boxes_xyxy_px: (P, 4) and labels: (P,) of the predictions above the threshold.
        is_false: (P,) the prediction matches no object and none that is ignored.
        n_labels: K.

    A found object is of the object's size, a false one of the prediction's.
    """
    counts = ~truth_ignored
    is_empty = len(truth_labels) == 0
    return OperatingCounts(
        _by_slot(truth_boxes_xyxy_px[counts], truth_labels[counts], n_labels),
        _by_slot(truth_boxes_xyxy_px[counts & is_found], truth_labels[counts & is_found], n_labels),
        _by_slot(boxes_xyxy_px[is_false], labels[is_false], n_labels),
        is_empty,
        is_empty and len(labels) > 0,
    )


def operating_statistics(samples: Sequence[OperatingCounts], labels: Sequence[str]) -> SumStatistics:
    """Return precision, recall, missed and false objects per image (by label and size) and the empty scenes with an alarm.

    Without an object of a label (or size) only its false objects per image can be said.
    """
    slots = ("", *labels, *SIZES)

    def rows(name: str, width: int) -> FloatArray64:
        return np.array([getattr(sample, name) for sample in samples], np.float64).reshape(len(samples), width)

    sums = {name: rows(name, len(slots)) for name in ("objects", "found", "false")}
    sums |= {"empty": rows("is_empty", 1), "alarms": rows("is_alarm", 1), "images": np.ones((len(samples), 1))}
    formulas = {
        "precision": SumMetric(slots, ("objects", "found", "false"), _precision),
        "recall": SumMetric(slots, ("found", "objects"), ratio),
        "missed_per_image": SumMetric(slots, ("objects", "found", "images"), _missed_per_image),
        "false_per_image": SumMetric(slots, ("false", "images"), ratio),
        "empty_alarm_rate": SumMetric(("",), ("alarms", "empty"), ratio),
    }
    return SumStatistics(sums, formulas)


def _precision(objects: FloatArray64, found: FloatArray64, false: FloatArray64) -> FloatArray64:
    return np.where(objects > 0, ratio(found, found + false), np.nan)


def _missed_per_image(objects: FloatArray64, found: FloatArray64, images: FloatArray64) -> FloatArray64:
    return np.where(objects > 0, ratio(objects - found, images), np.nan)


def _by_slot(boxes_xyxy_px: FloatArray, labels: IntArray, n_labels: int) -> FloatArray64:
    boxes: npt.NDArray[np.float64] = boxes_xyxy_px.astype(np.float64).reshape(-1, 4)
    area_px2 = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    by_label = np.bincount(labels, minlength=n_labels)
    by_size = np.bincount(np.digitize(area_px2, SIZE_LIMITS_PX2), minlength=len(SIZES))
    return np.concatenate([[len(labels)], by_label, by_size]).astype(np.float64)
