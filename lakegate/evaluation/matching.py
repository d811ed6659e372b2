"""Which prediction found which object: one to one, same label, intersection over union (IoU) of at least one half."""

from dataclasses import dataclass

import numpy as np

from lakegate.detections import BoolArray, Detections, IntArray, iou_matrix
from lakegate.imaging import FloatArray

MATCH_IOU = 0.5
UNMATCHED = -1


@dataclass(frozen=True)
class Match:
    """Who was matched with whom; ``UNMATCHED`` (-1) where nobody was.

    ``prediction_of_truth``: for each of T true objects the index of its prediction;
    ``truth_of_prediction``: for each of P predictions the index of its true object;
    ``is_ignored``: for each of P predictions whether it lies on an object that does not count, and on no other.
    """

    prediction_of_truth: IntArray
    truth_of_prediction: IntArray
    is_ignored: BoolArray

    @property
    def is_found(self) -> BoolArray:
        """True for each object that some prediction found."""
        return np.not_equal(self.prediction_of_truth, UNMATCHED)

    @property
    def is_false(self) -> BoolArray:
        """True for each prediction that found no object and is not ignored."""
        return np.equal(self.truth_of_prediction, UNMATCHED) & ~self.is_ignored


def match_detections(
    truth_boxes_xyxy_px_T4: FloatArray,
    truth_labels_T: IntArray,
    found: Detections,
    min_iou: float = MATCH_IOU,
    ignored_T: BoolArray | None = None,
) -> Match:
    """Match as COCO does: predictions by descending score, each takes the free object of its label with the highest IoU.

    Equal scores keep their order, equal IoUs take the first object: the result depends on nothing else. Objects that
    ``ignored_T`` marks are found by nobody; a prediction of any label that lies on one, and finds nothing else, is ignored.
    """
    of_truth_T = np.full(len(truth_labels_T), UNMATCHED, np.int64)
    of_prediction_P = np.full(len(found), UNMATCHED, np.int64)
    if not len(truth_labels_T) or not len(found):
        return Match(of_truth_T, of_prediction_P, np.zeros(len(found), np.bool_))
    iou_PT = iou_matrix(found.boxes_xyxy_px, truth_boxes_xyxy_px_T4)
    skipped_T = np.zeros(len(truth_labels_T), np.bool_) if ignored_T is None else ignored_T
    lies_on_ignored_P = (iou_PT[:, skipped_T] >= min_iou).any(axis=1)
    iou_PT[(found.labels[:, None] != truth_labels_T[None, :]) | skipped_T[None, :]] = -1.0
    for prediction in np.argsort(-found.scores, kind="stable"):
        free_iou_T = np.where(of_truth_T == UNMATCHED, iou_PT[prediction], -1.0)
        truth = int(free_iou_T.argmax())
        if free_iou_T[truth] >= min_iou:
            of_truth_T[truth] = prediction
            of_prediction_P[prediction] = truth
    return Match(of_truth_T, of_prediction_P, lies_on_ignored_P & (of_prediction_P == UNMATCHED))
