"""What the page draws of detections: precision over recall at IoU 0.5, and which label is taken for which."""

from collections.abc import Sequence

import numpy as np

from lakegate.detections import iou_matrix
from lakegate.evaluation.judged import JudgedSample
from lakegate.evaluation.matching import MATCH_IOU, UNMATCHED, Match, match_detections
from lakegate.evaluation.matrix import Row
from lakegate.evaluation.plots import Chart, Confusion, Curve, Plots, precision_recall, thinned
from lakegate.evaluation.scoring import ScoredDetections
from lakegate.task_types.protocol import IntArray

MAX_LABEL_CHARTS = 24
NOTHING = "nothing"


def box_plots(judged: Sequence[JudgedSample], labels: tuple[str, ...], common: tuple[str, ...]) -> Plots:
    """Return one chart for all labels that both models know, one per label, and the confusion at the operating threshold."""
    rows: list[tuple[Row, list[ScoredDetections]]] = [("candidate", [item.candidate for item in judged])]
    if judged[0].baseline is not None:
        rows.append(("baseline", [item.baseline for item in judged if item.baseline is not None]))
    told = [(row, _Found(scored)) for row, scored in rows]
    charts = [_chart("all labels together", told, [labels.index(label) for label in common])]
    if len(labels) > 1:
        charts += [_chart(label, told, [labels.index(label)]) for label in labels[:MAX_LABEL_CHARTS]]
    known = [labels.index(label) for label in common]
    grids = [_confusion(scored, known) for _, scored in rows]
    names = (*common, NOTHING)
    confusion = Confusion("object", names, names, grids[0], grids[1] if len(grids) > 1 else None)
    return Plots(tuple(chart for chart in charts if chart.curves), confusion)


class _Found:
    """All predictions of one model from the score floor up: score, label, whether it found an object of its label."""

    def __init__(self, judged: Sequence[ScoredDetections]) -> None:
        hits = [_match_all(item) for item in judged]
        counts = np.concatenate([~match.is_ignored for match in hits])
        self.scores = np.concatenate([item.everything.scores for item in judged]).astype(np.float64)[counts]
        self.labels = np.concatenate([item.everything.labels for item in judged])[counts]
        self.is_true = np.concatenate([~match.is_false for match in hits])[counts]
        self.truths = np.concatenate([item.truth.labels[~item.ignored_truth] for item in judged])
        self.threshold = judged[0].threshold


def _chart(title: str, told: Sequence[tuple[Row, _Found]], wanted: Sequence[int]) -> Chart:
    curves = [curve for row, found in told if (curve := _curve(row, found, wanted)) is not None]
    return Chart(title, "recall", "precision", tuple(curves))


def _curve(row: Row, found: _Found, wanted: Sequence[int]) -> Curve | None:
    """Return one line; None where there is no object of these labels, or no prediction."""
    n_objects = int(np.isin(found.truths, wanted).sum())
    chosen = np.isin(found.labels, wanted)
    if not n_objects or not chosen.any():
        return None
    scores, is_true = found.scores[chosen], found.is_true[chosen]
    recall, precision = precision_recall(scores, is_true, n_objects)
    points = [(0.0, float(precision[0])), *zip(recall.tolist(), precision.tolist(), strict=True), (float(recall[-1]), 0.0)]
    kept = scores >= found.threshold
    at = (float(is_true[kept].sum() / n_objects), float(is_true[kept].mean())) if kept.any() else None
    return Curve(row, thinned(points), at)


def _confusion(judged: Sequence[ScoredDetections], known: Sequence[int]) -> IntArray:
    """Count, at the operating threshold, what each object was taken for; the last row and column stand for nothing."""
    place = {label: number for number, label in enumerate(known)}
    nothing = len(known)
    counts: IntArray = np.zeros((nothing + 1, nothing + 1), np.int64)
    for scored in judged:
        answers, taken = scored.kept.labels.tolist(), _pairs(scored)
        for truth, label in enumerate(scored.truth.labels.tolist()):
            if label in place:
                answer = taken.get(truth)
                counts[place[label], nothing if answer is None else place.get(answers[answer], nothing)] += 1
        for answer in set(np.flatnonzero(scored.match.is_false).tolist()) - set(taken.values()):
            if answers[answer] in place:
                counts[nothing, place[answers[answer]]] += 1
    return counts


def _pairs(scored: ScoredDetections) -> dict[int, int]:
    """Pair objects with predictions: those that count as found, then the rest, whatever the label, the highest IoU first."""
    pairs = {truth: answer for truth, answer in enumerate(scored.match.prediction_of_truth.tolist()) if answer != UNMATCHED}
    is_free = scored.match.is_false.copy()
    iou_TP = iou_matrix(scored.truth.boxes_xyxy_px, scored.kept.boxes_xyxy_px)
    overlapping = np.argwhere(iou_TP >= MATCH_IOU)
    order = np.argsort(-iou_TP[iou_TP >= MATCH_IOU], kind="stable")
    for truth, answer in overlapping[order].tolist():
        if truth not in pairs and is_free[answer]:
            pairs[truth] = answer
            is_free[answer] = False
    return pairs


def _match_all(scored: ScoredDetections) -> Match:
    """Match every prediction from the score floor, not only those above the threshold."""
    truth = scored.truth
    return match_detections(truth.boxes_xyxy_px, truth.labels, scored.everything, ignored_T=scored.ignored_truth)
