"""What the gallery shows of a detection: the truth, each model's boxes by whether they are hits, missed or false, words."""

import numpy as np

from lakegate.detections import iou_matrix
from lakegate.evaluation.judged import Flip, JudgedSample, NearPrediction, Panel
from lakegate.evaluation.matching import MATCH_IOU
from lakegate.evaluation.scoring import ScoredDetections, Truth
from lakegate.html import BoxKind, DrawnBox
from lakegate.imaging import FloatArray
from lakegate.samples import Box

FAINT_IOU = 0.1


def box_panels(judged: JudgedSample, labels: tuple[str, ...]) -> list[Panel]:
    """Return truth, baseline (where there is one) and candidate."""
    truth: Truth = judged.truth
    objects = tuple(
        DrawnBox(_box(box), labels[label], "truth")
        for box, label in zip(truth.boxes_xyxy_px, truth.labels.tolist(), strict=True)
    )
    n_left_out = int(judged.candidate.ignored_truth.sum())
    words = f"{len(objects)} object{'' if len(objects) == 1 else 's'}{f'; {n_left_out} not compared' if n_left_out else ''}"
    panels = [Panel("truth", objects, words)]
    found, n_false = _counts(judged.candidate)
    said = f"found {found}, {n_false} false"
    if judged.baseline is not None:
        found_before, n_false_before = _counts(judged.baseline)
        panels.append(Panel("baseline", _drawn(judged.baseline, labels), f"found {found_before}, {n_false_before} false"))
        said = f"found {found} (baseline {found_before}), {n_false} false (baseline {n_false_before})"
    return [*panels, Panel("candidate", _drawn(judged.candidate, labels), said)]


def object_flip_words(flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
    """Say what the two models made of one object."""
    if flip.kind == "new_false" and flip.candidate is not None:
        where = _what_is_there(flip, judged, labels)
        return f"the candidate shows it with score {flip.candidate.score:.2f}, but {where}; the baseline does not show it"
    if flip.kind == "negative":
        return f"the baseline found it{hit_words(flip.baseline)}; the candidate missed it{miss_words(flip.candidate)}"
    return f"the baseline missed it{miss_words(flip.baseline)}; the candidate found it{hit_words(flip.candidate)}"


def hit_words(near: NearPrediction | None) -> str:
    """Say how a model found an object, as the end of a sentence."""
    return "" if near is None else f" (score {near.score:.2f}, IoU {near.iou:.2f})"


def miss_words(near: NearPrediction | None) -> str:
    """Say why a model did not find an object, as the end of a sentence."""
    if near is None or near.iou < FAINT_IOU:
        return ": it predicts nothing there"
    return f": its nearest box is {near.label}, score {near.score:.2f}, IoU {_iou_words(near.iou)}, and {near.why_not}"


def _iou_words(iou: float) -> str:
    """Write an IoU so that it is not taken for the limit when it is below.

    >>> _iou_words(0.4982), _iou_words(0.391)
    ('just under 0.5', '0.39')
    """
    return f"just under {MATCH_IOU}" if iou < MATCH_IOU <= round(iou, 2) else f"{iou:.2f}"


def _counts(scored: ScoredDetections) -> tuple[str, int]:
    """Return how many of the objects that count a model finds, in words, and the number of its false ones."""
    return f"{int(scored.match.is_found.sum())} of {int((~scored.ignored_truth).sum())}", int(scored.match.is_false.sum())


def _what_is_there(flip: Flip, judged: JudgedSample, labels: tuple[str, ...]) -> str:
    """Say what the labels hold where the candidate shows a false object."""
    truth: Truth = judged.truth
    iou_T = iou_matrix(np.array([flip.box_xyxy_px], np.float32), truth.boxes_xyxy_px)[0]
    best = int(iou_T.argmax()) if len(iou_T) else 0
    if not len(iou_T) or iou_T[best] < FAINT_IOU:
        return "nothing is labelled there"
    name = labels[int(truth.labels[best])]
    if iou_T[best] < MATCH_IOU:
        return f"it overlaps the nearest object ({name}) by only {_iou_words(float(iou_T[best]))}"
    return f"it is a second box on one {name}" if name == flip.label else f"the object there is labelled {name}"


def _drawn(scored: ScoredDetections, labels: tuple[str, ...]) -> tuple[DrawnBox, ...]:
    boxes = []
    for index, is_false in enumerate(scored.match.is_false.tolist()):
        kind: BoxKind = "false" if is_false else "hit"
        text = f"{labels[scored.kept.labels[index]]} {scored.kept.scores[index]:.2f}"
        boxes.append(DrawnBox(_box(scored.kept.boxes_xyxy_px[index]), text, kind))
    for index, is_missed in enumerate((~scored.match.is_found & ~scored.ignored_truth).tolist()):
        if is_missed:
            text = labels[scored.truth.labels[index]]
            boxes.append(DrawnBox(_box(scored.truth.boxes_xyxy_px[index]), text, "missed"))
    return tuple(boxes)


def _box(box_xyxy_px: FloatArray) -> Box:
    x1, y1, x2, y2 = (round(float(side), 1) for side in box_xyxy_px)
    return x1, y1, x2, y2
