"""Detection metrics of one model on one cell of the matrix, overall and per label.

Average precision comes from faster-coco-eval; what depends on the operating threshold from :mod:`.matching`.
A value is None where the cell has no object to judge it on: never 0, which would read as a bad model.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakegate.evaluation.scoring import ScoredDetections
from lakegate.imaging import FloatArray
from lakegate.task_types.protocol import ALL_LABELS, BoolArray, Replicates, Values, point_values

Curves = npt.NDArray[np.float64]
Judged = Sequence[ScoredDetections]


class DetectionStatistics:
    """One model on S samples; average precision is told for the samples as they are, not for replicates yet.

    ``known_K`` marks the labels that the model knows: the others are left out of every sum and mean.
    """

    metrics = ("precision", "recall", "missed_per_image", "false_per_image", "map50", "map")

    def __init__(
        self, judged: Judged, labels: Sequence[str], max_objects: int = 100, known_K: BoolArray | None = None
    ) -> None:
        self._judged, self._labels, self._max_objects = judged, labels, max_objects
        self._known_K = np.ones(len(labels), np.bool_) if known_K is None else known_K

    def values(self, weights_RS: Replicates, only: Collection[str] | None = None) -> dict[str, dict[str, Replicates]]:
        """Return metric -> label -> (R,)."""
        wanted = set(self.metrics if only is None else only)
        result: dict[str, dict[str, Replicates]] = {}
        if wanted - {"map50", "map"}:
            result |= at_operating_threshold(self._judged, self._labels, self._known_K, weights_RS)
        if wanted & {"map50", "map"}:
            is_plain_R = (weights_RS == 1).all(axis=1)
            points = average_precision(self._judged, self._labels, self._known_K, self._max_objects)
            for metric, values in points.items():
                result[metric] = {
                    label: np.where(is_plain_R, np.nan if value is None else value, np.nan) for label, value in values.items()
                }
        return {metric: values for metric, values in result.items() if metric in wanted}


def measure(judged: Judged, labels: Sequence[str], max_objects: int = 100) -> Values:
    """Return all metrics of one model on these samples.

    ``map50`` and ``map`` (IoU 0.5 to 0.95) are the mean over the labels that have objects here, as in COCO, with at most
    ``max_objects`` predictions per image; the rest holds at the operating threshold.
    """
    return point_values(DetectionStatistics(judged, labels, max_objects), len(judged))


def at_operating_threshold(
    judged: Judged, labels: Sequence[str], known_K: BoolArray, weights_RS: Replicates
) -> dict[str, dict[str, Replicates]]:
    """Precision, recall, missed and false objects per image, (R,); a label's value counts that label's objects only."""
    n_labels = len(labels)
    objects_SK, found_SK, false_SK = (np.zeros((len(judged), n_labels)) for _ in range(3))
    for row, scored in enumerate(judged):
        objects_SK[row] = np.bincount(scored.truth.labels, minlength=n_labels)
        found_SK[row] = np.bincount(scored.truth.labels[scored.match.is_found], minlength=n_labels)
        false_SK[row] = np.bincount(scored.kept.labels[scored.match.is_false], minlength=n_labels)
    for counts_SK in (objects_SK, found_SK, false_SK):
        counts_SK[:, ~known_K] = 0
    values: dict[str, dict[str, Replicates]] = {
        name: {} for name in ("precision", "recall", "missed_per_image", "false_per_image")
    }
    n_images_R = weights_RS.sum(axis=1)
    for index, label in [(slice(None), ALL_LABELS), *((slice(item, item + 1), name) for item, name in enumerate(labels))]:
        n_objects_R, n_found_R, n_false_R = (
            weights_RS @ counts[:, index].sum(axis=1) for counts in (objects_SK, found_SK, false_SK)
        )
        has_objects_R = n_objects_R > 0
        values["recall"][label] = _share(n_found_R, n_objects_R)
        values["precision"][label] = np.where(has_objects_R, _share(n_found_R, n_found_R + n_false_R), np.nan)
        values["missed_per_image"][label] = np.where(has_objects_R, _share(n_objects_R - n_found_R, n_images_R), np.nan)
        is_known = label == ALL_LABELS or known_K[index].all()
        values["false_per_image"][label] = _share(n_false_R, n_images_R) if is_known else np.full(len(weights_RS), np.nan)
    return values


def _share(part_R: Replicates, whole_R: Replicates) -> Replicates:
    result: Replicates = np.divide(part_R, whole_R, out=np.full(part_R.shape, np.nan), where=whole_R > 0)
    return result


def average_precision(judged: Judged, labels: Sequence[str], known_K: BoolArray, max_objects: int = 100) -> Values:
    """COCO's average precision at IoU 0.5 (``map50``) and over 0.5 to 0.95 (``map``)."""
    precision_IRK = _precision_curves(judged, labels, max_objects)
    precision_IRK[:, :, ~known_K] = -1
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
    has_object_K = np.array([any((scored.truth.labels == index).any() for scored in judged) for index in range(len(labels))])
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
    for image, scored in enumerate(judged, start=1):
        truth = scored.truth
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
