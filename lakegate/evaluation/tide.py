"""Why a detector errs: the six kinds of error of TIDE, each as what average precision at IoU 0.5 would gain without it.

Source: Bolya, Foley, Hays and Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from lakegate.detections import BoolArray, IntArray
from lakegate.evaluation.average_precision import ApMatches, mean_of_said
from lakegate.evaluation.coco_matching import (
    ALL_BITS,
    ALL_SIZES,
    ANY_LABEL,
    MAX_OBJECTS,
    SampleMatches,
    best_of_each_label,
    exact_iou,
)
from lakegate.evaluation.sums import FloatArray64
from lakegate.imaging import FloatArray

FOUND_IOU, BACKGROUND_IOU = 0.5, 0.1
RIGHT, IGNORED = "right", "ignored"
CLASS, LOCATION, BOTH, DUPLICATE, BACKGROUND, MISSED = "class", "location", "both", "duplicate", "background", "missed"
ERRORS = (CLASS, LOCATION, BOTH, DUPLICATE, BACKGROUND, MISSED)
NOBODY = -1


@dataclass(frozen=True, eq=False)
class SampleErrors:
    """One model on one sample.

    ``kinds``: of each of P predictions by falling score ``right``, ``ignored`` or an error other than ``missed``;
    ``places``: the index of each of them among the predictions that came in; ``labels`` and ``scores`` (P,) alike.
    ``corrected`` (P,): the truth that the prediction would find without its error, ``NOBODY`` where another one would.
    ``truth_labels`` (T,); ``is_counted`` (T,) is False where the truth is ignored; ``is_missed`` (T,): no prediction finds it
    and none would without its error.
    """

    kinds: tuple[str, ...]
    places: IntArray
    labels: IntArray
    scores: FloatArray
    corrected: IntArray
    truth_labels: IntArray
    is_counted: BoolArray
    is_missed: BoolArray

    def without(self, error: str) -> SampleMatches:
        """Return the matches at IoU 0.5 as they were without one kind of error; ``""`` for as they are."""
        bits = {RIGHT: (ALL_BITS, 0), IGNORED: (0, ALL_BITS)}
        labels, true_bits, ignored_bits = self.labels.copy(), [], []
        for index, kind in enumerate(self.kinds):
            truth = self.corrected[index]
            if kind == error and truth != NOBODY:
                labels[index] = self.truth_labels[truth]
            is_true, is_ignored = bits.get(kind, (0, 0))
            if kind == error:
                is_true, is_ignored = bits[RIGHT] if truth != NOBODY else bits[IGNORED]
            true_bits.append(is_true)
            ignored_bits.append(is_ignored)
        counts = self.is_counted & ~self.is_missed if error == MISSED else self.is_counted
        true_P, ignored_P = np.array(true_bits, np.uint16), np.array(ignored_bits, np.uint16)
        truth = {ALL_SIZES: self.truth_labels[counts]}
        return SampleMatches(labels, self.scores, {ALL_SIZES: true_P}, {ALL_SIZES: ignored_P}, truth)


class TideStatistics:
    """What AP at IoU 0.5 would gain, 0..1, without each kind of error: ``tide_class``, ``tide_location`` and so on."""

    metrics: tuple[str, ...] = tuple(f"tide_{error}" for error in ERRORS)

    def __init__(self, samples: Sequence[SampleErrors], labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.samples = samples

    def values(self, weights_RS: FloatArray64, only: Collection[str] | None = None) -> dict[str, dict[str, FloatArray64]]:
        """Return metric -> label (``""``: the mean over the labels with objects) -> (R,).

        A label none of whose objects is left when the missed ones are taken out gains nothing, as in TIDE.
        """
        asked = [error for error in ERRORS if only is None or f"tide_{error}" in only]
        result: dict[str, dict[str, FloatArray64]] = {}
        before_RK = self._ap50("", weights_RS)
        for error in asked:
            after_RK = self._ap50(error, weights_RS)
            gain_RK = np.where(np.isnan(after_RK), 0.0 * before_RK, after_RK - before_RK)
            by_label = {label: gain_RK[:, index] for index, label in enumerate(self.labels)}
            result[f"tide_{error}"] = {"": mean_of_said(gain_RK), **by_label}
        return result

    def count(self, error: str) -> int:
        """Return how many errors of a kind there are."""
        if error == MISSED:
            return sum(int(sample.is_missed.sum()) for sample in self.samples)
        return sum(sample.kinds.count(error) for sample in self.samples)

    def _ap50(self, error: str, weights_RS: FloatArray64) -> FloatArray64:
        matches = ApMatches.collect([sample.without(error) for sample in self.samples], len(self.labels))
        return matches.ap(weights_RS, [0])[:, 0]


def find_errors(
    truth_boxes_xyxy_px: FloatArray,
    truth_labels: IntArray,
    truth_ignored: BoolArray,
    boxes_xyxy_px: FloatArray,
    scores: FloatArray,
    labels: IntArray,
    max_objects: int = MAX_OBJECTS,
) -> SampleErrors:
    """Name what is wrong with each prediction of one sample; the arguments are those of ``coco_matching.match_sample``.

    A prediction that finds no object is, in this order: ``location`` (its label's object at IoU 0.1 to 0.5), ``class`` (another
    label's object from 0.5), ``duplicate`` (its label's object from 0.5, which a better one found), ``background`` (below 0.1
    everywhere) or ``both``. Of several that would find the same object without their error the best one does.
    """
    kept = best_of_each_label(scores, labels, max_objects)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    boxes_P, labels_P = boxes_xyxy_px[kept].astype(np.float64), labels[kept].astype(np.int64)
    counted_T = ~(truth_ignored | (truth_labels == ANY_LABEL))
    iou_PT = exact_iou(boxes_P, truth_boxes_xyxy_px.astype(np.float64).reshape(-1, 4))
    same_PT = (labels_P[:, None] == truth_labels[None, :]) | (truth_labels == ANY_LABEL)[None, :]
    taken: set[tuple[int, int]] = set()
    kinds = [_match(iou_PT[index] * same_PT[index], counted_T, taken, int(label)) for index, label in enumerate(labels_P)]
    corrected_P = np.full(len(kept), NOBODY)
    is_missed_T = counted_T.copy()
    is_missed_T[[truth for _, truth in taken]] = False
    for index in [index for index, kind in enumerate(kinds) if not kind]:
        kinds[index], truth = _name(iou_PT[index] * counted_T, same_PT[index])
        if truth != NOBODY and is_missed_T[truth]:
            is_missed_T[truth] = False
            corrected_P[index] = truth
    scores_P = scores[kept].astype(np.float32)
    return SampleErrors(tuple(kinds), kept, labels_P, scores_P, corrected_P, truth_labels, counted_T, is_missed_T)


def _match(iou_T: FloatArray64, counted_T: BoolArray, taken: set[tuple[int, int]], label: int) -> str:
    """Let the prediction take the free object that it fits best, else an ignored one; an empty text where there is none.

    ``taken`` holds (label, truth): labels are judged apart, so each may take an object of an unknown label once.
    """
    (fits,) = np.nonzero(iou_T >= FOUND_IOU)
    for truth in sorted(fits.tolist(), key=lambda index: (counted_T[index], iou_T[index], index), reverse=True):
        if (label, truth) not in taken:
            taken.add((label, truth))
            return RIGHT if counted_T[truth] else IGNORED
    return ""


def _name(iou_T: FloatArray64, same_T: BoolArray) -> tuple[str, int]:
    """Name the error of a prediction that finds nothing, and the object that it would find without the error."""
    own_T, other_T = iou_T * same_T, iou_T * ~same_T
    if not iou_T.size:
        return BACKGROUND, NOBODY
    if BACKGROUND_IOU <= own_T.max() <= FOUND_IOU:
        return LOCATION, int(own_T.argmax())
    if other_T.max() >= FOUND_IOU:
        return CLASS, int(other_T.argmax())
    if own_T.max() >= FOUND_IOU:
        return DUPLICATE, NOBODY
    return (BACKGROUND if iou_T.max() <= BACKGROUND_IOU else BOTH), NOBODY
