"""Detection metrics of one model on one cell of the matrix, overall and per label.

Average precision comes from faster-coco-eval; what depends on the operating threshold from :mod:`.matching`.
A value is None where the cell has no object to judge it on: never 0, which would read as a bad model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.evaluation.scoring import ScoredDetections, Truth
from lakegate.imaging import FloatArray

ALL_LABELS = ""
Values = dict[str, dict[str, float | None]]  # metric -> label (ALL_LABELS for all) -> value
Curves = npt.NDArray[np.float64]
Judged = Sequence[tuple[Truth, ScoredDetections]]


def measure(judged: Judged, labels: Sequence[str], max_objects: int = 100) -> Values:
    """Return all metrics of one model on these samples.

    ``map50`` and ``map`` (IoU 0.5 to 0.95) are the mean over the labels that have objects here, as in COCO, with at most
    ``max_objects`` predictions per image; the rest holds at the operating threshold.
    """
    values = at_operating_threshold(judged, labels)
    values.update(average_precision(judged, labels, max_objects))
    return values


def at_operating_threshold(judged: Judged, labels: Sequence[str]) -> Values:
    """Precision, recall, missed and false objects per image; a label's value counts that label's objects only."""
    values: Values = {name: {} for name in ("precision", "recall", "missed_per_image", "false_per_image")}
    for index, label in [(None, ALL_LABELS), *enumerate(labels)]:
        n_objects, n_found, n_false = 0, 0, 0
        for truth, scored in judged:
            is_asked_T = np.ones(len(truth.labels), bool) if index is None else truth.labels == index
            is_asked_P = np.ones(len(scored.kept.labels), bool) if index is None else scored.kept.labels == index
            n_objects += int(is_asked_T.sum())
            n_found += int((is_asked_T & scored.match.is_found).sum())
            n_false += int((is_asked_P & scored.match.is_false).sum())
        has_objects, n_images = n_objects > 0, len(judged)
        values["recall"][label] = n_found / n_objects if has_objects else None
        values["precision"][label] = n_found / (n_found + n_false) if has_objects and n_found + n_false else None
        values["missed_per_image"][label] = (n_objects - n_found) / n_images if has_objects else None
        values["false_per_image"][label] = n_false / n_images if n_images else None
    return values


def average_precision(judged: Judged, labels: Sequence[str], max_objects: int = 100) -> Values:
    """COCO's average precision at IoU 0.5 (``map50``) and over 0.5 to 0.95 (``map``)."""
    precision_IRK = _precision_curves(judged, labels, max_objects)
    values: Values = {"map50": {}, "map": {}}
    for name, rows in (("map50", precision_IRK[:1]), ("map", precision_IRK)):
        for index, label in enumerate(labels):
            values[name][label] = _mean(rows[:, :, index])
        values[name][ALL_LABELS] = _mean(rows)
    return values


def _mean(precision: Curves) -> float | None:
    """Mean over what COCO measured; -1 marks labels without an object."""
    measured = precision[precision > -1]
    return float(measured.mean()) if measured.size else None


def _precision_curves(judged: Judged, labels: Sequence[str], max_objects: int) -> Curves:
    """Interpolated precision, shape (IoU thresholds, recall levels, labels)."""
    from faster_coco_eval import COCO, COCOeval_faster

    ground_truth, predictions = _to_coco(judged, labels)
    has_object_K = np.array([any((truth.labels == index).any() for truth, _ in judged) for index in range(len(labels))])
    if not has_object_K.any() or not predictions:
        return np.where(has_object_K, 0.0, -1.0)[None, None, :]
    truth_coco = COCO(ground_truth)
    evaluation = COCOeval_faster(truth_coco, truth_coco.loadRes(predictions), iouType="bbox")
    evaluation.params.maxDets = [max_objects]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    curves: Curves = np.asarray(evaluation.eval["precision"], np.float64)[:, :, :, 0, 0]
    return curves


def _to_coco(judged: Judged, labels: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    objects: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for image, (truth, scored) in enumerate(judged, start=1):
        for box, label in zip(_xywh(truth.boxes_xyxy_px), truth.labels.tolist(), strict=True):
            row = {"id": len(objects) + 1, "image_id": image, "category_id": label + 1, "bbox": box, "iscrowd": 0}
            objects.append({**row, "area": box[2] * box[3]})
        found = scored.everything
        rows = zip(_xywh(found.boxes_xyxy_px), found.scores.tolist(), found.labels.tolist(), strict=True)
        for box, value, label in rows:
            predictions.append({"image_id": image, "category_id": label + 1, "bbox": box, "score": value})
    content = {
        "images": [{"id": image} for image in range(1, len(judged) + 1)],
        "annotations": objects,
        "categories": [{"id": index + 1, "name": label} for index, label in enumerate(labels)],
    }
    return content, predictions


def _xywh(boxes_xyxy_px_N4: FloatArray) -> list[list[float]]:
    boxes = np.asarray(boxes_xyxy_px_N4, dtype=np.float64).reshape(-1, 4)
    result: list[list[float]] = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
    return result
