"""Flips of detections: objects that one model gets right and the other wrong.

Source of the idea: Yan et al., "Positive-Congruent Training: Towards Regression-Free Model Updates", CVPR 2021.
"""

import numpy as np

from lakegate.detections import Detections, iou_matrix
from lakegate.evaluation.judged import Flip, FlipKind, JudgedSample, NearPrediction
from lakegate.evaluation.matching import MATCH_IOU, UNMATCHED
from lakegate.evaluation.scoring import ScoredDetections, Truth
from lakegate.imaging import FloatArray
from lakegate.samples import Box


def find_flips(judged: JudgedSample, labels: tuple[str, ...], cells: tuple[str, ...] = ()) -> list[Flip]:
    """Return all flips of one sample: true objects in their order, then the candidate's new false objects.

    A sample without a baseline's predictions has no flips.
    """
    baseline: ScoredDetections | None = judged.baseline
    candidate: ScoredDetections = judged.candidate
    if baseline is None:
        return []
    flips = []
    truth: Truth = judged.truth
    before_T, after_T = baseline.match.is_found, candidate.match.is_found
    for index in np.flatnonzero(before_T != after_T).tolist():
        kind: FlipKind = "negative" if before_T[index] else "positive"
        label, box = int(truth.labels[index]), truth.boxes_xyxy_px[index]
        near = [_near_truth(scored, labels, index, label, box) for scored in (candidate, baseline)]
        author = truth.authors[index] if truth.authors else ""
        flips.append(
            Flip(kind, judged.dataset, judged.sample.id, labels[label], _box(box), cells, near[0], near[1], author, index)
        )
    for index in np.flatnonzero(candidate.match.is_false).tolist():
        label, box = int(candidate.kept.labels[index]), candidate.kept.boxes_xyxy_px[index]
        if not _shows_false_object(baseline, label, box):
            itself = _near(candidate.kept, index, labels, 1.0, "")
            near_baseline = _nearest(baseline, labels, label, box)
            flips.append(
                Flip("new_false", judged.dataset, judged.sample.id, labels[label], _box(box), cells, itself, near_baseline)
            )
    return flips


def _shows_false_object(scored: ScoredDetections, label: int, box_xyxy_px: FloatArray) -> bool:
    is_same = scored.match.is_false & (scored.kept.labels == label)
    return bool((iou_matrix(box_xyxy_px[None], scored.kept.boxes_xyxy_px[is_same]) >= MATCH_IOU).any())


def _near_truth(
    scored: ScoredDetections, labels: tuple[str, ...], truth: int, label: int, box_xyxy_px: FloatArray
) -> NearPrediction | None:
    """The prediction that found the object; where none did, the one that came nearest."""
    index = int(scored.match.prediction_of_truth[truth])
    if index == UNMATCHED:
        return _nearest(scored, labels, label, box_xyxy_px)
    iou = float(iou_matrix(box_xyxy_px[None], scored.kept.boxes_xyxy_px[index][None])[0, 0])
    return _near(scored.kept, index, labels, iou, "")


def _nearest(scored: ScoredDetections, labels: tuple[str, ...], label: int, box_xyxy_px: FloatArray) -> NearPrediction | None:
    """The prediction that comes nearest: first those that overlap by half with the label, then with any, then by IoU."""
    found = scored.everything
    iou_P = iou_matrix(box_xyxy_px[None], found.boxes_xyxy_px)[0]
    if not (iou_P > 0).any():
        return None
    overlaps_P, agrees_P = iou_P >= MATCH_IOU, found.labels == label
    is_kept_P = found.scores >= scored.threshold
    index = int(np.lexsort((-found.scores, -iou_P, ~is_kept_P, ~agrees_P, ~overlaps_P))[0])
    iou, value = float(iou_P[index]), float(found.scores[index])
    reasons = []
    if iou < MATCH_IOU:
        reasons.append(f"the boxes overlap by less than {MATCH_IOU}")
    if value < scored.threshold:
        reasons.append(f"the score is below the threshold of {scored.threshold:.2f}")
    if not agrees_P[index]:
        reasons.append(f"the label is not {labels[label]}")
    return _near(found, index, labels, iou, " and ".join(reasons) or "it belongs to another object")


def _near(found: Detections, index: int, labels: tuple[str, ...], iou: float, why_not: str) -> NearPrediction:
    label, score = labels[int(found.labels[index])], float(found.scores[index])
    return NearPrediction(label, round(score, 6), round(iou, 6), _box(found.boxes_xyxy_px[index]), why_not)


def _box(box_xyxy_px: FloatArray) -> Box:
    x1, y1, x2, y2 = (round(float(value), 3) for value in box_xyxy_px)
    return x1, y1, x2, y2
